"""LabelStore: a folder of labels that only ever grows and survives being killed.

``shards/<digest>.npz`` hold the labels; each is written once, under a temporary name, and
renamed when complete. ``manifest.jsonl`` lists them, one line per label, and can be made
again from the shards. ``failures.jsonl`` lists what could not be labelled, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ase_elf.dataset.label import Label, decode, encode
from ase_elf.domains import describe
from ase_elf.errors import FormatError, InputError, OutputError

RECIPE = "recipe.json"
MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"

_SHARD = re.compile(r"[0-9a-f]{16}\.npz")


class LabelStore:
    """Labels in a folder.

    Parameters
    ----------
    folder : str or Path
        Must exist unless ``create`` is set.
    create : bool
        Make the folder where it does not exist, and put right what an interrupted writer
        left behind. Only one writer may have a store open; :func:`ase_elf.dataset.build`
        sees to that with a lock.

    Examples
    --------
    >>> import tempfile
    >>> store = LabelStore(tempfile.mkdtemp(), create=True)
    >>> len(store)
    0
    """

    def __init__(self, folder: str | Path, *, create: bool = False) -> None:
        self.folder = Path(folder)
        if create:
            (self.folder / "shards").mkdir(parents=True, exist_ok=True)
        elif not (self.folder / MANIFEST).is_file():
            raise InputError(
                f"{self.folder} is no label store (it holds no {MANIFEST}); "
                "make one with `ase-elf dataset build`."
            )
        self.records: dict[str, dict] = {}
        """Manifest line of every label, by id, in the order they were stored."""
        for record in _read_lines(self.folder / MANIFEST):
            if not _SHARD.fullmatch(str(record.get("shard"))):
                raise FormatError(
                    f"{self.folder / MANIFEST} lists a shard {record.get('shard')!r:.100}, which "
                    "is no name of one. Delete the file: a store makes its manifest again."
                )
            self.records[record["id"]] = record
        if create:
            self._repair()

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, label_id: str) -> bool:
        return label_id in self.records

    def __iter__(self) -> Iterator[Label]:
        """Labels in manifest order, read one shard at a time."""
        held, labels = "", {}
        for record in self.records.values():
            if record["shard"] != held:
                held = record["shard"]
                labels = self._read_shard(held)
            yield self._label(record, labels)

    def select(self, *splits: str) -> Iterator[Label]:
        """Labels that belong to ``splits``, or all of them if none is named."""
        return (label for label in self if not splits or label.split in splits)

    def __getitem__(self, label_id: str) -> Label:
        if label_id not in self.records:
            raise InputError(f"the store {self.folder} holds no label {label_id!r}.")
        record = self.records[label_id]
        return self._label(record, self._read_shard(record["shard"]))

    @property
    def recipe(self) -> dict:
        """Engine and options that made the labels; empty for a store without labels."""
        path = self.folder / RECIPE
        if not path.is_file():
            return {}
        try:
            recipe = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path} is no recipe ({str(error)[:200]}).") from error
        if not isinstance(recipe, dict):
            raise FormatError(f"{path} is no recipe, but {recipe!r:.100}.")
        return recipe

    def set_recipe(self, recipe: dict) -> None:
        """Fix the recipe; :class:`InputError` if the store already has another one."""
        wanted = json.loads(json.dumps(recipe, sort_keys=True))
        if self.recipe and self.recipe != wanted:
            changed = sorted(
                key
                for key in {*self.recipe, *wanted}
                if self.recipe.get(key) != wanted.get(key)
            )
            raise InputError(
                f"the labels in {self.folder} were made with another recipe (it differs in "
                f"{', '.join(changed)}); labels of two recipes are not mixed. "
                "Choose another output folder."
            )
        if not self.recipe:
            write_atomically(self.folder / RECIPE, _line(wanted).encode())

    def append(self, labels: Iterable[Label]) -> None:
        """Add labels as one shard.

        Raises
        ------
        OutputError
            The disk is full or not writable. What was stored before is untouched.
        """
        labels = [label for label in labels if label.id not in self.records]
        if not labels:
            return
        data = encode(labels)
        digest = hashlib.sha256(data).hexdigest()
        shard = f"{digest[:16]}.npz"
        write_atomically(self.folder / "shards" / shard, data)
        self._index(labels, shard, digest)

    def fail(self, label_id: str, name: str, problems: list[str]) -> None:
        """Record that a structure could not be labelled, with the message of each attempt."""
        record = {"id": label_id, "name": name, "problems": problems}
        _append_line(self.folder / FAILURES, record)

    @property
    def failures(self) -> dict[str, dict]:
        """The last failure of every structure that has no label, by id."""
        found = {record["id"]: record for record in _read_lines(self.folder / FAILURES)}
        return {key: record for key, record in found.items() if key not in self.records}

    def verify(self) -> None:
        """Compare every shard with its digest; :class:`FormatError` names the first bad one."""
        for shard, digest in {r["shard"]: r.get("sha256") for r in self.records.values()}.items():
            path = self.folder / "shards" / shard
            if hashlib.sha256(_read(path)).hexdigest() != digest:
                raise FormatError(f"{path} does not match its digest; it was altered or damaged.")

    def _read_shard(self, shard: str) -> dict[str, Label]:
        """Labels of a shard by id. Its name is the beginning of its digest."""
        path = self.folder / "shards" / shard
        data = _read(path)
        if hashlib.sha256(data).hexdigest()[:16] != path.stem:
            raise FormatError(f"{path} does not match its digest; it was altered or damaged.")
        return {label.id: label for label in decode(data, source=str(path))}

    def _label(self, record: dict, shard: dict[str, Label]) -> Label:
        if record["id"] not in shard:
            raise FormatError(
                f"{self.folder / MANIFEST} lists a label {record['id']!r:.100} that is not in "
                f"{record['shard']}. Delete the file: a store makes its manifest again."
            )
        return shard[record["id"]]

    def _index(self, labels: list[Label], shard: str, digest: str) -> None:
        for label in labels:
            record = {
                "id": label.id,
                "name": label.name,
                "split": label.split,
                "kind": label.kind,
                "shard": shard,
                "sha256": digest,
                "formula": label.atoms.get_chemical_formula(),
                "n_values": int(label.values.size),
                "holds": "grid" if label.points is None else "points",
                "energy": label.energy,
                **_density(label),
                "provenance": label.provenance.as_dict(),
            }
            _append_line(self.folder / MANIFEST, record)
            self.records[label.id] = record

    def _repair(self) -> None:
        """Drop half-written files and lines; list shards that did not reach the manifest."""
        for name in ("shards/*", RECIPE, MANIFEST, FAILURES):
            for partial in self.folder.glob(f"{name}.partial-*"):
                partial.unlink()
        for name in (MANIFEST, FAILURES):
            path = self.folder / name
            if not path.exists():
                path.touch()
            elif (text := path.read_bytes()) and not text.endswith(b"\n"):
                write_atomically(path, text[: text.rfind(b"\n") + 1])
        listed = {record["shard"] for record in self.records.values()}
        for path in sorted((self.folder / "shards").glob("*.npz")):
            if path.name not in listed:
                labels = self._read_shard(path.name).values()
                fresh = [label for label in labels if label.id not in self.records]
                self._index(fresh, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def _density(label: Label) -> dict[str, float]:
    if not label.atoms.pbc.all():
        return {}
    return {key: round(value, 4) for key, value in describe(label.atoms).items()}


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either complete under its name or absent.

    Raises
    ------
    OutputError
        The disk is full or not writable; no partial file is left.
    """
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path} ({len(data) / 1e6:.2f} MB): {error.strerror or error}. "
            "Everything finished so far is kept; make room and start again to go on."
        ) from error


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FormatError(f"{path} is listed in the manifest but missing.")
    return path.read_bytes()


def _line(record: dict) -> str:
    return json.dumps(record, sort_keys=True) + "\n"


def _append_line(path: Path, record: dict) -> None:
    try:
        with path.open("ab") as target:
            target.write(_line(record).encode())
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise OutputError(
            f"cannot add to {path}: {error.strerror or error}. Everything finished so far is "
            "kept; make room and start again to go on."
        ) from error


def _read_lines(path: Path) -> Iterator[dict]:
    """Records of a file of JSON lines; a last line without its end was cut off, and skipped."""
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
                if not isinstance(record, dict) or not isinstance(record.get("id"), str):
                    raise ValueError("no record with an id")
            except (ValueError, RecursionError) as error:
                raise FormatError(
                    f"line {number} of {path} is damaged ({str(error)[:200]}). Delete the file: a "
                    "store makes its manifest again from the shards."
                ) from error
            yield record
