"""Lines of a label store: its manifest, failures and recipe, with one sound shard beside them."""

import json
from contextlib import suppress
from functools import cache
from hashlib import sha256

from ase_elf.dataset.label import encode
from ase_elf.dataset.store import LabelStore
from ase_elf.errors import ElfError
from ase_elf.training.labels import read_labels
from fuzz.sound import label
from fuzz.target import Target

_shard = cache(lambda: encode([label("a")]))


def _name():
    return sha256(_shard()).hexdigest()[:16] + ".npz"


def make():
    record = {"id": "a", "name": "a", "split": "train", "shard": _name(), "sha256": "0" * 64}
    lines = [record, record | {"id": "b"}, record | {"shard": "../../etc/passwd"}]
    return [(json.dumps(line) + "\n").encode() for line in lines] + [
        b'{"id": "c", "name": "c", "problems": ["no"]}\n',
        b"file,kind,split\na.npz,fluid,train\n",
    ]


def read(path):
    folder = path.parent
    (folder / "shards").mkdir(exist_ok=True)
    (folder / "shards" / _name()).write_bytes(_shard())
    for use in (_table, _failures, _store):
        with suppress(ElfError):
            use(folder, path.read_bytes())


def _store(folder, content):
    (folder / "manifest.jsonl").write_bytes(content)
    store = LabelStore(folder)
    store.verify()
    list(store)


def _failures(folder, content):
    (folder / "manifest.jsonl").write_bytes(b"")
    for name in ("failures.jsonl", "recipe.json"):
        (folder / name).write_bytes(content)
    store = LabelStore(folder)
    len(store.failures), store.recipe


def _table(folder, content):
    (folder / "manifest.jsonl").unlink(missing_ok=True)
    (folder / "split.csv").write_bytes(content)
    read_labels(folder)


TARGET = Target(
    "manifest", "given", make, read, multiple=1000,
    tokens=(b'"id": ', b'"shard": ', b'"../x"', b"NaN", b"null", b"[]", b"{}", b"\n", b'"\\ud800"',
            b"file,", b"split", b"..", b"/etc/hostname", b"\x00", b'"'),
    instrument=("ase_elf.dataset", "ase_elf.training.labels", "csv"),
)  # fmt: skip
