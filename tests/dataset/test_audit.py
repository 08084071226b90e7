"""Checking label sets: ranges, duplicates, leakage, noise."""

import json

import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner

from ase_elf.cli.dataset import command
from ase_elf.dataset import Label, LabelStore, check
from ase_elf.dataset.fingerprint import distances, fingerprint
from ase_elf.reference import Provenance


def fluid(seed, *, n=3, length=4.5):
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) / n] * 3), -1).reshape(-1, 3) * length
    positions = grid + random.uniform(-0.3, 0.3, grid.shape)
    return Atoms(f"H{n**3}", positions=positions, cell=[length] * 3, pbc=True)


def label(atoms, split, name, *, shift=0.0):
    rng = np.random.default_rng(0)
    values = np.clip(rng.random((6, 6, 6), dtype=np.float32) * 0.9 + shift, 0, 1)
    provenance = Provenance("x", "1", "PBE")
    return Label(f"{name}-{shift}", name, atoms, provenance, values, split=split)


def store_of(folder, labels):
    store = LabelStore(folder, create=True)
    store.append(labels)
    return store


def apart(one, two):
    return distances(fingerprint(one)[None], fingerprint(two)[None])[0, 0]


def test_a_fingerprint_knows_a_structure_in_any_guise():
    atoms = fluid(0)
    guise = atoms.copy()
    guise.positions += (0.3, -1.2, 0.7)
    guise.rotate(40, (1, 2, 3), rotate_cell=True)
    guise = guise[np.random.default_rng(1).permutation(len(guise))]
    guise.wrap()
    assert apart(atoms, guise) < 1e-6
    assert apart(atoms, atoms.repeat((2, 1, 1))) < 1e-6
    assert apart(atoms, fluid(1)) > 0.05
    denser = atoms.copy()
    denser.set_cell(atoms.cell * 0.98, scale_atoms=True)
    assert apart(atoms, denser) > 1e-3


def test_a_sound_set_has_nothing_to_complain_about(tmp_path):
    labels = [label(fluid(i), ("train", "train", "test")[i], f"f{i}") for i in range(3)]
    report = check(store_of(tmp_path, labels))
    assert not report.duplicates and not report.leaks and not report.noise
    assert report.splits["train"].labels == 2
    assert report.splits["test"].values == 216
    r_s = (3 * 4.5**3 / 27 / (4 * np.pi)) ** (1 / 3) / 0.529177
    assert report.splits["train"].r_s_bohr.median == pytest.approx(r_s, rel=1e-4)
    assert 0 <= report.splits["train"].elf.least < report.splits["train"].elf.greatest <= 1


def test_a_structure_in_two_splits_is_a_leak(tmp_path):
    nearly = fluid(0)
    nearly.rattle(0.005, seed=1)
    labels = [label(fluid(0), "train", "a"), label(nearly, "test", "b")]
    report = check(store_of(tmp_path, labels))
    (leak,) = report.leaks
    assert {leak.first, leak.second} == {"a", "b"} and set(leak.splits) == {"train", "test"}
    assert not report.duplicates


def test_a_structure_twice_in_one_split_is_a_duplicate(tmp_path):
    moved = fluid(0)
    moved.translate((0.5, 0.5, 0.5))
    report = check(store_of(tmp_path, [label(fluid(0), "train", "a"), label(moved, "train", "b")]))
    assert len(report.duplicates) == 1 and not report.leaks


def test_two_recipes_on_one_structure_measure_the_noise(tmp_path):
    one = store_of(tmp_path / "one", [label(fluid(0), "train", "a")])
    two = store_of(tmp_path / "two", [label(fluid(0), "train", "a", shift=0.01)])
    (noise,) = check(one, two).noise
    assert noise.rms == pytest.approx(0.01, abs=1e-4)
    assert noise.bias == pytest.approx(-0.01, abs=1e-4)


def test_the_command_reports_and_fails_on_a_leak(tmp_path):
    store_of(tmp_path, [label(fluid(0), "train", "a"), label(fluid(1), "test", "b")])
    result = CliRunner().invoke(command, ["check", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "train: 1 labels" in result.output and "leaks: 0" in result.output
    LabelStore(tmp_path, create=True).append([label(fluid(0), "test", "c")])
    result = CliRunner().invoke(command, ["check", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert len(json.loads(result.output)["leaks"]) == 1
