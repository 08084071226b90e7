"""Write the figures of benchmarks/results into the tables of docs/reliability.md.

    python tests/tools/reliability_page.py

Each table stands between ``<!-- NAME -->`` and ``<!-- end -->``; the text around it is written by
hand, also what it says of runs that are still missing.
"""

from __future__ import annotations

import re
from pathlib import Path

import figures
from fuzz import FORMATS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reliability.md"

NOT_YET = "No run has been finished yet."

WORK = {
    "store": "writing a store",
    "analyze": "`analyze` without report",
    "analyze-report": "`analyze` with plots and report",
    "train": "`train`",
    "build": "`dataset build`, stand-in engine",
    "build-espresso": "`dataset build`, Quantum ESPRESSO, H₂",
}
"""What the cases of ``tests/tools/kills.py`` do."""


def table(head: str, rows: list[list[object]]) -> str:
    """A table in Markdown; columns of the head are divided by ``|``."""
    lines = [head.split("|"), ["---"] * len(head.split("|")), *rows]
    return "\n".join("| " + " | ".join(str(cell).strip() for cell in line) + " |" for line in lines)


def fuzz(found: dict) -> str:
    rows = []
    for name in FORMATS:
        if name not in found:
            rows.append([name, 0, "", "", "", "", "not yet run"])
            continue
        sum_ = found[name]
        findings = {kind for run in sum_["runs"] for kind in run["findings"]}
        rows.append([name, f"{sum_['inputs']:,}", f"{sum_['seconds']:.0f}", f"{1e3 * sum_['slowest_s']:.0f}",
                     f"{sum_['peak_bytes'] / 1e3:.0f}", len(findings), sum_["runs"][-1]["date"]])  # fmt: skip
    inputs = sum(sum_["inputs"] for sum_ in found.values())
    seconds = sum(sum_["seconds"] for sum_ in found.values())
    rows.append(["all", f"{inputs:,}", f"{seconds:.0f}", "", "", "", ""])
    return table("format|inputs|processor time (s)|slowest (ms)|most memory (kB)|findings|last run", rows)


def kills(found: dict) -> str:
    rows = []
    for name, work in WORK.items():
        runs = found.get(name, [])
        last = [f"{runs[-1]['seconds']:.0f}", runs[-1]["date"]] if runs else ["", "not yet run"]
        rows.append([work, sum(r["kills"] for r in runs), sum(r["ends"] for r in runs), *last])
    return table(
        "work|kills|ends, all equal to the undisturbed run|undisturbed, processor time (s)|last run", rows
    )


def soak(found: dict) -> str:
    if not any(found.values()):
        return NOT_YET
    slopes = ("memory_slope_kB_per_1000_frames", "in_use_slope_kB_per_1000_frames",
              "pace_slope_ms_per_1000_frames")  # fmt: skip
    rows = [
        [name, run["weights"], f"{run['frames']:,}", run["memory_MB"],
         *(_with_error(run[slope]) for slope in slopes[:2]),
         run["seconds_per_frame"], _with_error(run[slopes[2]]), " and ".join(map(str, run["descriptors"])),
         run["date"]]
        for name, runs in found.items()
        for run in runs
    ]  # fmt: skip
    return table("process|weights|frames|memory (MB)|its slope (kB per 1000 frames)|slope in use|s per frame|its "
                 "slope (ms per 1000 frames)|descriptors, first and last|date", rows)  # fmt: skip


def bounds(found: dict) -> str:
    rows = [
        [end, run["outcome"], ", ".join(f"{n} {v}" for n, v in run["versions"].items()), run["date"]]
        for end, run in found.items()
    ]
    return table("end|outcome|versions|date", rows)


def _with_error(fit: dict) -> str:
    return f"{fit['slope']:g} ± {fit['error']:g}"


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, write in (("fuzz", fuzz), ("kills", kills), ("soak", soak), ("bounds", bounds)):
        path = RESULTS / f"{name}.json"
        made = write(figures.read(path)) if path.is_file() else NOT_YET
        text, n = re.subn(
            rf"<!-- {name} -->.*?<!-- end -->",
            f"<!-- {name} -->\n{made}\n<!-- end -->",
            text,
            flags=re.DOTALL,
        )
        if n != 1:
            raise SystemExit(f"{PAGE} has {n} places for {name}, one is needed.")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
