"""Files of measured figures: JSON that several programs add to and one reads."""

from __future__ import annotations

import json
from pathlib import Path


def read(path: Path | None) -> dict:
    """What has been written down so far; nothing where there is no file."""
    return json.loads(path.read_text()) if path is not None and path.is_file() else {}


def write(path: Path, figures: dict) -> None:
    """Replace a file as a whole: it may be read at any moment, and the writer killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(figures, indent=1) + "\n")
    part.replace(path)
