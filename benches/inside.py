"""Measures one figure inside the world that `run` made. Arguments: the figure's name and how often."""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "e2e")]

import pytest  # noqa: E402


def main():
    name, times = sys.argv[1], int(sys.argv[2])
    try:
        reached = importlib.import_module(f"figures.{name}").measure(times)
    except pytest.fail.Exception as failure:
        # What the harness's waits raise when their time is over.
        sys.exit(f"    {name}: {failure}")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
