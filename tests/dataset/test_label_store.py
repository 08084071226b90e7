"""Label stores: what may be left out of them, how labels are chosen, and what becomes of old and damaged ones."""

import hashlib
import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase.io import write
from label_sets import make_label

from ase_elf.dataset import LabelSource, LabelStore, read_labels
from ase_elf.dataset.label import Critical
from ase_elf.dataset.shard import StoredLabel, decode, encode
from ase_elf.errors import FormatError, InputError


def at_places(label, places, **changes):
    """``label`` at some points of its grid."""
    points = np.stack(np.unravel_index(places, label.values.shape), -1) / label.values.shape
    return replace(
        label, values=label.values.ravel()[places], points=points @ label.atoms.cell.array,
        mesh=label.values.shape, **changes,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    """Two labels with geometry, one whose geometry is somebody else's, and one that refines the first."""
    store = LabelStore(tmp_path / "labels", create=True)
    store.set_batch("first", {"engine": "x"})
    store.set_batch("second", {"engine": "x", "geometries": "the archive of the owner"})
    whole = make_label(id="a", batch="first", split="train", kind="fluid")
    bare, exact = replace(whole, kind="", split="", batch="second"), np.clip(whole.values + 1e-3, 0, 1)
    store.append([
        whole,
        make_label(id="b", batch="first", split="test", kind="crystal", name='two\nlines, and "more"'),
        at_places(bare, np.arange(3, 100, 7), id="c", name="c", geometry="owner:frame-7"),
        at_places(replace(bare, values=exact), np.arange(5, 120, 9), id="a/finer", refines="a"),
    ])  # fmt: skip
    return store


@pytest.fixture
def owner(tmp_path):
    """The file of the owner."""
    frames = [make_label().atoms.copy() for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.info["id"], frame.info["secret"] = f"frame-{6 + number}", 1
        frame.positions += 0.1 * number
    write(tmp_path / "owner.extxyz", frames)
    return tmp_path / "owner.extxyz"


def test_a_geometry_that_is_not_stored_comes_from_its_owner(store, owner):
    assert "numbers" not in store.find("c").arrays
    (label,) = LabelStore(store.folder).select(where={"id": "c"}, geometries=[owner])
    whole = make_label()
    np.testing.assert_allclose(label.atoms.positions, whole.atoms.positions + 0.1)
    assert label.atoms.info == {} and label.geometry == "owner:frame-7"
    np.testing.assert_allclose(label.values, whole.values.ravel()[3:100:7], atol=1e-5)
    np.testing.assert_allclose(label.points, at_places(whole, np.arange(3, 100, 7)).points, atol=1e-12)
    assert label.points.dtype != object and label.mesh == whole.values.shape


def test_a_geometry_that_is_missing_is_named_with_its_owner(store, owner, tmp_path):
    said = (
        "1 of 3 labels ",
        " 'owner:frame-7', is in no file ",
        "none was given",
        "the archive of the owner",
        "--geometries",
    )
    with pytest.raises(InputError, match=".*".join(said)):
        list(store)
    with pytest.raises(InputError, match="has no geometry of its own: it is 'owner:frame-7'"):
        store["c"]
    write(tmp_path / "other.extxyz", make_label().atoms)
    with pytest.raises(InputError, match="other.extxyz"):
        store.select(geometries=[tmp_path / "other.extxyz"])
    assert [label.id for label in store.select("train", "test")] == ["a", "b"]


def test_rows_that_refine_others_replace_values_and_are_no_labels_themselves(store, owner):
    first, second = store.select("train", "test")
    assert [label.id for label in store.select(geometries=[owner])] == ["a", "b", "c"]
    finer, same = store.refine([first, second], {"batch": "second"})
    assert same is second
    changed = finer.values.ravel() - first.values.ravel()
    np.testing.assert_allclose(changed[5:120:9], 1e-3, atol=2e-5)
    assert np.count_nonzero(np.abs(changed) > 1e-4) == len(range(5, 120, 9))
    with pytest.raises(FormatError, match=r"of a grid \(4, 5, 6\), 'one' of \(4, 4, 4\)"):
        store.refine([make_label(id="a", shape=(4, 4, 4))])
    with pytest.raises(InputError, match="no geometry of its own: it is that of 'a'"):
        store["a/finer"]


def test_a_whole_grid_refines_as_well(tmp_path):
    store, label = LabelStore(tmp_path, create=True), make_label()
    store.append([make_label(id="finer", values=1 - label.values, refines="a1")])
    (finer,) = store.refine([label])
    np.testing.assert_allclose(finer.values, 1 - label.values, atol=1e-5)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({}, "abc"),
        ({"kind": "fluid"}, "a"),
        ({"split": ["train", "test"]}, "ab"),
        ({"batch": "first", "kind": ["crystal", "fluid"]}, "ab"),
        ({"n_values": 120}, "ab"),
        ({"kind": "fluid", "split": "test"}, ""),
        ({"holds": "points"}, "c"),
        ({"grid": "4x5x6", "split": None}, "c"),
        ({"kind": []}, ""),
    ],
)  # fmt: skip
def test_labels_are_chosen_by_columns_of_the_manifest(store, owner, where, ids):
    assert [label.id for label in store.select(where=where, geometries=[owner])] == list(ids)
    assert [label.id for label in read_labels(store.folder, where=where, geometries=(owner,))] == list(ids)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"batsh": "first"}, "no column 'batsh'; did you mean 'batch'"),
        ({"kind": ["fluid", "cristal"]}, "the kind 'cristal'; did you mean 'crystal'"),
        ({"split": "validation"}, "the split 'validation'; there are '', 'test', 'train'"),
    ],
)
def test_a_query_that_cannot_be_meant_names_the_near_miss(store, where, message):
    with pytest.raises(InputError, match=re.escape(message)):
        store.select(where=where)


