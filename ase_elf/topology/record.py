"""Everything topology says about one grid, as plain values for JSON and for print."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.statistics.rounding import with_error
from ase_elf.topology.critical import PERSISTENCE, CriticalPoints, critical_points_of
from ase_elf.topology.labels import label_attractors, label_domains
from ase_elf.topology.network import network_statistics
from ase_elf.topology.networking import HYDROGEN, Networking, networking
from ase_elf.topology.tc import TcEstimate

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid


def summarize(
    grid: ELFGrid, *, isovalue: float | None = None, persistence: float = PERSISTENCE
) -> tuple[dict[str, Any], Networking, CriticalPoints]:
    """Networking values, critical points, domains and network of ``grid``.

    Parameters
    ----------
    grid : ELFGrid
    isovalue : float, optional
        Of the network and the domains; φ by default.
    persistence : float
        See :func:`~ase_elf.topology.critical_points`.

    Returns
    -------
    record : dict
        Plain values only.
    net : Networking
    points : CriticalPoints
    """
    net = networking(grid)
    points = critical_points_of(net.basins.field, persistence=persistence, basins=net.basins)
    labels, lasting = label_attractors(net), net.tree.persistence >= persistence
    level = net.phi if isovalue is None else isovalue
    record = {
        "formula": grid.atoms.get_chemical_formula(),
        "shape": list(grid.shape),
        "phi": net.phi,
        "phi1": net.phi1,
        "phi2": net.phi2,
        "phi3": net.phi3,
        "phi_star": _number(net.phi_star),
        "uncertainty": {name: _number(x) for name, x in net.uncertainties.items()},
        "with_hydrogen": {k: _number(x) for k, x in asdict(net.with_hydrogen).items()},
        "hydrogen_only": {k: _number(x) for k, x in asdict(net.hydrogen_only).items()},
        "coarse": net.coarse,
        "hydrogen_fraction": float((grid.atoms.symbols == HYDROGEN).mean()),
        "critical_points": dict(points.counts._asdict()),
        "euler": points.euler,
        "persistence": points.threshold,
        "cancelled": dict(points.removed._asdict()),
        "unresolved": points.unresolved.tolist(),
        "empty": points.empty,
        "attractors": dict(sorted(Counter(labels[lasting].tolist()).items())),
        "isovalue": float(level),
        "domains": dict(Counter(name for _, name in label_domains(net, level)).most_common()),
        "network": asdict(network_statistics(net.graph(level))),
    }
    return record, net, points


def basin_rows(
    net: Networking, density: np.ndarray | None = None, *, persistence: float = PERSISTENCE
) -> list[dict[str, Any]]:
    """One row per attractor: its basin, and where it joins another.

    Attractors of lower persistence count as part of the one that takes them over.

    Parameters
    ----------
    net : Networking
    density : ndarray, electrons per Å^3, optional
        See :meth:`~ase_elf.topology.basins.Basins.populations`.

    Returns
    -------
    list of dict
        ``attractor`` (index), ``label``, ``x``, ``y``, ``z`` (Å), ``elf``, ``volume``
        (Å^3), ``population`` (electrons; "" without a density), ``atoms`` (indices, with
        spaces), and the merge tree: ``joins`` (the attractor it is taken over by, "" for
        the highest of all) at ELF ``joins_at``.
    """
    basins = net.basins
    owner = np.arange(len(basins))
    joins = {merge.absorbed: merge for merge in net.tree.merges}
    slight = net.tree.persistence < persistence
    for merge in reversed(net.tree.merges):  # the owner of a survivor is known before
        if slight[merge.absorbed]:
            owner[merge.absorbed] = owner[merge.survivor]
    volumes = np.bincount(owner, basins.volumes, len(basins))
    populations = density
    if density is not None:
        populations = np.bincount(owner, basins.populations(density), len(basins))
    owner_of_atom = np.where(net.of_atom < 0, -1, owner[net.of_atom])
    labels, positions = label_attractors(net), basins.positions
    rows = []
    for i in np.flatnonzero(owner == np.arange(len(basins))).tolist():
        joined = joins.get(i)
        x, y, z = positions[i].tolist()
        rows.append(
            {
                "attractor": i, "label": str(labels[i]), "x": x, "y": y, "z": z,
                "elf": float(basins.values[i]),
                "volume": float(volumes[i]),
                "population": "" if populations is None else float(populations[i]),
                "atoms": " ".join(map(str, np.flatnonzero(owner_of_atom == i))),
                "joins": "" if joined is None else int(owner[joined.survivor]),
                "joins_at": "" if joined is None else float(joined.value),
            }
        )  # fmt: skip
    return rows


def point_rows(points: CriticalPoints) -> list[dict[str, Any]]:
    """One row per critical point: position (Å), ELF, gradient (1/Å), Hessian (1/Å^2)."""
    return [
        {
            "kind": str(points.kind[i]),
            **dict(zip("xyz", points.positions[i].tolist(), strict=True)),
            "elf": float(points.values[i]),
            "gradient": float(points.gradient[i]),
            **{f"curvature_{n + 1}": float(points.eigenvalues[i, n]) for n in range(3)},
            "persistence": float(points.persistence[i]),
        }
        for i in range(len(points))
    ]


def lines_of(record: dict[str, Any]) -> list[str]:
    """``record`` of :func:`summarize` as lines of text."""
    shape = " x ".join(map(str, record["shape"]))
    error = record["uncertainty"]
    counts = record["critical_points"]
    lines = [
        f"{record['formula']}, {shape} voxels",
        "networking value (highest ELF of a component periodic in so many directions)",
        *(
            f"  phi{r} {with_error(record[f'phi{r}'], error[f'phi{r}'])}{note}"
            for r, note in ((1, ""), (2, ""), (3, "   = phi"))
        ),
    ]
    if record["phi_star"] is not None:
        only = record["hydrogen_only"]["phi3"]
        lines += [
            f"  phi* {with_error(record['phi_star'], error['phi_star'])}   two hydrogens connect",
            (
                f"  phi  {record['with_hydrogen']['phi3']:.4f} of a network with hydrogen, "
                f"{only:.4f} of hydrogen alone"
            ),
        ]
    lines.append(
        "critical points: "
        + ", ".join(f"{n} {kind}" for kind, n in counts.items())
        + f"; Morse sum {record['euler']}"
        + (" (the list is incomplete)" if record["euler"] and not record["empty"] else "")
    )
    cancelled = sum(record["cancelled"].values())
    if cancelled:
        lines.append(f"  {cancelled} more below persistence {record['persistence']:g} cancelled")
    for x, y, z in record["unresolved"][:10]:
        lines.append(f"  unresolved at {x:.3f} {y:.3f} {z:.3f} Å")
    if len(record["unresolved"]) > 10:
        lines.append(f"  and {len(record['unresolved']) - 10} more unresolved")
    if record["empty"] > 0:
        lines.append(f"  {100 * record['empty']:.1f} % of the cell is vacuum or flat")
    if record["coarse"]:
        lines.append(f"too coarse: {record['coarse']}")
    lines.append("attractors: " + _listed(record["attractors"]))
    statistics = record["network"]
    along = "".join(a for a, p in zip("abc", statistics["percolates"], strict=True) if p)
    lines += [
        f"at ELF {record['isovalue']:.4f}: " + _listed(record["domains"]),
        (
            f"  degrees {_listed(statistics['degrees'])}; independent cycles "
            f"{statistics['cycles']}; percolates along {along or 'no direction'}"
        ),
    ]
    return lines


def tc_lines(estimates: list[TcEstimate]) -> list[str]:
    """Estimates of the critical temperature as lines of text."""
    lines = ["critical temperature (published regressions)"]
    lines += [f"  {e.name:8s}{e.kelvin:7.1f} K   {e.spread}; {e.source}" for e in estimates]
    lines += [f"  note: {remark}" for remark in estimates[0].remarks]
    return lines


def _listed(counts: dict[str, Any]) -> str:
    return ", ".join(f"{n} x {name}" for name, n in counts.items()) or "none"


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
