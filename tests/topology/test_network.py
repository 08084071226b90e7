"""Graph, statistics, domains, tree, labels and export of the network."""

import json

import networkx as nx
import numpy as np
import pytest
from ase import Atoms
from fields import NAMED

from ase_elf import ELFGrid
from ase_elf.errors import InputError
from ase_elf.testing import GaussianModel
from ase_elf.topology import (
    label_attractors,
    label_domains,
    network_statistics,
    networking,
    networking_frames,
    write_graph,
)


@pytest.fixture(scope="module")
def lattice():
    """Simple cubic lattice of one atom with bonds at 0.75, 0.667 and 0.583."""
    return networking(NAMED["aniscos"].grid(24))


def test_a_simple_cubic_network(lattice):
    graph = lattice.graph(0.5)
    assert graph.number_of_nodes() == 1
    assert sorted(e["elf"] for _, _, e in graph.edges(data=True)) == pytest.approx(
        [7 / 12, 2 / 3, 3 / 4], abs=1e-5
    )
    assert [e["length"] for _, _, e in graph.edges(data=True)] == pytest.approx([4, 4, 4])
    statistics = network_statistics(graph)
    assert statistics.degrees == {6: 1}
    assert statistics.cycles == 3
    assert statistics.rings == {4: 3}
    assert statistics.components[0].dimension == 3
    assert statistics.percolates == (True, True, True)


@pytest.mark.parametrize(
    ("isovalue", "dimension", "name"),
    [(0.8, 0, "H atom"), (0.7, 1, "chain"), (0.6, 2, "sheet"), (0.5, 3, "3D network")],
)
def test_domains_grow_from_an_atom_to_a_network(lattice, isovalue, dimension, name):
    [(domain, label)] = label_domains(lattice, isovalue)
    assert (domain.dimension, label, domain.atoms) == (dimension, name, (0,))
    assert sum(domain.winds) == dimension
    assert domain.volume == pytest.approx(64 * (NAMED["aniscos"].grid(24).values >= isovalue).mean())


def test_nothing_above_the_field(lattice):
    graph = lattice.graph(1.0)
    assert graph.number_of_edges() == 0
    assert network_statistics(graph).percolates == (False, False, False)


@pytest.mark.parametrize("isovalue", [-0.1, 1.1, float("nan")])
def test_isovalue_must_be_an_elf(lattice, isovalue):
    with pytest.raises(InputError, match="isovalue"):
        lattice.graph(isovalue)


def test_basins_fill_the_cell_and_hold_the_electrons(lattice):
    assert lattice.basins.volumes.sum() == pytest.approx(64)
    density = np.full((48, 24, 48), 0.25)
    assert lattice.basins.populations(density) == pytest.approx([16])
    with pytest.raises(InputError, match="density"):
        lattice.basins.populations(density[:30])


def test_tree_has_one_merge_less_than_attractors():
    net = networking(NAMED["gyroid"].grid(32))
    tree = net.tree
    assert len(tree.merges) == len(net.basins) - 1 == 7
    assert np.isinf(tree.persistence).sum() == 1
    assert [d.dimension for d in tree.domains(0.9)] == [3]
    assert len(tree.domains(0.99)) == 8


@pytest.mark.parametrize("suffix", [".graphml", ".json"])
def test_an_exported_graph_reads_back(lattice, tmp_path, suffix):
    path = tmp_path / f"network{suffix}"
    graph = lattice.graph(0.5)
    write_graph(graph, path)
    if suffix == ".json":
        back = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
        assert list(back.edges(data=True)) == list(graph.edges(data=True))
    else:
        back = nx.read_graphml(path, node_type=int)
        assert {e["shift_a"] for _, _, e in back.edges(data=True)} <= {-1, 0, 1}
    assert back.number_of_edges() == 3


def test_other_endings_are_refused(lattice, tmp_path):
    with pytest.raises(InputError, match="graphml"):
        write_graph(lattice.graph(0.5), tmp_path / "network.txt")


def spots(positions, symbols, centres, length=6.0, shape=36, width=0.35):
    axes = np.arange(shape) * length / shape
    xyz = np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), -1)
    values = np.full((shape,) * 3, 0.05)
    for centre in centres:
        apart = xyz - centre
        apart -= length * np.round(apart / length)
        values += 0.8 * np.exp(-0.5 * (apart**2).sum(-1) / width**2)
    atoms = Atoms(symbols, positions=positions, cell=[length] * 3, pbc=True)
    return ELFGrid(np.minimum(values, 1), atoms)


def test_attractors_are_named_by_the_nuclei_that_share_them():
    two = [(2.3, 3, 3), (3.7, 3, 3)]
    triangle = [(2.2, 2.4, 3), (3.8, 2.4, 3), (3, 3.79, 3)]
    cases = [
        (two, "C2", (3, 3, 3), "covalent bond"),
        (two, "C2", (1.4, 3, 3), "lone pair"),
        (two, "C2", (2.3, 3, 3), "core"),
        (two, "C2", (3, 0, 0), "non-nuclear"),
        (triangle, "C3", (3, 2.86, 3), "multicentre"),
        (two, "CH", (3.7, 3, 3), "hydrogen"),
    ]
    for positions, symbols, centre, name in cases:
        net = networking(spots(positions, symbols, [centre]))
        assert label_attractors(net)[0] == name, (symbols, centre)


def test_hydrogen_units_are_named_by_their_formula():
    pair = [(1, 1, 1), (1.75, 1, 1)]
    three = [(3, 4, 4), (3.8, 4, 4), (4.6, 4, 4)]
    net = networking(spots(pair + three, "H5", pair + three, width=0.3))
    assert sorted(name for _, name in label_domains(net, 0.3)) == ["H2 unit", "H3"]


def test_the_old_name_for_many_frames_works_and_says_what_it_is():
    grids = (NAMED[name].grid(24) for name in ("aniscos", "index2"))
    with pytest.warns(DeprecationWarning, match="map"):
        frames = networking_frames(grids)
    assert [len(net.basins) for net in frames] == [1, 2]


def test_a_slight_attractor_never_takes_the_place_of_an_atom():
    """Coarse grids make shallow attractors between atoms; each belongs to the atom beside it."""
    atoms = Atoms("H6", [(1, 1, 1), (1.8, 1, 1), (1.4, 1.7, 1), (4, 4, 4), (4, 4, 4.75), (1, 4, 4)],
                  cell=[6, 6, 6], pbc=True)  # fmt: skip
    (found,) = GaussianModel().predict([atoms], [(30, 30, 30)])
    graph = networking(ELFGrid(found.values, atoms)).graph(0.8)
    assert all("position" in data for _, data in graph.nodes(data=True))
    assert sorted(i for _, own in graph.nodes(data="atoms") for i in own) == list(range(6))