def test_a_plain_folder_is_chosen_from_in_the_same_way(tmp_path):
    for name in "abc":
        np.savez(tmp_path / name, cell=np.eye(3), pos=np.zeros((1, 3)), elf=np.zeros((2, 2, 2), np.uint16))
    table = "file,kind,split\na.npz,fluid,train\nb.npz,fluid,test\nc.npz,crystal,test\n"
    (tmp_path / "split.csv").write_text(table)
    source = LabelSource.parse({"store": ".", "where": {"kind": "fluid"}}, tmp_path)
    assert [label.id for label in source.read()] == ["a", "b"]
    assert [label.id for label in source.read("test")] == ["b"]
    assert source.images() == []
    with pytest.raises(InputError, match="no column 'knd'; did you mean 'kind'"):
        read_labels(tmp_path, where={"knd": "fluid"})


def test_a_source_is_a_path_or_a_mapping(tmp_path):
    assert LabelSource.parse("x", tmp_path) == LabelSource(tmp_path / "x")
    assert LabelSource.parse({"store": "x", "geometries": "y"}, tmp_path).geometries == (tmp_path / "y",)
    for item in ({"where": {}}, {"store": "x", "wear": {}}, {"store": "x", "where": [1]}, 3):
        with pytest.raises(InputError, match="labels"):
            LabelSource.parse(item, tmp_path)


def test_names_with_line_breaks_do_not_break_the_manifest(store):
    again = LabelStore(store.folder)
    assert again.rows == store.rows and again.rows["b"]["name"] == 'two lines, and "more"'
    assert again["b"].name == 'two\nlines, and "more"'
    (store.folder / "manifest.csv").unlink()
    assert LabelStore(store.folder, create=True).rows == store.rows


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_a_row_that_was_cut_off_is_made_again(store, keep):
    path = store.folder / "manifest.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-keep])
    assert len(LabelStore(store.folder)) == 3
    assert LabelStore(store.folder, create=True).rows == store.rows
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id,name", "id,nam", "its columns are"),
        (",fluid,", ",", "has not 14 columns"),
        (".npz", ".exe", "not a name of one"),
        ("\na,", "\nz,", "lists a label 'z' that is not in"),
        ("\na,", '\n"a,', "is damaged"),
    ],
)
def test_damaged_manifests_say_what_to_do(store, old, new, message):
    path = store.folder / "manifest.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(
        FormatError, match=rf"{message}(.|\n)*Delete the file: a store makes its manifest again"
    ):
        list(LabelStore(store.folder).select("train"))
    path.unlink()
    assert LabelStore(store.folder, create=True).rows == store.rows


def test_what_is_written_beside_a_batch_stays(store):
    path = store.folder / "batches.yaml"
    path.write_text("# seen by hand\n" + path.read_text().rstrip())
    store.set_batch("third", {"engine": "y", "options": {"conv_thr": 1e-8, "kpts": (2, 2, 2)}})
    assert path.read_text().startswith("# seen by hand\n")
    assert store.batches["third"]["options"] == {"conv_thr": 1e-8, "kpts": [2, 2, 2]}
    store.set_batch("second", {"engine": "x"})
    with pytest.raises(InputError, match="another recipe .it differs in engine.*`batch:`"):
        store.set_batch("second", {"engine": "y"})
    path.write_text("first: 3\n")
    with pytest.raises(FormatError, match="batch 'first' is 3, not a mapping"):
        _ = store.batches


