"""How long `gantry up` takes to the first 200: the lab's template with the test program in it.

First with nothing but the binary; then, each time, with the image there and no server, and with a server that runs an earlier
stack's remains no more: what a developer waits for who comes back to the same template. The clock starts before the process.
"""

import json
import os
import pathlib
import re
import subprocess
import time

from conftest import APP_IMAGE, BINARY, WORLD
from figure import Figure

LAB = pathlib.Path(__file__).resolve().parents[2] / "examples" / "resilience-lab" / "template.yaml"
UP_SECONDS_MAX = 120


def measure(times):
    figure = Figure("up", BINARY)
    folder, state = WORLD / "lab", WORLD / "state"
    folder.mkdir()
    text = LAB.read_text().replace("        Context: image\n        Prepare: ./build\n", f"        Context: {APP_IMAGE}\n")
    text = text.replace("          Essential: true\n", '          Essential: true\n          Command: ["serve", "8000"]\n')
    (folder / "template.yaml").write_text(text)

    def run(*words):
        begun = time.monotonic()
        command = [BINARY, *words, "--state-dir", state]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=UP_SECONDS_MAX)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return time.monotonic() - begun, done.stderr

    def first_answer(said):
        found = re.search(r"200 OK from .*, ([\d.]+) (ms|s) after the start", said)
        assert found, said
        return float(found[1]) / (1000 if found[2] == "ms" else 1)

    _, said = run("up")
    (state / "instance").write_text(json.loads((state / "run" / "server.json").read_text())["instance"])
    steps = [line.strip() for line in said.splitlines() if re.match(r"(server|image|stack) ", line) or "200 OK" in line]
    figure.row("nothing there: `gantry up` to the first 200", round(first_answer(said) * 1000), "ms")
    again, updates, downs = [], [], []
    for number in range(times):
        seconds, _ = run("down")
        downs.append(seconds)
        again.append(first_answer(run("up")[1]))
        updates.append(run("up", "--parameter", f"Greeting=version {number}")[0])
    downs.append(run("down")[0])
    figure.times("image cached, no server: `gantry up` to the first 200", again, {"p99": 3000})
    figure.times("a new task definition: the whole `gantry up`", updates)
    figure.times("`gantry down`, the server included", downs)
    finished = figure.finish(steps=steps)
    for step in steps:
        print(f"    {step}", flush=True)
    left = [entry for entry in pathlib.Path("/proc").glob("[0-9]*") if str(state).encode() in command_line(entry)]
    assert not left, left
    return finished


def command_line(entry):
    try:
        return (entry / "cmdline").read_bytes() if int(entry.name) != os.getpid() else b""
    except OSError:
        return b""
