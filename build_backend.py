"""setuptools, with one line more in an editable installation: the path of this folder.

A clone is called as the package is, ``ase_elf``. In the folder above it Python takes the clone
for a package without ``__init__.py``, unless the path holds a real one; what setuptools installs
for packages that lie in other folders (``plugins/``) is asked only after that.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks of PEP 517

PATH_FILE = "__editable__.ase_elf.path.pth"


def build_editable(
    wheel_directory: str, config_settings: dict | None = None, metadata_directory: str | None = None
) -> str:
    """See PEP 660."""
    name = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    _add(Path(wheel_directory, name), PATH_FILE, f"{Path(__file__).resolve().parent}\n".encode())
    return name


def _add(wheel: Path, name: str, content: bytes) -> None:
    """Put a file into a wheel, and into its list of files."""
    with zipfile.ZipFile(wheel) as archive:
        files = {info: archive.read(info) for info in archive.infolist()}
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for info, data in files.items():
            if info.filename.endswith(".dist-info/RECORD"):
                data = f"{name},sha256={digest},{len(content)}\n".encode() + data
            archive.writestr(info, data)