def old_form(folder, labels):
    """A store as it was written before 0.2: a shard and a line for every label."""
    (folder / "shards").mkdir(parents=True)
    lines = []
    for label in labels:
        stored = StoredLabel.of(label)
        text = {k: v for k, v in stored.text.items() if k not in ("batch", "geometry", "refines")}
        data = encode([StoredLabel(text, stored.arrays | {"density": np.full((4, 5, 6), 0.1, "<f4")})])
        sha256 = hashlib.sha256(data).hexdigest()
        (folder / "shards" / f"{sha256[:16]}.npz").write_bytes(data)
        known = {key: text[key] for key in ("id", "name", "split", "kind", "energy", "provenance")}
        more = {
            "holds": "grid",
            "n_values": 120,
            "shard": f"{sha256[:16]}.npz",
            "sha256": sha256,
            "r_s_bohr": 1.2,
        }
        lines.append(known | more)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut": ')
    (folder / "recipe.json").write_text('{"engine": "x", "options": {"conv_thr": 1e-08}}\n')


def test_a_store_of_the_old_form_is_read_with_a_warning_and_converted_by_its_writer(tmp_path):
    labels = [make_label(id=name, split="train", kind="fluid") for name in "zay"]
    old_form(tmp_path / "old", labels)
    with pytest.warns(DeprecationWarning, match="of the old form"):
        store = LabelStore(tmp_path / "old")
    found = list(store.select("train", where={"kind": "fluid"}))
    assert [label.id for label in found] == ["z", "a", "y"]
    assert {label.batch for label in found} == {"build"} and found[0].density.max() == np.float32(0.1)
    assert store.batches == {"build": {"engine": "x", "options": {"conv_thr": 1e-8}}}
    assert not (tmp_path / "old" / "manifest.csv").exists()
    writer = LabelStore(tmp_path / "old", create=True)
    writer.set_batch("build", {"engine": "x", "options": {"conv_thr": 1e-8}})
    with pytest.raises(InputError, match="another recipe"):
        writer.set_batch("build", {"engine": "x", "options": {"conv_thr": 1e-6}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = LabelStore(tmp_path / "old")
    again.verify()
    assert list(again.rows) == ["z", "a", "y"] and again.rows["z"]["kmesh"] == "1x1x1"
    assert {path.name for path in (tmp_path / "old").iterdir()} == {"shards", "manifest.csv", "batches.yaml"}


def values_label():
    label = make_label(values=np.full((4, 5, 6), 1 - 1e-5, np.float32))
    critical = Critical(np.zeros((3, 3)), np.tile(np.eye(3), (3, 1, 1)))
    return StoredLabel.of(at_places(label, np.array([1, 5, 7]), critical=critical, geometry="owner:x"))


@pytest.mark.parametrize(
    ("text", "arrays"),
    [
        ({}, {"hessians": np.zeros((3, 5))}),
        ({}, {"hessians": np.zeros((3, 6))}),
        ({}, {"critical": np.full((3, 3), np.nan)}),
        ({}, {"critical": np.full((3, 3), 1e300)}),
        ({}, {"critical": np.array(["a"])}),
        ({}, {"index": np.array([7], np.uint8)}),
        ({}, {"fine": np.zeros(3)}),
        ({}, {"elf": np.zeros(3, np.uint8)}),
        ({"mesh": [1, 1, 1]}, {}),
        ({"mesh": [4, 4]}, {}),
        ({"mesh": [12.0, 13, 14]}, {}),
        ({"mesh": [2**40, 4, 4]}, {}),
        ({"shape": [-1]}, {}),
        ({"shape": [10**12]}, {}),
        ({"unit": 0}, {}),
        ({"unit": 70000}, {}),
        ({"unit": "a"}, {}),
        ({"id": 3}, {}),
        ({"energy": "low"}, {}),
        ({"provenance": {"code": 1}}, {}),
    ],
)
def test_damaged_labels_are_refused(text, arrays):
    stored = values_label()
    data = encode([StoredLabel(stored.text | text, stored.arrays | arrays)])
    with pytest.raises(FormatError, match="here.npz is no label shard, or is damaged"):
        decode(data, source="here.npz")[0].label(make_label().atoms)


def test_values_of_few_bits_take_few_bytes():
    values = np.random.default_rng(0).integers(0, 256, (30, 30, 30)) / 255
    (stored,) = decode(encode([make_label(values=values)]), source="here")
    assert stored.text["unit"] == 257
    assert stored.arrays["elf"].nbytes < 1.4 * values.size
    np.testing.assert_array_equal(stored.values(), values.astype(np.float32))
