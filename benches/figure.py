"""A figure: what was measured, beside its goal; a table for people and one line of JSON for machines."""

import json
import os
import pathlib

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "target" / "benches"


class Figure:
    def __init__(self, name, binary=None):
        self.name, self.binary, self.rows = name, binary, []

    def row(self, what, value, unit="", at_most=None, at_least=None, note=""):
        self.rows.append({"what": what, "value": value, "unit": unit, "at_most": at_most, "at_least": at_least, "note": note})

    def times(self, what, seconds, goals_ms=()):
        """Rows of percentiles in milliseconds; `goals_ms` gives a goal by the percentile's name."""
        goals = dict(goals_ms)
        for name in dict.fromkeys(("p50", "p99", *goals)):
            value = max(seconds) if name == "max" else percentile(seconds, int(name[1:]))
            self.row(f"{what}, {name} of {len(seconds)}", round(value * 1000, 2), "ms", at_most=goals.get(name))

    def finish(self, **more):
        """Prints and writes the figure; gives whether every goal was reached."""
        print(table(self.rows), flush=True)
        write(self.name, {"figure": self.name, "rows": self.rows, "binary": str(self.binary), "machine": machine(), **more})
        return all(reached(row) is not False for row in self.rows)


def percentile(values, percent):
    """The nearest rank: a value that was measured, never one between two."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def reached(row):
    """None where a row has no goal."""
    if row["at_most"] is not None:
        return row["value"] <= row["at_most"]
    if row["at_least"] is not None:
        return row["value"] >= row["at_least"]
    return None


def table(rows):
    words = {True: "reached", False: "MISSED", None: ""}
    lines = [("", "measured", "goal", "", "")]
    for row in rows:
        goal = f"<= {row['at_most']}" if row["at_most"] is not None else ""
        goal = f">= {row['at_least']}" if row["at_least"] is not None else goal
        lines.append((row["what"], f"{row['value']} {row['unit']}".strip(), goal, words[reached(row)], row["note"]))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    shown = (
        f"    {what:<{widths[0]}}  {value:>{widths[1]}}  {goal:>{widths[2]}}  {word:<{widths[3]}}  {note}".rstrip()
        for what, value, goal, word, note in lines
    )
    return "\n".join(shown)


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_kib = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    return {
        "processors": os.cpu_count(),
        "model": model,
        "memory_mib": memory_kib // 1024,
        "kernel": os.uname().release,
        "load_average": os.getloadavg(),
    }


def write(name, result):
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result) + "\n")
