"""The directory of a run: whose it is, and where its numbers come from."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ase_elf import __version__
from ase_elf.domains import Domain
from ase_elf.errors import FormatError, OutputError
from ase_elf.statistics.frame import FrameResult
from ase_elf.storage.atomic import PART, replacing
from ase_elf.storage.configuration import read_mapping
from ase_elf.storage.journal import Journal

__all__ = [
    "PROVENANCE",
    "RESULTS",
    "OtherRun",
    "claim",
    "pack_digest",
    "read_provenance",
    "versions",
    "write_config",
]

CONFIG, JOURNAL, SNAPSHOTS, LOG = "config.yaml", "journal.jsonl", "snapshots", "run.log"
PROVENANCE = "provenance"
"""The one key of ``config.yaml`` that is no option."""


def pack_digest(domain: Domain) -> str:
    """Digest of the card of a pack: of all its weights, and of what else shapes its results."""
    return f"{zlib.crc32(json.dumps(domain.card, sort_keys=True).encode()):08x}"


class OtherRun(OutputError):
    """A directory holds a run with other settings.

    Parameters
    ----------
    directory : Path
    different : dict of str to tuple
        Settings to their values there and now.
    """

    def __init__(self, directory: Path, different: Mapping[str, tuple[Any, Any]]) -> None:
        self.directory, self.different = directory, different
        super().__init__(self.told("overwrite=True", "another directory"))

    def told(self, overwrite: str, elsewhere: str) -> str:
        """The message, with the words for starting over and for going elsewhere."""
        details = ", ".join(f"{k} {there} there, {now} now" for k, (there, now) in self.different.items())
        return (
            f"{self.directory} holds a run with other settings ({details}). Give {overwrite} to "
            f"start over there, which deletes its results, or choose {elsewhere}."
        )


def claim(
    directory: Path,
    identity: Mapping[str, Any],
    options: Mapping[str, Any],
    sources: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Take an empty directory for a run by writing its ``config.yaml``, or find it taken.

    Raises
    ------
    OtherRun
        The directory holds a run of another identity, and ``overwrite`` is false.
    OutputError
        The directory holds something else.
    """
    if (directory / CONFIG).exists():
        stored = read_provenance(directory)["identity"]
        if overwrite:
            _clear(directory)
            write_config(directory, options, identity, overwrite=True, sources=dict(sources))
            return
        different = {
            key: (stored.get(key, "not stated"), identity.get(key, "not stated"))
            for key in dict.fromkeys([*identity, *stored])
            if stored.get(key) != identity.get(key)
        }
        if different:
            raise OtherRun(directory, different)
        return
    # A process killed in here leaves the unfinished file, which is written over.
    if any(path.name != CONFIG + PART for path in directory.iterdir()):
        raise OutputError(
            f"{directory} is not empty and holds no analysis; choose another output "
            "directory (-o), or empty it."
        )
    write_config(directory, options, identity, sources=dict(sources))


RESULTS = ("summary.json", "frames.csv", "bonds.csv", "screening.json", "screening.csv", "report.html")
"""Files that a run writes beside its journal."""


def _clear(directory: Path) -> None:
    """Delete what a run left, and nothing else, unless another process is writing to it."""
    with Journal(directory / JOURNAL, FrameResult) as journal:
        journal.keep(0)
        for name in (*RESULTS, LOG):
            (directory / name).unlink(missing_ok=True)
        for pattern in (f"{SNAPSHOTS}/*.npz", "plots/*.png", "plots/*.svg"):
            for path in directory.glob(pattern):
                path.unlink()


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"ase_elf": __version__, "python": platform.python_version()}
    for package in ("ase", "numpy", "scipy", "torch", "MDAnalysis", "vesin"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_config(
    directory: Path,
    options: Mapping[str, Any],
    identity: Mapping[str, Any],
    *,
    overwrite: bool = False,
    **more: Any,
) -> None:
    """Write ``config.yaml``: options first, then where they and the numbers come from.

    Raises
    ------
    OutputError
        There is one: another process was faster.
    """
    config = directory / CONFIG
    provenance = {"identity": dict(identity), **more, "versions": versions()}
    content = {**options, PROVENANCE: provenance}
    with replacing(config) as part:
        if config.exists() and not overwrite:  # asked here, where no other process can write it
            raise OutputError(
                f"another run has just begun in {directory}; wait for it to end, or choose another "
                "output directory (-o)."
            )
        part.write_text(
            yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True),
            encoding="utf-8",
        )


class _Plain(yaml.SafeDumper):
    """Writes a list that occurs twice twice: aliases are refused on reading."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def read_provenance(directory: Path) -> dict[str, Any]:
    """What ``config.yaml`` of a run says about where it came from.

    Raises
    ------
    OutputError
        When the directory holds no analysis.
    """
    path = Path(directory) / CONFIG
    try:
        provenance = read_mapping(path)[PROVENANCE]
        provenance["identity"]["start"]
    except (FormatError, KeyError, TypeError) as error:
        raise OutputError(
            f"{directory} is not the output directory of an analysis: it has no sound {CONFIG}."
        ) from error
    return provenance
