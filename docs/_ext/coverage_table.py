"""The periodic table of the front page: which elements are known, and how well, from the cards of the packs."""

from __future__ import annotations

from html import escape
from pathlib import Path
from statistics import median

from ase.data import atomic_names, atomic_numbers, chemical_symbols

from ase_elf.domains import installed

CLASSES = (
    (0.995, "very-good", "R² above 0.995"),
    (0.98, "good", "0.98 to 0.995"),
    (-1e9, "fair", "below 0.98"),
)
"""Least median R² of held-out structures that hold an element, the class of its cell, and what the legend says."""

UNTESTED = ("untested", "trained on, none held out")


def place(number: int) -> tuple[int, int]:
    """Row and column of an element, from 1; lanthanides and actinides in rows 8 and 9."""
    for first, row in ((57, 8), (89, 9)):
        if first <= number < first + 15:
            return row, 3 + number - first
    starts = (1, 3, 11, 19, 37, 55, 87)
    row = max(r for r, start in enumerate(starts, 1) if number >= start)
    at, ends = number - starts[row - 1], (2, 8, 8, 18, 18, 32, 32)
    fromright = ends[row - 1] - at
    if row == 1:
        return row, 1 if at == 0 else 18
    if at < 2:
        return row, at + 1
    return row, 19 - fromright


def known() -> dict[str, list[tuple[str, int, float | None, bool]]]:
    """Element to what each pack says: name, held-out structures, their median R² or None, only in some compounds."""
    found: dict[str, list] = {}
    for name, pack in installed().items():
        card = pack.card
        rows = [row["r2"] for row in card.get("accuracy", ()) if row.get("split") == "test" and "r2" in row]
        for symbol in card["elements"]:
            if "accuracy_by_element" in card:
                row = card["accuracy_by_element"].get(symbol, {})
                n, r2 = row.get("structures", 0), row.get("r2")
            else:
                n, r2 = len(rows), median(rows) if rows else None
            found.setdefault(symbol, []).append((name, n, r2, bool(card.get("must_hold"))))
    return found


def cell(symbol: str, packs: list[tuple[str, int, float | None, bool]]) -> str:
    """One element: colored by the best pack that is not for some compounds only, with a link to its card."""
    number = atomic_numbers[symbol]
    row, column = place(number)
    where = f'style="grid-row:{row};grid-column:{column}"'
    if not packs:
        return f'<span class="element" {where} title="{atomic_names[number]}: not known">{symbol}</span>'
    everywhere = [pack for pack in packs if not pack[3]] or packs
    best = max(everywhere, key=lambda pack: -1.0 if pack[2] is None else pack[2])
    kind = UNTESTED[0] if best[2] is None else next(name for least, name, _ in CLASSES if best[2] >= least)
    told = "; ".join(
        f"{name}: " + (UNTESTED[1] if r2 is None else f"R² {r2:.4f}, median of {n} held-out structures")
        for name, n, r2, _ in packs
    )
    title = escape(f"{atomic_names[number]}. {told}")
    return f'<a class="element {kind}" {where} href="cards/{best[0]}.html" title="{title}">{symbol}</a>'


def table() -> str:
    """The table as HTML."""
    packs = known()
    cells = [cell(symbol, packs.get(symbol, [])) for symbol in chemical_symbols[1:104]]
    kinds = [(name, text) for _, name, text in CLASSES] + [UNTESTED]
    legend = " ".join(f'<span><i class="element {name}"></i> {text}</span>' for name, text in kinds)
    return (
        f'<div class="elements">{"".join(cells)}</div>\n<p class="elements-legend">{legend} '
        "<span>Median over structures that were not trained on; an element leads to its model card.</span></p>\n"
    )


def write_table(app) -> None:
    """As a fragment that the front page includes."""
    path = Path(app.srcdir) / "cards" / "coverage.html"
    path.parent.mkdir(exist_ok=True)
    text = table()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_table)
    return {"parallel_read_safe": True}
