"""Write the examples into a folder: ``python -m ase_elf.examples [FOLDER]``."""

import shutil
import sys
from pathlib import Path

from ase_elf.examples import NAMES, path

__all__: list[str] = []

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        print(shutil.copyfile(path(name), folder / f"{name}.extxyz"))  # noqa: T201
