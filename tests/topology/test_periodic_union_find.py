"""Union-find on a torus against components counted in an explicit supercell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_elf.topology.periodic_union_find import PeriodicUnionFind, is_independent

shift = st.tuples(*[st.integers(-1, 1)] * 3)
edges = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), shift), max_size=12)


def rank_by_paths(n, links, start):
    """Rank of the closed walks through ``start``: a spanning tree and its chords."""
    place, periods, todo = {start: np.zeros(3, int)}, [], [start]
    while todo:
        a = todo.pop()
        for i, j, s in links:
            for x, y, t in ((i, j, np.array(s)), (j, i, -np.array(s))):
                if x != a:
                    continue
                if y not in place:
                    place[y] = place[a] + t
                    todo.append(y)
                else:
                    periods.append(place[a] + t - place[y])
    return np.linalg.matrix_rank(np.array(periods)) if periods else 0


@settings(max_examples=200, deadline=None)
@given(edges)
def test_rank_equals_that_of_the_closed_walks(links):
    forest = PeriodicUnionFind(5)
    for a, b, s in links:
        forest.join(a, b, s)
    for node in range(5):
        assert forest.rank(forest.find(node)[0]) == rank_by_paths(5, links, node)


@settings(max_examples=100, deadline=None)
@given(edges, st.randoms())
def test_order_of_edges_and_direction_do_not_matter(links, random):
    forest, other = PeriodicUnionFind(5), PeriodicUnionFind(5)
    for a, b, s in links:
        forest.join(a, b, s)
    shuffled = random.sample(links, len(links))
    for a, b, s in shuffled:
        other.join(b, a, tuple(-x for x in s))
    ranks = [forest.rank(forest.find(i)[0]) for i in range(5)]
    assert ranks == [other.rank(other.find(i)[0]) for i in range(5)]


def test_offsets_keep_their_sign_through_a_chain_of_merges():
    # a zigzag 0 -> 1 -> 2 -> 0 that winds once along x, with merges on already moved roots
    forest = PeriodicUnionFind(3)
    forest.join(1, 2, (1, 0, 0))
    forest.join(0, 1, (0, 1, 0))
    root, absorbed = forest.join(2, 0, (0, -1, 0))
    assert absorbed is None
    assert forest.rank(root) == 1
    assert forest.periods[root][0] in ((1, 0, 0), (-1, 0, 0))


def test_ranks_of_two_components_are_not_added():
    forest = PeriodicUnionFind(2)
    forest.join(0, 0, (1, 0, 0))
    forest.join(1, 1, (0, 1, 0))
    assert [forest.rank(0), forest.rank(1)] == [1, 1]
    root, _ = forest.join(0, 1, (0, 0, 0))
    assert forest.rank(root) == 2


@pytest.mark.parametrize(
    ("basis", "vector", "new"),
    [
        ([], (0, 0, 0), False),
        ([], (2, 0, 0), True),
        ([(2, 0, 0)], (-4, 0, 0), False),
        ([(1, 1, 0)], (1, -1, 0), True),
        ([(1, 1, 0), (1, -1, 0)], (3, 5, 0), False),
        ([(1, 1, 0), (1, -1, 0)], (0, 0, 7), True),
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1)], (1, 2, 3), False),
    ],
)
def test_independence(basis, vector, new):
    assert is_independent(basis, vector) is new
