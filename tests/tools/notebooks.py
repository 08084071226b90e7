"""Run the example notebook and store it with what it prints and draws.

    python tests/tools/notebooks.py

Pictures are kept as PNG of few colors. The 3D view is not: its data would make the file many times as large.
"""

from __future__ import annotations

import base64
import os
from io import BytesIO
from pathlib import Path

import nbclient
import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "hydrogen_network.ipynb"

KEPT = ("image/png", "text/plain")
"""Kinds of results that are stored."""


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook after all of its cells ran, in the folder that it lies in."""
    notebook = nbformat.read(path, as_version=4)
    os.environ["PYTHONPATH"] = str(ROOT)
    where = {"metadata": {"path": str(path.parent)}}
    return nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()


def fewer_colors(picture: str) -> str:
    """A picture with a palette of 96 colors: a third of the size."""
    stream = BytesIO()
    image = Image.open(BytesIO(base64.b64decode(picture))).convert("RGB")
    image.quantize(96).save(stream, format="png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def small(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same without times, and without results that are views or the names of drawn objects."""
    for cell in notebook.cells:
        cell.metadata.clear()
        for output in cell.get("outputs", ()):
            if "data" in output:
                output.metadata.clear()
                output.data = {kind: output.data[kind] for kind in KEPT if kind in output.data}
                if "image/png" in output.data:
                    output.data["image/png"] = fewer_colors(output.data["image/png"])
        if "view_network(" in cell.source and cell.cell_type == "code" and "import" not in cell.source:
            cell.outputs = []
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def main() -> None:
    nbformat.write(small(executed(NOTEBOOK)), NOTEBOOK)
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
