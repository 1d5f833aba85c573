"""Figures whose measuring is a program of this workspace: beside runc, beside HAProxy, and the simulation."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

from figure import RESULTS, Figure, write

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The first run compiles the bench; what it measures takes well under a minute.
BENCH_SECONDS_MAX = 1200
SEEDS = 1000
SEEDS_SECONDS_MAX = 120


def runc():
    """Adds to the figure `start` what starting costs without an API, an address and a load balancer, beside `runc run`."""
    install({"runc": "runc"})
    code, lines = shown(["cargo", "bench", "--quiet", "-p", "gantry-runtime", "--bench", "start"])
    path = RESULTS / "start.json"
    if path.exists():
        write("start", dict(json.loads(path.read_text()), runtime_bench=lines))
    return code == 0


def lb():
    install({"haproxy": "haproxy"})
    code, lines = shown(["cargo", "bench", "--quiet", "-p", "gantry-lb", "--bench", "haproxy"])
    figure = Figure("lb")
    for line in lines:
        found = re.search(r"^(.*?):.*ratio (\d+(?:\.\d+)?)", line)
        if found:
            figure.row(f"requests per CPU second beside HAProxy's, {found[1]}", float(found[2]), at_least=1.0)
    if not figure.rows:
        print("    the bench printed no ratio")
        return False
    return figure.finish(lines=lines) and code == 0


def sim():
    """A thousand seeds of the real cores, within two minutes; then each planted bug, until it is found."""
    figure = Figure("sim")
    simulation = ["cargo", "run", "--release", "--quiet", "-p", "gantry-sim"]
    planted = [*simulation, "--features", "planted"]
    # Compiles it, so that the seeds alone are measured.
    code, _ = shown([*simulation, "--", "--help"], show=False)
    if code != 0:
        print("    the simulation could not be compiled: nothing was measured")
        return False
    begun = time.monotonic()
    code, lines = shown([*simulation, "--", "--seeds", str(SEEDS), "--jobs", "2"])
    figure.row(f"{SEEDS} seeds", round(time.monotonic() - begun, 1), "s", at_most=SEEDS_SECONDS_MAX)
    figure.row("exit code: 0 when no seed fails", code, at_most=0)
    code, bugs = shown([*planted, "--", "--planted", "all", "--seeds", str(SEEDS), "--jobs", "2"])
    figure.row("exit code: 0 when each planted bug is found", code, at_most=0)
    return figure.finish(lines=lines + bugs)


def shown(command, show=True):
    """Runs a program, shows its lines as they come and gives its exit code and them; it ends when its time is over."""
    print(f"    $ {' '.join(map(str, command))}", flush=True)
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )
    # Ends the whole group, and with it the pipe that is read below.
    timer = threading.Timer(BENCH_SECONDS_MAX, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            if show:
                print(f"    {lines[-1]}", flush=True)
        return process.wait(timeout=60), lines
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def install(packages):
    """Debian's packages of the programs that are missing."""
    missing = [package for program, package in packages.items() if not shutil.which(program)]
    if missing:
        print(f"    installing {' '.join(missing)}", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(["apt-get", "install", "-y", "-qq", *missing], check=True, env=environment, stdout=subprocess.DEVNULL)
