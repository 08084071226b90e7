"""Topology of fields that are coarse, cut off, quantised or hardly a field at all."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from fields import CUBIC, NAMED, TRICLINIC, gaussians
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ase_elf import ELFGrid
from ase_elf.analysis.elf_regions import degrees
from ase_elf.errors import ElfWarning, InputError
from ase_elf.topology import critical_points, network_statistics, networking, root_isolation
from ase_elf.topology.record import lines_of, summarize

DATA = Path(__file__).parent / "data"
NAMES = ("phi1", "phi2", "phi3", "phi_star")


def stored(name):
    with np.load(DATA / f"{name}.npz") as data:
        atoms = Atoms(f"H{len(data['pos'])}", data["pos"], cell=data["cell"], pbc=True)
        return ELFGrid(data["elf"], atoms)


@pytest.mark.parametrize("name", ["split_molecule_sp0.2_0", "split_molecule_sp0.25_1"])
def test_a_molecule_on_a_coarse_grid_is_one_domain(name):
    net = networking(stored(name))
    domains = [d for d in net.tree.domains(0.8) if d.atoms]
    assert sorted(d.atoms for d in domains) == [(i, i + 1) for i in range(0, len(net.atoms), 2)]
    assert net.phi_star == pytest.approx(1.0, abs=1e-3)
    elf = net.basins.field.value(net.basins.field.voxel_of(net.atoms.positions))
    assert (degrees(net, elf, 0.8) == 1).all()


def test_a_grid_too_coarse_for_molecular_hydrogen_is_marked():
    grid = stored("split_molecule_sp0.2_0")
    grid = ELFGrid(grid.values, grid.atoms, {"format": "elfcar"})
    with pytest.warns(ElfWarning, match="0.200 Å apart"):
        record, _net, _ = summarize(grid)
    assert "0.175 Å" in record["coarse"]
    assert any(line.startswith("too coarse") for line in lines_of(record))
    assert networking(stored("fmmm_missed_pass")).coarse is None


def test_a_pass_far_from_its_face_is_found():
    net = networking(stored("fmmm_missed_pass"))
    assert net.phi == pytest.approx(0.17241, abs=2e-4)
    assert net.saddles.refined[net.sweep.ranks[3].edge]


def test_two_hydrogens_of_a_basin_meet_where_the_region_holds_both():
    net = networking(stored("phistar_shared_basin"))
    assert net.phi_star == pytest.approx(0.34440, abs=1e-5)


def morse(points):
    n = points.counts
    assert points.euler == 0
    assert n.attractor >= 1 and n.cage >= 1
    assert n.bond - n.attractor >= 2
    assert n.ring >= 3 and n.ring - n.cage >= 2


def test_the_counts_of_fmmm_at_5e_3():
    assert critical_points(stored("fmmm_missed_pass"), persistence=5e-3).counts == (2, 4, 4, 2)


@pytest.mark.parametrize("persistence", [0, 1e-3, 5e-3, 0.02, 0.1, 0.5, 2])
def test_cancelling_keeps_the_morse_inequalities_of_the_torus(persistence):
    field = gaussians(6, TRICLINIC, width=0.5, seed=2)
    noise = 0.01 * np.random.default_rng(0).standard_normal((16, 16, 16))
    grids = [
        stored("fmmm_missed_pass"),
        NAMED["gyroid"].grid(24),
        field.grid(24),
        ELFGrid(np.clip(field.on_grid((16, 16, 16)) + noise, 0, 1), Atoms("H", cell=TRICLINIC, pbc=True)),
    ]
    for grid in grids:
        morse(critical_points(grid, persistence=persistence))
    if persistence == 2:  # nothing is left but what a torus needs, at the extremes
        assert critical_points(grids[2], persistence=2).counts[0::3] == (1, 1)


AXIS = np.stack(np.meshgrid(*[np.arange(24) - 12] * 3, indexing="ij"), -1)
EDGED = {
    "clipped at 1": np.minimum(1.3 * NAMED["gyroid"].on_grid((24, 24, 24), (0.1, 0.2, 0.3)), 1),
    "clipped at 0.8": np.minimum(NAMED["gyroid"].on_grid((24, 24, 24)), 0.8),
    "ball": (np.linalg.norm(AXIS, axis=-1) < 6).astype(float),
    "slab": (abs(AXIS[..., 0]) < 6).astype(float),
    "rod": (abs(AXIS[..., :2]).max(-1) < 5).astype(float),
    "random mask": np.random.default_rng(1).integers(0, 2, (24, 24, 24)).astype(float),
    "integers": np.round(5 * NAMED["index2"].on_grid((24, 24, 24))) / 5,
    "one voxel": (abs(AXIS).max(-1) == 0).astype(float),
}


@pytest.mark.parametrize("name", EDGED)
def test_no_value_leaves_the_range_of_a_field_with_edges_and_the_search_ends(name, monkeypatch):
    # What is asked is that it ends and says what is left, whatever the budget.
    monkeypatch.setattr(root_isolation, "BUDGET", 60_000)
    values = EDGED[name]
    grid = ELFGrid(np.clip(values, 0, 1), Atoms("H2", [(1, 1, 1), (2, 2, 2)], cell=CUBIC, pbc=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record, net, points = summarize(grid)
    low, high = grid.values.min(), grid.values.max()
    for net_value in [getattr(net, n) for n in NAMES] + list(net.phi_along) + net.saddles.values.tolist():
        assert low <= net_value <= high
    assert all(np.isfinite(u) and u >= 0 for u in net.uncertainties.values())
    if record["euler"]:
        assert len(points.unresolved) or points.empty
    assert lines_of(record)


def test_boxes_beyond_the_budget_are_named_and_few_enough(monkeypatch):
    grid = NAMED["gyroid"].grid(24)
    whole = critical_points(grid)
    assert len(whole.unresolved) == 0
    monkeypatch.setattr(root_isolation, "BUDGET", 2000)
    cut = critical_points(grid)
    assert 0 < len(cut.unresolved) <= grid.values.size
    # Every point that was given up lies in a voxel that is named.
    missing = [p for p in whole.positions if np.linalg.norm(cut.positions - p, axis=1).min(initial=9) > 1e-6]
    assert missing
    for point in missing:
        apart = (cut.unresolved - point) / 4
        apart -= np.round(apart)
        assert np.abs(apart * 24).max(axis=1).min() <= 1 + 1e-9


def test_no_more_boxes_are_tested_than_the_budget_allows(monkeypatch):
    monkeypatch.setattr(root_isolation, "BUDGET", 100_000)
    tested, isolate = [], root_isolation._isolate

    def counting(*given):
        found = isolate(*given)
        tested.append(found[-1])
        return found

    monkeypatch.setattr(root_isolation, "_isolate", counting)
    mask = ELFGrid(EDGED["slab"], Atoms("H", cell=CUBIC, pbc=True))
    assert len(critical_points(mask).unresolved)
    # Every cell that the first screening leaves is tested once, whatever the budget.
    assert sum(tested) <= 100_000 + mask.values.size


def test_a_constant_field_is_refused():
    for function in (networking, critical_points):
        with pytest.raises(InputError, match="constant"):
            function(ELFGrid(np.full((8, 8, 8), 0.5), Atoms("H", cell=CUBIC, pbc=True)))


def unimodular(rng):
    matrix = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.permutation(3)[:2]
        matrix[i] += rng.integers(-1, 2) * matrix[j]
    return matrix


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_cell_origin_and_repetition_do_not_change_the_values(seed):
    rng = np.random.default_rng(seed)
    field = gaussians(6, TRICLINIC, width=0.55, seed=seed % 5)
    place, origin = rng.random((2, 3)), rng.random(3)
    turn = unimodular(rng)
    cell = turn @ TRICLINIC

    def net(cell, turn, origin, repeat=(1, 1, 1)):
        shape = [int(np.ceil(np.linalg.norm(v) / 0.16)) for v in cell]
        axes = np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij")
        values = np.clip(field((np.stack(axes, -1)) @ turn + origin), 0, 1)
        atoms = Atoms("H2", cell=cell, pbc=True, scaled_positions=(place - origin) @ np.linalg.inv(turn))
        atoms.wrap()
        return networking(ELFGrid(np.tile(values, repeat), atoms.repeat(repeat)))

    first = net(TRICLINIC, np.eye(3, dtype=int), np.zeros(3))
    for other in (net(cell, turn, np.zeros(3)), net(TRICLINIC, np.eye(3, dtype=int), origin),
                  net(TRICLINIC, np.eye(3, dtype=int), np.zeros(3), (2, 1, 1))):  # fmt: skip
        for name in NAMES:
            margin = np.hypot(first.uncertainties[name], other.uncertainties[name]) + 1e-6
            assert abs(getattr(first, name) - getattr(other, name)) <= min(3 * margin, 5e-3), name


def test_the_uncertainty_covers_most_differences_to_a_finer_grid():
    inside = []
    for seed in range(8):
        field = gaussians(10, TRICLINIC, width=0.42, seed=seed)
        place = np.random.default_rng(seed).random((4, 3))
        atoms = Atoms("H4", scaled_positions=place, cell=TRICLINIC, pbc=True)
        fine, coarse = networking(field.grid(48, atoms=atoms)), networking(field.grid(20, atoms=atoms))
        for name in NAMES:
            error = abs(getattr(fine, name) - getattr(coarse, name))
            inside.append(error <= coarse.uncertainties[name])
            assert coarse.uncertainties[name] < 0.05
    assert np.mean(inside) >= 0.9


def test_degrees_are_those_of_the_graph():
    field = gaussians(24, TRICLINIC, width=0.42, seed=3)
    bare = networking(field.grid(36))
    atoms = Atoms(f"H{len(bare.basins)}", bare.basins.positions, cell=TRICLINIC, pbc=True)
    net = networking(field.grid(36, atoms=atoms))
    graph = net.graph(0.3)
    links = {frozenset([(a, 0), (b, 1)]) for a, b in graph.edges()}
    assert links
    own = field(atoms.get_scaled_positions())
    found = degrees(net, own, 0.3)
    # Bond points only: a pair of basins that merely touch is no link.
    assert found.sum() <= sum(k * n for k, n in network_statistics(graph).degrees.items())
    assert net.saddles.refined.sum() < len(net.saddles)
    assert found.max() <= max(network_statistics(graph).degrees)
