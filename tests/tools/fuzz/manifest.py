"""Text files of a label store: manifest (of both forms), batches and failures, with one sound shard beside them."""

import json
import warnings
from contextlib import suppress
from functools import cache
from hashlib import sha256

from ase_elf.dataset import LabelStore, read_labels
from ase_elf.dataset.manifest import COLUMNS
from ase_elf.dataset.shard import encode
from ase_elf.errors import ElfError
from fuzz.sound import label
from fuzz.target import Target

_shard = cache(lambda: encode([label("a")]))


def _name():
    return sha256(_shard()).hexdigest()[:16] + ".npz"


def make():
    record = {"id": "a", "name": "a", "split": "train", "shard": _name(), "sha256": "0" * 64}
    lines = [record, record | {"id": "b"}, record | {"shard": "../../etc/passwd"}]
    row = [record.get(key, "") for key in COLUMNS]
    header = ",".join(COLUMNS)
    return [(json.dumps(line) + "\n").encode() for line in lines] + [
        f"{header}\n{','.join(row)}\n".encode(),
        f'{header}\n"a\n{",".join(row)}"\n'.encode(),
        b"a: {engine: x, options: {b: [1, 2]}}\n",
        b'{"id": "c", "name": "c", "problems": ["no"]}\n',
        b"file,kind,split\na.npz,fluid,train\n",
    ]


def read(path):
    folder = path.parent
    (folder / "shards").mkdir(exist_ok=True)
    (folder / "shards" / _name()).write_bytes(_shard())
    for use in (_table, _failures, _old, _store):
        with suppress(ElfError):
            use(folder, path.read_bytes())


def _store(folder, content):
    (folder / "manifest.csv").write_bytes(content)
    _use(folder)


def _old(folder, content):
    (folder / "manifest.csv").unlink(missing_ok=True)
    (folder / "manifest.jsonl").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _use(folder)


def _use(folder):
    store = LabelStore(folder)
    store.verify()
    list(store)


def _failures(folder, content):
    (folder / "manifest.csv").write_bytes(b"")
    for name in ("failures.jsonl", "batches.yaml"):
        (folder / name).write_bytes(content)
    store = LabelStore(folder)
    for use in (lambda: store.failures, lambda: store.batches):
        with suppress(ElfError):
            use()


def _table(folder, content):
    for name in ("manifest.csv", "manifest.jsonl"):
        (folder / name).unlink(missing_ok=True)
    (folder / "split.csv").write_bytes(content)
    read_labels(folder)


TARGET = Target(
    "manifest", "given", make, read, multiple=1000,
    tokens=(b'"id": ', b'"shard": ', b'"../x"', b"NaN", b"null", b"[]", b"{}", b"\n", b'"\\ud800"',
            b"file,", b"split", b"id,name,", b"batch: ", b"..", b"/etc/hostname", b"\x00", b'"'),
    instrument=("ase_elf.dataset", "csv", "yaml"),
)  # fmt: skip
