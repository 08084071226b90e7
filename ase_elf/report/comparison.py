"""comparison.json and report.html of two ELF or two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ase_elf.plotting.figure import save, style, svg
from ase_elf.report.html import CITE, embedded, render, table_rows
from ase_elf.report.tables import write_json
from ase_elf.storage.atomic import replacing

__all__ = ["Comparison", "write_comparison"]

COLUMNS = ("quantity", "A", "B", "B - A")


class Comparison(Protocol):
    """What can be written: see :mod:`ase_elf.runs.comparison`."""

    names: tuple[str, str]

    def rows(self) -> Sequence[Sequence[str]]: ...

    def record(self) -> dict[str, Any]: ...

    def headline(self) -> tuple[str, str]: ...

    def figures(self) -> dict[str, tuple[str, Any]]: ...


def write_comparison(
    directory: Path, comparison: Comparison, *, warnings: Sequence[str], packs: Mapping[str, Sequence[str]]
) -> None:
    """Write numbers, plots and report into a directory."""
    rows = comparison.rows()
    columns = COLUMNS if rows and len(rows[0]) == len(COLUMNS) else ("quantity", "value")
    folder = directory / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for name, (title, figure) in comparison.figures().items():
        with style():
            save(figure, folder / name)
        figures.append(embedded(name, svg(figure), title, ""))
    text = render(
        "comparison.html",
        title="ELF compared",
        warnings=warnings,
        fine="",
        facts=dict(zip("AB", comparison.names, strict=True)),
        headline=comparison.headline(),
        figures=figures,
        columns=columns,
        rows=table_rows(rows),
        topics=CITE[:3],
        packs=packs,
        view=None,
    )
    with replacing(directory / "report.html") as part:
        part.write_text(text, encoding="utf-8")
    with replacing(directory / "comparison.json") as part:
        write_json(part, {**comparison.record(), "warnings": list(warnings)})
