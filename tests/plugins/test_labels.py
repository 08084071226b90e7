"""The labels that are shipped: bit for bit those that weights and rulers were fitted to."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from ase_elf.dataset import LabelStore
from ase_elf.errors import InputError

STORES = {pack: ROOT / "plugins" / pack / "labels" for pack in ("dense_hydrogen", "gold_thiolate")}
DIGESTS = Path(__file__).with_name("label_digests.csv")
"""Of every label as it was before the stores had their present form."""


def digest_of(facts, **arrays):
    """SHA-256 over facts, and over shape, type and bytes of arrays that are there."""
    sha = hashlib.sha256(json.dumps(facts).encode())
    for name, array in sorted(arrays.items()):
        if array is not None:
            array = np.ascontiguousarray(array)
            sha.update(f"{name} {array.shape} {array.dtype.str}".encode() + array.tobytes())
    return sha.hexdigest()[:16]


def digest_of_stored(stored):
    if stored.holds == "images":
        return digest_of_bonds(stored.bonds())
    text, critical = stored.text, stored.critical()
    inline = stored.label() if stored.geometry == "inline" else None
    return digest_of_label(
        [text["kind"], text["split"], text["energy"], list(text["provenance"]["kpts"])], stored.values(),
        stored.places(), stored.arrays.get("points"), stored.arrays.get("forces"), critical,
        inline and inline.atoms,
    )  # fmt: skip


def digest_of_label(facts, values, places, points, forces, critical, atoms):
    geometry = {} if atoms is None else {
        "numbers": atoms.numbers.astype("<i8"), "positions": atoms.positions, "cell": atoms.cell.array,
        "pbc": atoms.pbc,
    }  # fmt: skip
    found = {} if critical is None else {"critical": critical.positions, "hessians": critical.hessians}
    return digest_of(facts, values=values, places=places, points=points, forces=forces, **found, **geometry)


def digest_of_bonds(bonds):
    columns = [getattr(bonds, name).tolist() for name in ("type", "group", "structure", "kind")]
    facts = [list(bonds.pair), bonds.spec.to_dict(), *columns]
    return digest_of(facts, images=bonds.images, length=bonds.length)


@pytest.mark.parametrize("pack", STORES)
def test_every_label_is_the_one_that_was_fitted_to(pack):
    store = LabelStore(STORES[pack])
    store.verify()
    with DIGESTS.open(newline="") as table:
        expected = {row["id"]: row["digest"] for row in csv.DictReader(table) if row["pack"] == pack}
    assert {stored.id: digest_of_stored(stored) for stored in store.stored()} == expected


@pytest.mark.parametrize("pack", STORES)
def test_the_manifest_says_what_is_in_the_shards(pack, tmp_path):
    store = LabelStore(STORES[pack])
    (tmp_path / "shards").symlink_to(STORES[pack] / "shards")
    again = LabelStore(tmp_path, create=True)
    assert again.rows == store.rows
    assert set(store.batches) == {row["batch"] for row in store.rows.values()}


def test_labels_on_geometries_of_others_say_whose():
    store = LabelStore(STORES["dense_hydrogen"])
    with pytest.raises(InputError, match=r"234 of 279 labels .* 'cheng-2020:.*Cheng, Mazzola.*--geometries"):
        store.select("train")
    assert len(list(store.select(where={"split": "train", "geometry": "inline"}))) == 45


def test_refined_labels_have_the_digits_that_16_bits_lack():
    store = LabelStore(STORES["dense_hydrogen"])
    labels = list(store.select("test"))
    better = store.refine(labels, {"batch": "near-one"})
    changed = [(a, b) for a, b in zip(labels, better, strict=True) if a is not b]
    assert len(changed) == 5
    for before, after in changed:
        assert np.abs(after.values - before.values).max() < 1e-5
        assert len(np.unique(after.values)) > len(np.unique(before.values))
