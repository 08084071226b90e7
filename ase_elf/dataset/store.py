"""LabelStore: a folder of labels that only ever grows and survives being killed.

``shards/<digest>.npz`` hold the labels; each is written once, under a temporary name, and
renamed when complete. ``manifest.csv`` lists them, one row per label, and can be made
again from the shards. ``batches.yaml`` says what the labels of a batch share: how they were
computed, and where their geometries come from. ``failures.jsonl`` lists what could not be
labelled, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from ase_elf.dataset import manifest
from ase_elf.dataset.geometries import find_geometries
from ase_elf.dataset.label import BATCH, Label
from ase_elf.dataset.manifest import Row, matching
from ase_elf.dataset.shard import StoredLabel, decode, encode
from ase_elf.errors import FormatError, InputError, OutputError
from ase_elf.ruler.bond_set import BondSet
from ase_elf.storage.configuration import read_mapping

__all__ = ["OLD_MANIFEST", "OLD_RECIPE", "LabelStore", "is_store", "write_atomically"]

MANIFEST = "manifest.csv"
BATCHES = "batches.yaml"
FAILURES = "failures.jsonl"

OLD_MANIFEST, OLD_RECIPE = "manifest.jsonl", "recipe.json"
"""Of stores that were written before 0.2."""


class LabelStore:
    """Labels in a folder.

    Parameters
    ----------
    folder : str or Path
        Must exist unless ``create`` is set.
    create : bool
        Make the folder where it does not exist, put right what an interrupted writer
        left behind, and bring a store of the old form into this one. Only one writer may have a
        store open; :func:`ase_elf.dataset.build` sees to that with a lock.

    Examples
    --------
    >>> import tempfile
    >>> store = LabelStore(tempfile.mkdtemp(), create=True)
    >>> len(store)
    0
    """

    def __init__(self, folder: str | Path, *, create: bool = False) -> None:
        self.folder = Path(folder)
        self._held: tuple[str, dict[str, StoredLabel]] = "", {}
        if create:
            (self.folder / "shards").mkdir(parents=True, exist_ok=True)
        elif not is_store(self.folder):
            raise InputError(
                f"{self.folder} is no label store (it holds no {MANIFEST}); "
                "make one with `ase-elf dataset build`."
            )
        self.rows: dict[str, Row] = {}
        """Row of every label in the manifest, by id, in the order they were stored."""
        if (self.folder / MANIFEST).is_file():
            self.rows = manifest.read_rows(self.folder / MANIFEST)
        elif (self.folder / OLD_MANIFEST).is_file():
            self.rows = _old_rows(self.folder / OLD_MANIFEST)
            if not create:
                warnings.warn(
                    f"{self.folder} is a label store of the old form ({OLD_MANIFEST}), which 0.3 will not "
                    "read; `ase-elf dataset build` into it brings it into the new one.",
                    DeprecationWarning,
                    stacklevel=2,
                )
        if create:
            self._repair()

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, label_id: str) -> bool:
        return label_id in self.rows

    def __iter__(self) -> Iterator[Label]:
        """All labels, as :meth:`select` gives them."""
        return self.select()

    def select(
        self,
        *splits: str,
        where: Mapping[str, object] | None = None,
        geometries: Iterable[str | Path] = (),
    ) -> Iterator[Label]:
        """Labels in manifest order, read one shard at a time.

        Parameters
        ----------
        *splits : str
            Only labels of these; of all splits if none is named.
        where : mapping of column to scalar or list, optional
            Only labels whose columns in the manifest are equal to it, or to one of the list.
        geometries : iterable of path, optional
            Files that ASE reads, with frames that have ``info["id"]``: for labels on geometries that
            are not stored.

        Yields
        ------
        Label
            Images of bonds, and rows that refine others, are not labels by themselves and left out
            (:meth:`images`, :meth:`refine`).

        Raises
        ------
        InputError
            A column does not exist, no label has a value asked for, or a geometry is in none of the files.
        FormatError
            A shard is damaged.
        """
        rows = [
            row
            for row in self._rows(where)
            if (not splits or row["split"] in splits) and not row["refines"] and not _images(row)
        ]
        wanted = {_id_at_owner(row) for row in rows} - {""}
        found = find_geometries(wanted, geometries) if wanted else {}
        missing = [row for row in rows if _id_at_owner(row) and _id_at_owner(row) not in found]
        if missing:
            first, given = missing[0], ", ".join(map(str, geometries)) or "none was given"
            said = self.batches.get(first["batch"], {}).get("geometries", first["geometry"].partition(":")[0])
            raise InputError(
                f"{len(missing)} of {len(rows)} labels of {self.folder} are on geometries that are not stored "
                f"with them, and the first, {first['geometry']!r}, is in no file of geometries ({given}). "
                f"They are from: {said}. Name files whose frames have info['id'] (geometries: in a "
                "configuration, --geometries, or geometries=), or choose other labels (where:)."
            )
        return (self._stored(row).label(found.get(_id_at_owner(row))) for row in rows)

    def images(self, where: Mapping[str, object] | None = None) -> list[BondSet]:
        """Images of bonds among the labels that ``where`` chooses, one set per structure."""
        return [self._stored(row).bonds() for row in self._rows(where) if _images(row)]

    def refine(self, labels: Iterable[Label], where: Mapping[str, object] | None = None) -> list[Label]:
        """``labels``, with the values of rows that refine them where there are such.

        Parameters
        ----------
        labels : iterable of Label
            On grids; of any store.
        where : mapping, optional
            Which rows, as in :meth:`select`.

        Returns
        -------
        list of Label
            A label that no row refines is the same object.
        """
        finer = {row["refines"]: row for row in self._rows(where) if row["refines"]}
        return [
            self._stored(finer[label.id]).refine(label) if label.id in finer else label for label in labels
        ]

    def stored(self) -> Iterator[StoredLabel]:
        """All rows as they are stored, whatever they hold and whosever geometry they need."""
        return (self._stored(row) for row in self.rows.values())

    def find(self, label_id: str) -> StoredLabel:
        """A label as it is stored; :class:`InputError` where there is none."""
        if label_id not in self.rows:
            raise InputError(f"the store {self.folder} holds no label {label_id!r}.")
        return self._stored(self.rows[label_id])

    def __getitem__(self, label_id: str) -> Label:
        return self.find(label_id).label()

    @property
    def batches(self) -> dict[str, dict]:
        """What the labels of a batch share, by its name: ``engine`` and ``options``, and whatever else is
        written there of source and licence.
        """
        path = self.folder / BATCHES
        if path.is_file():
            found = read_mapping(path)
        elif (self.folder / OLD_RECIPE).is_file():
            found = {BATCH: _old_recipe(self.folder / OLD_RECIPE)}
        else:
            return {}
        for name, facts in found.items():
            if not isinstance(name, str) or not isinstance(facts, dict):
                raise FormatError(f"{path}: batch {name!r:.100} is {facts!r:.100}, not a mapping.")
        return found

    def set_batch(self, name: str, facts: dict) -> None:
        """Fix what labels of a batch share; :class:`InputError` if the batch says otherwise already."""
        wanted, known = json.loads(json.dumps(facts)), self.batches.get(name)
        if known is None:
            path = self.folder / BATCHES
            before = path.read_bytes().rstrip() + b"\n" if path.is_file() else b""
            text = yaml.safe_dump({name: wanted}, sort_keys=False, allow_unicode=True, width=120)
            write_atomically(path, before + text.encode())
            return
        changed = sorted(key for key in wanted if known.get(key) != wanted[key])
        if changed:
            raise InputError(
                f"the labels of batch {name!r} in {self.folder} were made with another recipe (it differs in "
                f"{', '.join(changed)}); labels of two recipes are not mixed. "
                "Choose another output folder, or another name for the batch (`batch:`)."
            )

    def append(self, labels: Iterable[Label | StoredLabel]) -> None:
        """Add labels as one shard; those whose id is there already are left out.

        Raises
        ------
        OutputError
            The disk is full or not writable. What was stored before is untouched.
        """
        fresh = [
            StoredLabel.of(label) if isinstance(label, Label) else label
            for label in labels
            if label.id not in self.rows
        ]
        if not fresh:
            return
        data = encode(fresh)
        digest = hashlib.sha256(data).hexdigest()
        shard = f"{digest[:16]}.npz"
        write_atomically(self.folder / "shards" / shard, data)
        self._list(fresh, shard, digest)

    def fail(self, label_id: str, name: str, problems: list[str]) -> None:
        """Record that a structure could not be labelled, with the message of each attempt."""
        record = {"id": label_id, "name": name, "problems": problems}
        _append(self.folder / FAILURES, (json.dumps(record, sort_keys=True) + "\n").encode())

    @property
    def failures(self) -> dict[str, dict]:
        """The last failure of every structure that has no label, by id."""
        found = {record["id"]: record for record in _read_lines(self.folder / FAILURES)}
        return {key: record for key, record in found.items() if key not in self.rows}

    def verify(self) -> None:
        """Compare every shard with its digest; :class:`FormatError` names the first bad one."""
        for shard, digest in {r["shard"]: r["sha256"] for r in self.rows.values()}.items():
            path = self.folder / "shards" / shard
            if hashlib.sha256(_read(path)).hexdigest() != digest:
                raise FormatError(f"{path} does not match its digest; it was altered or damaged.")

    def _rows(self, where: Mapping[str, object] | None) -> list[Row]:
        return matching(self.rows.values(), where or {}, str(self.folder))

    def _stored(self, row: Row) -> StoredLabel:
        labels = self._read_shard(row["shard"])
        if row["id"] not in labels:
            raise FormatError(
                f"{self.folder / MANIFEST} lists a label {row['id']!r:.100} that is not in "
                f"{row['shard']}. {manifest.REMEDY}"
            )
        return labels[row["id"]]

    def _read_shard(self, shard: str) -> dict[str, StoredLabel]:
        """Labels of a shard by id. Its name is the beginning of its digest."""
        if self._held[0] != shard:
            path = self.folder / "shards" / shard
            data = _read(path)
            if hashlib.sha256(data).hexdigest()[:16] != path.stem:
                raise FormatError(f"{path} does not match its digest; it was altered or damaged.")
            self._held = shard, {label.id: label for label in decode(data, source=str(path))}
        return self._held[1]

    def _list(self, labels: Iterable[StoredLabel], shard: str, digest: str) -> None:
        rows = [manifest.row_of(label, shard, digest) for label in labels]
        _append(self.folder / MANIFEST, manifest.write_rows(rows, header=False))
        self.rows |= {row["id"]: row for row in rows}

    def _repair(self) -> None:
        """Drop half-written files and lines; list shards that did not reach the manifest."""
        for name in ("shards/*", BATCHES, MANIFEST, FAILURES):
            for partial in self.folder.glob(f"{name}.partial-*"):
                partial.unlink()
        if not (self.folder / BATCHES).is_file() and (old := self.batches):
            self.set_batch(BATCH, old[BATCH])
        path = self.folder / MANIFEST
        data = manifest.write_rows(self.rows.values(), header=True)
        if not path.is_file() or path.read_bytes() != data:
            write_atomically(path, data)
        for name in (OLD_MANIFEST, OLD_RECIPE):
            (self.folder / name).unlink(missing_ok=True)
        path = self.folder / FAILURES
        if path.is_file() and (text := path.read_bytes()) and not text.endswith(b"\n"):
            write_atomically(path, text[: text.rfind(b"\n") + 1])
        # Rows of a shard are written together: only the last may be a part of them.
        listed = [row["shard"] for row in self.rows.values()]
        complete = set(listed) - set(listed[-1:])
        for path in sorted((self.folder / "shards").glob("*.npz")):
            if path.name not in complete:
                labels = self._read_shard(path.name).values()
                fresh = [label for label in labels if label.id not in self.rows]
                self._list(fresh, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def is_store(folder: Path) -> bool:
    """Whether there is a label store in a folder."""
    return any((folder / name).is_file() for name in (MANIFEST, OLD_MANIFEST))


def _id_at_owner(row: Row) -> str:
    """What the owner of a geometry calls it; "" for one that is stored."""
    return row["geometry"].partition(":")[2]


def _images(row: Row) -> bool:
    return row["holds"].startswith("images")


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


def _append(path: Path, data: bytes) -> None:
    try:
        with path.open("ab") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise OutputError(
            f"cannot add to {path}: {error.strerror or error}. Everything finished so far is "
            "kept; make room and start again to go on."
        ) from error


def _old_recipe(path: Path) -> object:
    """What all labels of a store of the old form share."""
    try:
        # Not YAML, in which a number such as 1e-08 is text.
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not a recipe ({str(error)[:200]}).") from error


def _old_rows(path: Path) -> dict[str, Row]:
    """Rows of a manifest of the old form."""
    rows = {}
    for record in _read_lines(path):
        origin = record.get("provenance")
        origin = origin if isinstance(origin, dict) else {}
        meshes = [x if isinstance(x, list) else None for x in (origin.get("kpts"), origin.get("kshift"))]
        known = record | {"batch": BATCH, "geometry": "inline", "kmesh": manifest.kmesh(*meshes)}
        row = {key: known.get(key) for key in manifest.COLUMNS}
        rows[record["id"]] = {key: "" if value is None else str(value) for key, value in row.items()}
    return manifest.named_shards(rows, path)


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
                    raise ValueError("not a record with an id")
            except (ValueError, RecursionError) as error:
                raise FormatError(
                    f"line {number} of {path} is damaged ({str(error)[:200]}); remove the line."
                ) from error
            yield record
