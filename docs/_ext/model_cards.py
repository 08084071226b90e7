"""A page for every installed domain pack, made from its ``card.json`` when the site is built."""

from __future__ import annotations

from pathlib import Path

from ase_elf.domains import installed


def write_cards(app) -> None:
    folder = Path(app.srcdir) / "cards"
    folder.mkdir(exist_ok=True)
    for name, pack in installed().items():
        lines = [*_page(pack.card)]
        for card in pack.ruler_cards.values():
            lines += _ruler(card)
        _write(folder / f"{name}.md", "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    """Only what changed, so that a second build has nothing to do."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _page(card: dict):
    yield f"# {card['name']}"
    yield ""
    yield f"{card.get('title', '')}. Elements: {', '.join(card['elements'])}{_needs(card)}. "
    yield f"Licence of the weights: {card.get('licence', 'not stated')}."
    yield ""
    yield f"`ase-elf info {card['name']}` prints the card this page is made from."
    yield ""
    if "intended_use" in card:
        yield from ("## Meant for", "", card["intended_use"].strip(), "")
    if "where_it_fails" in card:
        yield from ("## Where it fails", "")
        yield from (f"- {reason}" for reason in card["where_it_fails"])
        yield ""
    yield from ("## Trained range", "", "| quantity | from | to |", "|---|---|---|")
    for quantity, (low, high) in card["trained_range"].items():
        yield f"| `{quantity}` | {low:g} | {high:g} |"
    yield ""
    yield from ("Outside it a warning and a flag come with every result.", "")
    yield from ("## Reference", "", "| | |", "|---|---|")
    yield from (f"| {key.replace('_', ' ')} | {value} |" for key, value in card["reference"].items())
    yield from _accuracy(card.get("accuracy"))
    yield from ("", "## Made from", "")
    yield from (f"- {source}" for source in card.get("sources", ()))
    if "split" in card:
        yield from ("", card["split"].strip())
    yield from ("", f"Weights: `{card['weights']['file']}`, SHA-256 `{card['weights']['sha256']}`.")


def _needs(card: dict) -> str:
    """Elements that have to be there for the others to be known."""
    return f" (needs {' and '.join(card['must_hold'])})" if card.get("must_hold") else ""


def _accuracy(rows):
    """One line per structure, with the columns the first of them has."""
    if not isinstance(rows, list) or not rows:
        return
    columns = [key for key, value in rows[0].items() if not isinstance(value, dict | list)]
    yield from ("", "## Accuracy", "", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|")
    for row in rows:
        cells = [row.get(key) for key in columns]
        yield "| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells) + " |"


def _ruler(card: dict):
    """What a ruler was fitted to, and how it reads what it was not."""
    training = card["training"]
    yield from ("", f"## Ruler for {card['pair']} bonds", "")
    yield (
        f"Fitted to {training['bonds']} bonds of {training['shortest']} to "
        f"{training['longest']} Å, of {len(training['groups'])} groups: "
        f"{', '.join(training['groups'])}. Reading modes: {', '.join(card['modes'])}."
    )
    if "where_it_fails" in card:
        yield from ("", str(card["where_it_fails"]).strip())
    columns = ["n", "mae", "rmse", "bias", "coverage", "spearman", "spread", "f1"]
    yield from ("", "Bonds it was not fitted to (Å; `spread`: what the median length errs by):", "")
    yield from ("| bonds | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|")
    for name, row in card["test"].items():
        cells = [f"{row[key]:.4g}" if key in row else "" for key in columns]
        yield f"| {name} | " + " | ".join(cells) + " |"


def setup(app):
    app.connect("builder-inited", write_cards)
    return {"parallel_read_safe": True}
