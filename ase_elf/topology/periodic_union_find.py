"""Union-find in a periodic cell: components with the lattice translations that map them onto themselves.

The rank of the lattice of these translations, 0 to 3, is the dimensionality of the component; ranks of
different components never add up, so two crossing rods are two one-dimensional components, not a plane.
"""

from __future__ import annotations

Shift = tuple[int, int, int]


class PeriodicUnionFind:
    """Disjoint sets of nodes in a periodic cell.

    A node ``x`` in image ``m`` belongs with its root in image ``m + offset``; an edge
    ``(a, b, shift)`` joins ``a`` in image 0 with ``b`` in image ``shift``.

    Parameters
    ----------
    n : int
        Number of nodes.
    """

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))
        self._offset: list[Shift] = [(0, 0, 0)] * n
        self.periods: list[list[Shift]] = [[] for _ in range(n)]

    def find(self, node: int) -> tuple[int, Shift]:
        """Root of ``node``, and the image of the root that ``node`` in image 0 is joined to."""
        path = []
        parent, offset = self._parent, self._offset
        while parent[node] != node:
            path.append(node)
            node = parent[node]
        x = y = z = 0
        for child in reversed(path):
            dx, dy, dz = offset[child]
            x, y, z = x + dx, y + dy, z + dz
            parent[child], offset[child] = node, (x, y, z)
        return node, (x, y, z)

    def join(self, a: int, b: int, shift: Shift) -> tuple[int, int | None]:
        """Add an edge; the root of ``a`` stays root.

        Returns
        -------
        root : int
            Root of the component that now holds the edge.
        absorbed : int or None
            Root of ``b`` before, when two components became one.
        """
        root, (ax, ay, az) = self.find(a)
        other, (bx, by, bz) = self.find(b)
        # a@0 ~ root@oa and b@shift ~ other@(shift + ob), hence other@0 ~ root@(oa - shift - ob).
        residual = (ax - shift[0] - bx, ay - shift[1] - by, az - shift[2] - bz)
        if root == other:
            if residual != (0, 0, 0):
                self._add_period(root, residual)
            return root, None
        self._parent[other] = root
        self._offset[other] = residual
        if self.periods[other]:
            for period in self.periods[other]:
                self._add_period(root, period)
            self.periods[other] = []
        return root, other

    def rank(self, root: int) -> int:
        """Dimensionality (0 to 3) of the component of ``root``."""
        return len(self.periods[root])

    def winds(self, root: int) -> tuple[bool, bool, bool]:
        """Along which lattice vectors the component of ``root`` is connected to its own images."""
        a, b, c = (any(period[axis] for period in self.periods[root]) for axis in range(3))
        return a, b, c

    def _add_period(self, root: int, period: Shift) -> None:
        basis = self.periods[root]
        if is_independent(basis, period):
            basis.append(period)


def is_independent(basis: list[Shift], vector: Shift) -> bool:
    """True when ``vector`` raises the rank of the independent integer vectors ``basis``."""
    if len(basis) == 3 or vector == (0, 0, 0):
        return False
    if not basis:
        return True
    cross = _cross(basis[0], vector if len(basis) == 1 else basis[1])
    if len(basis) == 1:
        return cross != (0, 0, 0)
    return cross[0] * vector[0] + cross[1] * vector[1] + cross[2] * vector[2] != 0


def _cross(a: Shift, b: Shift) -> Shift:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
