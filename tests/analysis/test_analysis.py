"""What is counted in a frame, against brute force and against what cannot change it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell

from ase_elf.analysis.bonding import neighbors, pair_counts
from ase_elf.analysis.frame import LADDER, analyze, analyze_frame, geometry_digest, settings_for
from ase_elf.errors import FormatError, InputError
from ase_elf.grid import ELFGrid, fast_shape
from ase_elf.statistics import RunStatistics
from ase_elf.structures.trajectory import Frame
from ase_elf.testing import GaussianDomain, molecular_fluid

DOMAIN = GaussianDomain()


def analyzed(atoms, index=0, **chosen):
    settings = settings_for(atoms, DOMAIN, **chosen)
    frames = [Frame(index, 1.0 * index, atoms)]
    return next(analyze(frames, DOMAIN, settings))[0]


@pytest.fixture(scope="module")
def fluid():
    return molecular_fluid(27, 3, length=5.2)[1]


def test_a_fluid_of_molecules_is_all_molecules_by_both_definitions(fluid):
    result, _, _ = analyzed(fluid)
    s = result.scalars
    assert s["elf_molecular_fraction_distance"] == s["elf_molecular_fraction_domain"] == 1.0
    assert s["elf_clusters_2"] == 27 and s["elf_clusters_1"] == s["elf_clusters_3"] == 0
    assert s["elf_bonds"] == 27 and s["elf_degree_mean"] == pytest.approx(1, abs=0.1)
    lengths = [fluid.get_distance(2 * k, 2 * k + 1, mic=True) for k in range(27)]
    np.testing.assert_allclose(np.sort(result.bonds["length"]), np.sort(lengths))
    assert s["elf_phi"] < 0.8 < s["elf_phi_star"]
    assert s["elf_sigma"] == pytest.approx(0.01)


def test_a_trimer_and_a_single_atom_are_told_apart():
    atoms = Atoms("H6", [(1, 1, 1), (1.8, 1, 1), (1.4, 1.7, 1), (4, 4, 4), (4, 4, 4.75), (1, 4, 4)])
    atoms.set_cell([6, 6, 6])
    atoms.pbc = True
    result, _, _ = analyzed(atoms)
    assert result.cluster_sizes.tolist() == [3, 2, 1]
    assert result.scalars["elf_molecular_fraction_domain"] == pytest.approx(2 / 6)
    # The trimer has one closest pair, 0.8 Å, but its third atom is nearest to neither's first.
    assert result.scalars["elf_molecular_fraction_distance"] == pytest.approx(4 / 6)
    assert sorted(result.degrees.tolist())[:3] == [0, 1, 1]


@pytest.fixture(scope="module")
def shapes():
    """A chain, a star, a ring, a line that closes through the boundary along c, two molecules."""
    turns = np.arange(6) * np.pi / 3
    hexagon = np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)
    places = [
        [(1, y, 1.8) for y in (1, 1.9, 2.8, 3.7)],
        [(3.5, 3, 1.8), *(0.9 * hexagon[::2] + (3.5, 3, 1.8))],
        0.9 * hexagon + (7, 3, 1.8),
        [(10.5, 3, z) for z in (0, 0.9, 1.8, 2.7)],
        [(1, 5.3, 0.6), (1, 5.3, 1.35)],
        [(5, 5.3, 0.6), (5, 5.3, 1.1)],
    ]
    positions = np.concatenate(places)
    atoms = Atoms(f"H{len(positions)}", positions, cell=[12, 6.5, 3.6], pbc=True)
    return analyzed(atoms, spacing=0.1)[0]


def test_chains_branches_and_rings_are_told_apart(shapes):
    s = shapes.scalars
    assert (s["elf_clusters_chain"], s["elf_clusters_branched"], s["elf_clusters_ring"]) == (1, 1, 2)
    assert s["elf_clusters_2"] == 2 and s["elf_clusters_larger"] == 4
    assert s["elf_molecular_fraction_cutoff"] == pytest.approx(4 / shapes.n_atoms)


def test_the_network_wraps_along_the_axis_of_the_line_only(shapes):
    s = shapes.scalars
    half_way = 1 / (1 + np.exp(2 - 6 * 2 * np.exp(-(0.45**2) / (2 * 0.3**2))))
    assert s["elf_phi_c"] == s["elf_phi1"] == pytest.approx(half_way, abs=5e-3)
    assert max(s["elf_phi_a"], s["elf_phi_b"]) < 0.5


def test_bond_points_of_straight_bonds_lie_half_way(shapes):
    bonds = shapes.bonds
    # By symmetry, but for neighbors of neighbors; 0.5 Å apart two atoms share an attractor there.
    assert bonds["length"].min() == pytest.approx(0.5) and np.isfinite(bonds["elf_point"]).all()
    np.testing.assert_allclose(bonds["elf_point"], bonds["elf_mid"], atol=5e-3)


def test_equally_near_neighbors_make_no_molecule():
    atoms = Atoms("H8", cell=[3.2] * 3, pbc=True)
    atoms.set_scaled_positions(0.5 * np.stack(np.meshgrid(*[[0, 1]] * 3), -1).reshape(-1, 3))
    result, _, _ = analyzed(atoms)
    assert not result.bonds["mutual"].any() and np.isnan(result.scalars["elf_nematic_order"])


def test_pair_counts_match_brute_force_in_a_skewed_cell():
    rng = np.random.default_rng(1)
    atoms = Atoms("H5", rng.uniform(0, 3, (5, 3)), cell=[[3.013, 0, 0], [0.7, 3, 0], [0.2, 0.9, 3]])
    atoms.pbc = True
    settings = settings_for(atoms, DOMAIN, r_max=3.7)
    result, _, _ = analyzed(atoms, r_max=3.7)
    images = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), -1).reshape(-1, 3) @ atoms.cell[:]
    apart = atoms.positions[None, :, None] + images - atoms.positions[:, None, None]
    length = np.linalg.norm(apart, axis=-1).ravel()
    counts = np.histogram(length[length > 1e-9], settings.r_edges)[0]
    np.testing.assert_array_equal(2 * result.rdf_counts[0], counts)


def test_what_is_kept_of_pairs_does_not_grow_with_the_range_of_the_pair_distribution():
    atoms = molecular_fluid(64, 1, length=7.0)[0]
    near, far = (settings_for(atoms, DOMAIN, r_max=r) for r in (3.0, 12.0))
    assert len(neighbors(atoms, near).i) == len(neighbors(atoms, far).i)
    counts = pair_counts(atoms, far)
    volume = 4 / 3 * np.pi * 12.0**3
    # A sphere of 12 Å holds a volume's worth of atoms, up to its surface and its center.
    assert 2 * counts.sum() / 128 == pytest.approx(128 / 7.0**3 * volume - 1, rel=0.01)


def test_pairs_are_sorted_by_the_elf_at_their_midpoints():
    rng = np.random.default_rng(5)
    atoms = Atoms("H4O2", rng.uniform(0, 3, (6, 3)), cell=[[3.1, 0, 0], [0.7, 3, 0], [0.2, 0.9, 3]])
    atoms.pbc = True
    domain = GaussianDomain(("H", "O"))
    domain.card["bonds"] = {"H-O": 1.0}
    settings = settings_for(atoms, domain, r_max=3.7)
    ((result, grid, _),) = next(analyze([Frame(0, 0.0, atoms)], domain, settings))
    assert settings.bonding_pairs == ("H-O",) and settings.pairs == ("H-H", "H-O", "O-O")
    edges = settings.resolved_edges
    assert 2.9 < edges[-1] < 3.1 and edges[1] == pytest.approx(2 * settings.r_edges[1])
    expected = np.zeros(result.resolved_counts.shape[1:], dtype=int)
    images = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), -1).reshape(-1, 3) @ atoms.cell[:]
    for h in atoms.positions[:4]:
        apart = (atoms.positions[4:, None] + images - h).reshape(-1, 3)
        elf = grid.sample(h + apart / 2)
        expected += np.histogram2d(elf, np.linalg.norm(apart, axis=1), [np.linspace(0, 1, 11), edges])[
            0
        ].astype(int)
    np.testing.assert_array_equal(result.resolved_counts, expected[None])
    # Whatever their ELF, these are the pairs that g(r) counts.
    pairs = result.rdf_counts[1, : 2 * (len(edges) - 1)].reshape(-1, 2).sum(1)
    np.testing.assert_array_equal(result.resolved_counts[0].sum(0), pairs)


def test_molecules_share_electrons_and_their_neighbors_do_not(fluid):
    result, _, _ = analyzed(fluid)
    statistics = RunStatistics(settings_for(fluid, DOMAIN).plan())
    statistics.update(result)
    resolved = statistics.result()["resolved_rdf"]
    within = resolved.r < 1.0
    assert resolved.g[0, 9, within].sum() > 0 and resolved.g[0, :8, within].sum() == 0
    # Beyond the closest neighbors a midpoint may lie in a molecule that belongs to neither.
    beside = (resolved.r > 1.0) & (resolved.r < 1.4)
    assert resolved.g[0][:7, beside].sum() > 0 == resolved.g[0][7:, beside].sum()


def test_ideal_gas_has_g_of_one():
    rng = np.random.default_rng(2)
    atoms = Atoms("H100", rng.uniform(0, 6, (100, 3)), cell=[6] * 3, pbc=True)
    settings = settings_for(atoms, DOMAIN)
    statistics = RunStatistics(settings.plan())
    for k in range(6):
        atoms.positions = rng.uniform(0, 6, (100, 3))
        x = 0.5 + 0.4 * np.cos(2 * np.pi * np.arange(8) / 8)
        grid = ELFGrid(x[:, None, None] * np.ones((8, 8, 8)) * (1 + x) / 2, atoms)
        statistics.update(analyze_frame(Frame(k, np.nan, atoms), grid, settings)[0])
    rdf = statistics.result()["rdf"]
    # Poisson noise: the outer half of the bins together hold about 12,000 pairs.
    half = len(rdf.r) // 2
    weights = rdf.r[half:] ** 2
    assert np.average(rdf.g[0, half:], weights=weights) == pytest.approx(0.99, abs=0.03)
    coordination = 99 / 216 * 4 / 3 * np.pi * rdf.edges[-1] ** 3
    assert rdf.coordination[0, -1] == pytest.approx(coordination, rel=0.02)


def test_a_supercell_gives_the_same_intensive_numbers(fluid):
    small, _, _ = analyzed(fluid)
    double = make_supercell(fluid, np.diag([2, 1, 1]))
    big, _, _ = analyzed(double, r_max=settings_for(fluid, DOMAIN).r_max)
    for name in ("elf_phi", "elf_phi_star", "elf_molecular_fraction_domain", "elf_mean",
                 "elf_bond_midpoint_mean", "elf_nematic_order"):  # fmt: skip
        # The grid of the longer cell is not twice the grid of the short one.
        assert big.scalars[name] == pytest.approx(small.scalars[name], abs=2e-3), name
    np.testing.assert_array_equal(big.rdf_counts, 2 * small.rdf_counts)


def test_order_and_origin_of_the_atoms_do_not_matter(fluid):
    rng = np.random.default_rng(4)
    moved = fluid[rng.permutation(len(fluid))]
    n = fast_shape(fluid.cell[:], DOMAIN.spacing)[0]
    moved.positions += fluid.cell[:].sum(0) / n * np.array([2, 3, 5])  # whole grid steps
    moved.wrap()
    a, b = analyzed(fluid)[0], analyzed(moved)[0]
    assert a.scalars.keys() == b.scalars.keys()
    for name, value in a.scalars.items():
        assert b.scalars[name] == pytest.approx(value, abs=1e-3), name
    np.testing.assert_array_equal(a.cluster_sizes, b.cluster_sizes)
    np.testing.assert_allclose(a.orientation.sum(1), b.orientation.sum(1), atol=1e-9)


def test_parallel_molecules_have_full_orientational_order():
    atoms = molecular_fluid(8, 1, length=4.0)[0]
    atoms.positions[1::2] = atoms.positions[::2] + [0, 0, 0.75]
    result, _, _ = analyzed(atoms)
    assert result.scalars["elf_nematic_order"] == pytest.approx(1.0)
    np.testing.assert_allclose(result.orientation[0], result.orientation[1])


def test_percolation_ladder_agrees_with_the_network_value(fluid):
    result, _, _ = analyzed(fluid)
    assert (np.diff(result.largest_fraction) <= 0).all()
    assert result.largest_fraction[LADDER < result.scalars["elf_phi"]].min() > 0.5
    assert result.largest_fraction[-1] == 2 / 54
    assert result.elf_histogram.sum() == pytest.approx(1)


@pytest.mark.parametrize("batch", [2])
def test_batches_change_nothing(batch):
    frames = [Frame(k, float(k), a) for k, a in enumerate(molecular_fluid(8, 5, length=3.5))]
    settings = settings_for(frames[0].atoms, DOMAIN)
    lines = [
        [result.to_json() for group in analyze(frames, DOMAIN, settings, batch=n)
         for result, _, _ in group]
        for n in (batch, 3)
    ]  # fmt: skip
    assert lines[0] == lines[1] and len(lines[0]) == 5


def test_bad_frames_stop_after_the_good_ones():
    images = molecular_fluid(8, 5, length=4.0)
    images[3].positions[0, 0] = np.nan
    frames = [Frame(k, float(k), a) for k, a in enumerate(images)]
    settings = settings_for(images[0], DOMAIN)
    done = []
    with pytest.raises(InputError, match="frame 3: .*NaN"):
        for group in analyze(frames, DOMAIN, settings, batch=2):
            done += [result.frame for result, _, _ in group]
    assert done == [0, 1, 2]

    def torn():
        yield frames[0]
        raise FormatError("torn")

    done = []
    with pytest.raises(FormatError, match="torn"):
        for group in analyze(torn(), DOMAIN, settings, batch=2):
            done += group
    assert len(done) == 1


def test_density_outside_the_trained_range_is_a_flag_not_an_error():
    atoms = molecular_fluid(8, 1, length=8.0)[0]
    result, _, _ = analyzed(atoms)
    assert result.scalars["elf_outside"] == 1 and "r_s_bohr" in result.outside[0]


def test_geometry_digest_sees_every_change(fluid):
    other = fluid.copy()
    other.positions[3, 1] += 1e-9
    assert geometry_digest(other) != geometry_digest(fluid) == geometry_digest(fluid.copy())


def test_isovalue_outside_the_unit_interval_is_refused(fluid):
    with pytest.raises(InputError, match=r"isovalue = 1\.2"):
        settings_for(fluid, DOMAIN, isovalue=1.2)
