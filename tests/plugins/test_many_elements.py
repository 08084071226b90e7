"""Structures, splits and labels of many elements."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase_elf_many_elements.campaign import sources
from ase_elf_many_elements.compact import CORE, POINTS, VACUUM, thinned
from ase_elf_many_elements.splits import HELD_OUT, reduced_formula, split_of
from ase_elf_many_elements.structures import crystals, hydrides, ternary, trials
from ase_elf_many_elements.structures.molecules import pairs_of_groups, single_atom_hydrides
from places import ROOT

from ase_elf.dataset import Label, LabelStore
from ase_elf.model.neighbors import nearest_core
from ase_elf.reference import Provenance

LABELS = ROOT / "plugins" / "many_elements" / "labels"


@pytest.fixture(scope="module")
def labels():
    return list(LabelStore(LABELS))


def test_held_out_compounds_are_in_the_test_split_alone(labels):
    of_held_out = [label for label in labels if reduced_formula(label.atoms) in HELD_OUT]
    assert len(of_held_out) > 40
    assert {label.split for label in of_held_out} == {"test"}


def test_every_structure_of_a_compound_is_in_one_split(labels):
    splits = {}
    for label in labels:
        splits.setdefault(reduced_formula(label.atoms), set()).add(label.split)
        assert label.split == split_of(label.atoms)
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize(
    ("formula", "held_out"),
    [
        ("LaH10", True),
        ("La2H20", True),
        ("H6Mg", True),
        ("Si8", True),
        ("O2Ti4O6", True),
        ("LaH9", False),
        ("H2", False),
    ],
)
def test_compounds_are_held_out_whatever_the_size_of_their_cell(formula, held_out):
    atoms = Atoms(formula)
    assert (reduced_formula(atoms) in HELD_OUT) == held_out
    assert not held_out or split_of(atoms) == "test"


def test_labels_hold_values_of_an_elf_with_electrons(labels):
    for label in labels:
        assert label.values.min() >= 0 and label.values.max() <= 1 and label.values.std() > 0.01
        if label.points is not None:
            assert len(label.values) == POINTS and label.density.min() > 0


@pytest.mark.parametrize("kind", ["distorted", "symmetric"])
def test_hydrides_are_sensible_and_lists_do_not_change_when_they_grow(kind):
    some = list(itertools.islice(hydrides.binary_hydrides(kind), 80))
    assert all(hydrides.sensible(atoms) for atoms in some)
    assert len({atoms.info["id"] for atoms in some}) == len(some)
    again = list(itertools.islice(hydrides.binary_hydrides(kind), 20))
    assert all(a == b for a, b in zip(some, again, strict=False))


def test_molecules_of_single_atoms_have_the_shapes_of_their_groups():
    some = {atoms.info["id"]: atoms for atoms in single_atom_hydrides()}
    assert not {reduced_formula(atoms) for atoms in some.values()} & HELD_OUT
    for name, wanted in (("BeH2-1", 180), ("InH3-1", 120), ("GeH4-1", 109.5), ("AsH3-1", 94), ("SeH2-1", 93)):
        atoms = some[f"hydride-molecule-{name}"]
        angles = [atoms.get_angle(i, 0, j) for i, j in itertools.combinations(range(1, len(atoms)), 2)]
        assert np.mean(angles) == pytest.approx(wanted, abs=18)
        assert not atoms.pbc.any() and atoms.get_distance(0, 1) > 0.8


def test_elements_are_crystals_of_one_kind_of_atom_at_two_densities():
    some = list(crystals.elements({"Al", "Na", "Ti", "Se", "Ga"}))  # the last two have larger cells
    assert [atoms.info["id"] for atoms in some] == [
        f"element-{s}-{d}" for s in ("Al", "Na", "Ti") for d in ("1.00", "0.95")
    ]
    assert [len(atoms) for atoms in some] == [1, 1, 1, 1, 2, 2]
    assert some[0].get_volume() == pytest.approx(4.05**3 / 4, rel=1e-3)
    assert some[1].get_volume() == pytest.approx(0.95**3 * some[0].get_volume())
    assert split_of(some[0]) == "test"  # aluminium is tried from outside


def test_pairs_of_groups_are_molecules_with_one_bond_between_them():
    some = {atoms.info["id"]: atoms for atoms in pairs_of_groups()}
    assert not {reduced_formula(atoms) for atoms in some.values()} & HELD_OUT
    hydrazine, methylphosphine = some["group-N-N"], some["group-C-P"]
    assert hydrazine.get_chemical_formula() == "H4N2"
    assert np.mean(hydrazine.get_angles([[0, 3, 4], [0, 3, 5], [3, 0, 1], [3, 0, 2]])) == pytest.approx(
        108, abs=6
    )
    assert methylphosphine.get_distance(0, 4) == pytest.approx(0.76 + 1.07, rel=0.06)
    for atoms in some.values():
        apart = atoms.get_all_distances() + 9 * np.eye(len(atoms))
        assert apart.min() > 0.85
        assert sum(atoms.numbers) % 2 == 0


def test_helium_mixtures_have_the_density_that_their_name_states():
    for atoms in itertools.islice(ternary.helium_mixtures(), 5):
        electrons = atoms.numbers.sum()
        r_s = (3 * atoms.get_volume() / (4 * np.pi * electrons)) ** (1 / 3) / 0.529177
        assert r_s == pytest.approx(float(atoms.info["id"].rpartition("rs")[2]), abs=1e-3)
        assert electrons % 2 == 0


def test_published_lattice_constants_are_those_of_the_trials():
    for (element, prototype), constant in trials.PUBLISHED.items():
        first = next(
            a for a in trials.hydrides("symmetric") if a.info["id"].endswith(f"-{element}-{prototype}-0")
        )
        assert first.get_volume() == pytest.approx(constant**3 / (4 if "fm3m" in prototype else 2))


def test_distances_to_cores_are_those_of_all_images_and_leave_hydrogen_out():
    atoms = bulk("LiH", "rocksalt", a=4.0)
    points = np.random.default_rng(1).uniform(-3, 8, (200, 3))
    lithium = atoms[atoms.symbols == "Li"].repeat(9)
    lithium.positions -= 4 * atoms.cell.array.sum(0)
    wanted = np.linalg.norm(points[:, None] - lithium.positions, axis=-1).min(1)
    found = nearest_core(atoms, points, CORE)
    near = wanted < CORE
    np.testing.assert_allclose(found[near], wanted[near], atol=1e-9)
    assert (found[~near] >= CORE).all()
    assert np.isinf(nearest_core(Atoms("H2", cell=[3] * 3, pbc=True), points, CORE)).all()


def test_thinning_draws_cores_and_vacuum_less_and_depends_on_the_label_alone():
    atoms = molecule("LiH")
    atoms.center(vacuum=4)
    shape = (40, 40, 46)
    density = np.full(shape, 2 * VACUUM)
    density[:20] = VACUUM / 2
    label = Label(
        id="0123456789abcdef", name="x", atoms=atoms, values=np.zeros(shape), density=density,
        provenance=Provenance("c", "v", "f"),
    )  # fmt: skip
    some = thinned(label)
    assert len(some.points) == POINTS and some.mesh == shape
    assert (some.density < VACUUM).mean() < 0.15
    np.testing.assert_array_equal(thinned(label).points, some.points)
    fewer = thinned(some, 300)
    assert len(fewer.points) == 300


def test_thinning_keeps_critical_points_outside_cores_and_vacuum():
    atoms = Atoms("HO", [[2.1, 0, 0], [0, 0, 0]], cell=[4.2] * 3, pbc=True)
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(32) / 32] * 3, indexing="ij")
    values = 0.5 + 0.1 * (np.cos(x) + np.cos(y) + np.cos(z))  # Maximum at O, bonds along the axes at H.
    label = Label(
        id="0123456789abcdef", name="x", atoms=atoms, values=values.astype(np.float32),
        provenance=Provenance("c", "v", "f"), density=np.where(y < np.pi / 2, 2 * VACUUM, VACUUM / 2) + 0 * x,
    )  # fmt: skip
    found = np.round(thinned(label).critical.positions / 2.1, 2) % 2
    assert sorted(found.tolist()) == [[0, 0, 1], [1, 0, 0]]


def test_a_campaign_begins_with_what_is_judged_and_goes_on_in_turns():
    counts = {("trial-hydrides", "test"): 32, ("crystals", "train"): 70, ("hydrides-distorted", "train"): 40}
    rows = sources(counts)
    assert rows[0]["split"] == "test"
    assert [row["index"] for row in rows if "crystals" in row["path"]] == ["0:50", "50:100"]
    assert [row["index"] for row in rows if "distorted" in row["path"]] == ["0:35", "35:70"]
