#!/usr/bin/env python3
"""Runs the end-to-end tests: real AWS clients against the real binary with real containers.

Each test module gets a world of its own: a network, mount and process namespace in which it starts its own server. Worlds
cannot reach each other or anything else, run side by side, and take every process, mount, link and nftables table with
them when they end, however they end. What namespaces do not hold (control groups) is looked for afterwards; anything left
fails the run.

    tests/e2e/run.py                 all modules
    tests/e2e/run.py test_service    one module
    tests/e2e/run.py test_service -- -k rolling -x    with arguments for pytest
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "e2e"
VENV = WORK / "venv"
MODULE_SECONDS_MAX = 900
WORLDS_AT_ONCE = 2


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    names, pytest_arguments = arguments[:split], arguments[split + 1 :]
    modules = sorted(path for path in HERE.glob("test_*.py") if not names or path.stem in names)
    if not modules:
        sys.exit(f"no test module is named {' or '.join(names)}")
    require_privileges()
    WORK.mkdir(parents=True, exist_ok=True)
    make_venv()
    environment = dict(os.environ, GANTRY_BINARY=str(build_gantry()), GANTRY_TEST_APP=str(build_app()))
    with concurrent.futures.ThreadPoolExecutor(WORLDS_AT_ONCE) as pool:
        runs = pool.map(lambda module: run_module(module, environment, pytest_arguments), modules)
        outcomes = [report(module, *run) for module, run in zip(modules, runs)]
    passed = sum(passed for passed, _ in outcomes)
    failed = sum(failed for _, failed in outcomes)
    print(f"\n{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def require_privileges():
    if os.geteuid() != 0:
        sys.exit("the end-to-end tests make namespaces, links and control groups: run them as root")
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True)
    if probe.returncode != 0:
        sys.exit(f"this machine does not let root make namespaces: {probe.stderr.decode().strip()}")


def make_venv():
    wanted = (HERE / "requirements.txt").read_text()
    stamp = VENV / "requirements.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    print("making the Python environment of the AWS clients", flush=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
    stamp.write_text(wanted)


def build_gantry():
    given = os.environ.get("GANTRY_BINARY")
    if given:
        return pathlib.Path(given).resolve()
    subprocess.run(["cargo", "build", "--quiet", "--package", "gantry"], cwd=ROOT, check=True)
    return ROOT / "target" / "debug" / "gantry"


def build_app():
    source, app = ROOT / "tests" / "app" / "main.rs", WORK / "image" / "app"
    if not app.exists() or app.stat().st_mtime < source.stat().st_mtime:
        app.parent.mkdir(exist_ok=True)
        flags = ["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]
        subprocess.run(["rustc", *flags, source, "-o", app], check=True)
    shutil.copy(ROOT / "tests" / "app" / "Dockerfile", app.parent / "Dockerfile")
    return app.parent


def run_module(module, environment, pytest_arguments):
    """Runs one module in its own world; gives pytest's output, its exit code and what was left behind."""
    with tempfile.TemporaryDirectory(prefix="gantry-e2e-") as world:
        inside = [VENV / "bin" / "python", "-m", "pytest", "-q", "-rs", "-rs", "-p", "no:cacheprovider", module, *pytest_arguments]
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", HERE / "world", *inside]
        environment = dict(environment, GANTRY_WORLD=world)
        try:
            run = subprocess.run(
                command, env=environment, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=MODULE_SECONDS_MAX
            )
            output, code = run.stdout.decode(errors="replace"), run.returncode
        except subprocess.TimeoutExpired as expired:
            output = (expired.stdout or b"").decode(errors="replace") + f"\nnot done after {MODULE_SECONDS_MAX} s: stopped\n"
            code = 1
        return output, code, remove_leftovers(pathlib.Path(world))


def remove_leftovers(world):
    """Control groups of the world's servers that outlived it: removed, and named."""
    left = []
    names = {f"gantry-{instance.read_text().strip()}" for instance in world.glob("*/instance")}
    # Groups of other worlds vanish meanwhile, which `walk` passes over.
    for parent, groups, _ in os.walk("/sys/fs/cgroup"):
        for group in (os.path.join(parent, name) for name in groups if name in names):
            left.append(group)
            for path, _, _ in sorted(os.walk(group), reverse=True):
                try:
                    os.rmdir(path)
                except OSError as error:
                    left.append(f"{path} (not removed: {error.strerror})")
    return left


def report(module, output, code, left):
    print(f"--- {module.stem}\n{output}", flush=True)
    for path in left:
        print(f"left behind: {path}")
    count = lambda word: sum(int(number) for number in re.findall(rf"(\d+) {word}", output.strip().rsplit("\n", 1)[-1]))
    passed, failed = count("passed"), count("failed") + count("error")
    if code != 0 and not failed:
        failed = 1
    return passed, failed + len(left)


if __name__ == "__main__":
    main()
