"""The Au-S ruler against its variants, its baselines, and the ELF of altered clusters.

    OMP_NUM_THREADS=1 python benchmarks/ruler.py [--members N] [--epochs N] [--only TABLE]

Reads the images in ``plugins/gold_thiolate/labels`` (batches bonds and altered), fits every variant on
the same bonds, and prints Markdown tables of what it reads on compositions that were not
trained on. Seeds are those of the recipe; one thread.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ase.io import read
from scipy.optimize import linear_sum_assignment

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ase_elf import ELFCalculator  # noqa: E402
from ase_elf.dataset import LabelStore  # noqa: E402
from ase_elf.domains import get_domain  # noqa: E402
from ase_elf.ruler import Ruler, load_ruler, measure_bonds  # noqa: E402
from ase_elf.ruler.bond_set import BondSet  # noqa: E402
from ase_elf.ruler.image import ImageSpec  # noqa: E402
from ase_elf.ruler.modes import assign_by_all, attribution, is_sure, pixel_shares, regions  # noqa: E402
from ase_elf.training.ruler import RulerConfig, divide, fit_ruler, gather, score  # noqa: E402

PACK = ROOT / "plugins" / "gold_thiolate"
GEOMETRIES = ROOT.parent / "shared" / "data" / "gold"

VARIANTS = {
    "A: as the paper, fixed Å per pixel": ImageSpec(48, 2.56, None, (0,)),
    "B: normalised by the bond length": ImageSpec(48, 2.56, 2.4, (0,)),
    "C: B with both cores blanked": ImageSpec(48, 2.56, 2.4, (0,), (0.8, 0.5)),
    "C, two planes": ImageSpec(48, 2.56, 2.4, (0, 1), (0.8, 0.5)),
    "shipped: C within 1.28 Å, two planes": ImageSpec(16, 1.28, 2.4, (0, 1), (0.8, 0.5)),
    "the same, plane through carbon only": ImageSpec(16, 1.28, 2.4, (0,), (0.8, 0.5)),
    "the same, plane through second gold only": ImageSpec(16, 1.28, 2.4, (1,), (0.8, 0.5)),
    "the same, 12 pixels": ImageSpec(12, 1.28, 2.4, (0, 1), (0.8, 0.5)),
}

ARCHITECTURES = {
    "16-32-48, 64": {},
    "8-16, 32": {"widths": (8, 16), "hidden": 32},
    "16-32, 64": {"widths": (16, 32)},
    "32-64-96, 128": {"widths": (32, 64, 96), "hidden": 128},
    "16-32-48, 64, no noise": {"noise": 0.0},
    "16-32-48, 64, one member": {"members": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--only", choices=list(TABLES))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    config = RulerConfig.read(PACK / "ruler.yaml")
    recipe = replace(config.recipe, members=chosen.members, epochs=chosen.epochs)
    config = replace(config, recipe=recipe, type_image=None)
    for name, table in TABLES.items():
        if chosen.only in (None, name):
            print(f"\n### {name}\n", flush=True)
            table(config)


def variants(config: RulerConfig) -> None:
    """Images of different kinds, and readings without a network."""
    parts = divide(gather(config), config)
    print(f"{len(parts.train)} bonds trained on, {len(parts.test)} tested on.\n")
    print("| reading | MAE (Å) | relaxed | dynamics | rmse | 1σ coverage | Spearman | s |")
    print("|---|---|---|---|---|---|---|---|")
    truth = parts.test.length
    median = np.full(len(truth), np.median(parts.train.length))
    _row("nothing: the median length", median - truth, parts.test)
    _row("distance of the dark cores in image A", core_distance(parts.test) - truth, parts.test)
    _row("linear in three values along the bond", _linear(parts) - truth, parts.test)
    for name, spec in VARIANTS.items():
        _fitted(name, replace(config, image=spec), parts)


def architectures(config: RulerConfig) -> None:
    """The shipped image, read by networks of different size."""
    parts = divide(gather(config), config)
    print("| network | MAE (Å) | relaxed | dynamics | rmse | 1σ coverage | Spearman | s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, change in ARCHITECTURES.items():
        _fitted(name, replace(config, recipe=replace(config.recipe, **change)), parts)


def altered(config: RulerConfig) -> None:
    """Readings of clusters whose geometry was kept while something else was changed.

    The ruler is fitted on relaxed bonds only, and what it reads is compared with itself:
    the same bond before and after. σ is that of its deviations on relaxed bonds of
    compositions it was not fitted to.
    """
    bonds = gather(config)
    config = replace(config, kinds=("relaxed",))
    parts = divide(bonds, config)
    ruler = fit_ruler(config, parts)
    relaxed = parts.test[parts.test.kind == "relaxed"]
    read = ruler.read(relaxed.shown(config.image))[0]
    sigma = float((relaxed.length - read).std())
    print(f"Fitted on {len(parts.train)} relaxed bonds; σ of held-out deviations {sigma:.4f} Å")
    print(f"({len(relaxed)} relaxed bonds, MAE {np.abs(relaxed.length - read).mean():.4f} Å).\n")
    print("| change | cluster | type | bonds | reading changes by (Å) | spread | in σ |")
    print("|---|---|---|---|---|---|---|")
    changed = BondSet.joined(LabelStore(PACK / "labels").images({"batch": "altered"}))
    for kind in sorted(set(changed.kind.tolist())):
        for structure in sorted(set(changed.structure[changed.kind == kind].tolist())):
            after = changed[(changed.structure == structure) & (changed.kind == kind)]
            before = bonds[bonds.structure == structure]
            assert np.allclose(after.length, before.length, atol=1e-6)
            shift = ruler.read(after.shown(config.image))[0] - ruler.read(before.shown(config.image))[0]
            for label in sorted(set(before.type.tolist())):
                mine = shift[before.type == label]
                print(
                    f"| {kind} | {structure} | {label} | {len(mine)} | {mine.mean():+.4f} | "
                    f"{mine.std():.4f} | {abs(mine.mean()) / sigma:.1f} |"
                )


def predicted(config: RulerConfig) -> None:
    """The shipped ruler on predicted ELF against itself on DFT ELF, and its pace.

    Needs the geometries of `../shared/data/gold`, which are not ours to ship.
    """
    if not GEOMETRIES.is_dir():
        print(f"left out: {GEOMETRIES} is not there")
        return
    files = {"cl": read(GEOMETRIES / "clusters.extxyz", ":"),
             "fw": read(GEOMETRIES / "frameworks.extxyz", ":")}  # fmt: skip
    test = divide(gather(config), config).test
    ruler = load_ruler(get_domain("gold-thiolate"), ("Au", "S"))
    calculator = ELFCalculator(domain="gold-thiolate", device="cpu")
    print("| cluster | bonds | predicted - DFT (Å) | predicted - length | DFT - length | bonds/s |")
    print("|---|---|---|---|---|---|")
    everything = []
    for name in sorted(set(test.structure.tolist())):
        found = re.match(r"(cl|fw)(\d+)-", name)
        if not found:
            continue
        atoms = files[found[1]][int(found[2])].copy()
        atoms.pbc, atoms.cell = False, None
        mine = test[test.structure == name]
        started = time.perf_counter()
        table = measure_bonds(atoms, calculator)
        pace = len(table) / (time.perf_counter() - started)
        known = np.flatnonzero(table["length"] < config.cutoff)
        order = known[np.argsort(table["length"][known])]
        mine = mine[np.argsort(mine.length)]
        from_dft = ruler.read(mine.shown(ruler.spec))[0]
        row = np.stack([table["ruler_length"][order], from_dft, mine.length])
        everything.append(row[:, np.isfinite(row[0])])
        _compare(name, everything[-1], f"{pace:.0f}")
    _compare("all", np.concatenate(everything, axis=1), "")


def _compare(name: str, rows: np.ndarray, pace: str) -> None:
    read, from_dft, length = rows
    print(
        f"| {name} | {len(read)} | {np.abs(read - from_dft).mean():.4f} | "
        f"{np.abs(read - length).mean():.4f} | {np.abs(from_dft - length).mean():.4f} | {pace} |",
        flush=True,
    )


def core_distance(bonds: BondSet) -> np.ndarray:
    """Å between the centres of the two dark cores on the bond axis of a fixed-scale image."""
    spec = VARIANTS["A: as the paper, fixed Å per pixel"]
    images = bonds.shown(spec)[:, 0]
    x = ((np.arange(spec.size) + 0.5) / spec.size * 2 - 1) * spec.half_width
    rows = images[:, spec.size // 2 - 2 : spec.size // 2 + 2].mean(1)
    dark = np.clip(0.2 - rows, 0, None)
    centres = []
    for side in (x < 0, x > 0):
        # Of the dark stretches on this side the deepest is the core.
        weight = dark * side * (np.abs(np.abs(x) - 1.2) < 0.6)
        centres.append((weight * x).sum(1) / np.maximum(weight.sum(1), 1e-9))
    return centres[1] - centres[0]


def three_values(bonds: BondSet) -> np.ndarray:
    """Least ELF between the cores, greatest on the sulfur side, and the one half way."""
    spec = VARIANTS["C: B with both cores blanked"]
    rows = bonds.shown(spec)[:, 0, spec.size // 2 - 1 : spec.size // 2 + 1].mean(1)
    x = ((np.arange(spec.size) + 0.5) / spec.size * 2 - 1) * spec.half_width
    least = rows[:, (x > -0.4) & (x < 0.6)].min(1)
    greatest = rows[:, (x > 0) & (x < 0.7)].max(1)
    half_way = rows[:, np.abs(x).argsort()[:2]].mean(1)
    return np.stack([least, greatest, half_way, np.ones(len(rows))], 1)


def _linear(parts) -> np.ndarray:
    fitted = np.linalg.lstsq(three_values(parts.train), parts.train.length, rcond=None)[0]
    return three_values(parts.test) @ fitted


def modes(config: RulerConfig) -> None:
    """Are reading modes the same for other seeds, for each network alone, and without one of the compositions?"""
    from scipy.cluster.vq import kmeans2

    ruler, test = load_ruler(get_domain("gold-thiolate"), ("Au", "S")), divide(gather(config), config).test
    images = test.shown(ruler.spec)
    shipped, confidence, agreement, maps = assign_by_all(ruler.modes, ruler.readers, images)
    each = [pixel_shares(attribution([reader], images, ruler.modes.baseline)) for reader in ruler.readers]
    shares = pixel_shares(maps)

    def labels(points: np.ndarray, of: np.ndarray, k: int, seed: int = 1) -> np.ndarray:
        """Clusters of ``of`` by centroids found on ``points``."""
        centroids = kmeans2(points, k, minit="++", seed=seed, iter=50)[0]
        return ((of[:, None] - centroids) ** 2).sum(-1).argmin(1)

    print(
        f"{len(test)} bonds of test compositions. Same: part of them in the same mode as by the clustering of all.\n"
    )
    print("| what is changed | same, two modes: mean, least | same, three modes |\n|---|---|---|")
    first = {2: shipped, 3: labels(shares, shares, 3, seed=0)}
    without = [test.group != group for group in np.unique(test.group)]
    ways = {
        "ten seeds of k-means": lambda k: [labels(shares, shares, k, seed) for seed in range(1, 11)],
        "one composition left out": lambda k: [labels(shares[kept], shares, k) for kept in without],
        "one network alone, modes as shipped": lambda k: [
            np.argmin([((one - c.ravel()) ** 2).sum(1) for c in ruler.modes.centroids], 0) for one in each
        ] if k == 2 else [],
        "one network alone, clustered anew": lambda k: [labels(one, one, k) for one in each],
    }  # fmt: skip
    for name, way in ways.items():
        same = {k: [_same(first[k], found) for found in way(k)] for k in first}
        told = [f"{np.mean(part):.2f}, {min(part):.2f}" if part else "" for part in same.values()]
        print(f"| {name} | {told[0]} | {told[1]} |", flush=True)
    parts = regions(ruler.spec, ruler.pair)
    print("\n| mode | bonds | sure | mean length (Å) | mean deviation (Å) | "
          + " | ".join(f"from {name}" for name in parts) + " |\n" + "|---" * (5 + len(parts)) + "|")  # fmt: skip
    deviation = test.length - ruler.read(images)[0]
    for n, name in enumerate(ruler.modes.names):
        mine = shipped == n
        sure = is_sure(confidence, agreement)[mine].mean()
        means = f"{test.length[mine].mean():.3f} | {deviation[mine].mean():+.4f}"
        where = " | ".join(f"{ruler.modes.centroids[n][:, part].sum():.3f}" for part in parts.values())
        print(f"| {name} | {mine.sum()} | {sure:.2f} | {means} | {where} |")
    kinds = sorted(set(test.type.tolist()))
    told = [f"{kind} {(shipped[test.type == kind] == 0).mean():.2f}" for kind in kinds]
    print(f"\nPart in mode {ruler.modes.names[0]!r} by type: {', '.join(told)}.")
    _draw_modes(ruler)


TABLES = {
    "variants": variants,
    "architectures": architectures,
    "altered": altered,
    "predicted": predicted,
    "modes": modes,
}


def _same(a: np.ndarray, b: np.ndarray) -> float:
    """Part of two clusterings that agrees, their names matched as well as they can be."""
    table = np.array([[((a == i) & (b == j)).sum() for j in np.unique(b)] for i in np.unique(a)])
    return table[linear_sum_assignment(-table)].sum() / len(a)


def _draw_modes(ruler: Ruler) -> None:
    """The mean image, and where each mode looks more than the others do: ``docs/images/reading-modes.png``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    modes, half = ruler.modes, ruler.spec.half_width
    excess = modes.centroids - modes.centroids.mean(0)
    top, extent = np.abs(excess).max(), (-half, half, -half, half)
    figure, axes = plt.subplots(
        2, 1 + len(modes.names), figsize=(8, 5.2), sharex=True, sharey=True, layout="constrained"
    )
    for plane, row in enumerate(axes):
        row[0].imshow(modes.baseline[plane], origin="lower", extent=extent, cmap="viridis", vmin=0, vmax=1)
        for ax, part in zip(row[1:], excess[:, plane], strict=True):
            drawn = ax.imshow(part, origin="lower", extent=extent, cmap="RdBu_r", vmin=-top, vmax=top)
        row[0].set_ylabel(f"plane {ruler.spec.planes[plane]}\nacross (Å)")
    for ax, name in zip(axes[0], ("mean ELF", *modes.names), strict=True):
        ax.set_title(name)
    figure.supxlabel(f"along the bond, from {ruler.pair[0]} to {ruler.pair[1]} (Å)")
    figure.colorbar(drawn, ax=axes, label="share of the reading, less the mean of the modes", shrink=0.7)
    figure.savefig(ROOT / "docs" / "images" / "reading-modes.png", dpi=110)
    plt.close(figure)


def _row(name: str, error: np.ndarray, test: BondSet, more: str = "| | |") -> None:
    by_kind = [f"{np.abs(error[test.kind == kind]).mean():.4f}" for kind in ("relaxed", "dynamics")]
    print(
        f"| {name} | {np.abs(error).mean():.4f} | {by_kind[0]} | {by_kind[1]} | "
        f"{np.sqrt((error**2).mean()):.4f} {more} |",
        flush=True,
    )


def _fitted(name: str, config: RulerConfig, parts) -> None:
    started = time.perf_counter()
    ruler = fit_ruler(config, parts)
    seconds = time.perf_counter() - started
    error = ruler.read(parts.test.shown(config.image))[0] - parts.test.length
    row = score(ruler, parts.test, {})
    more = f"| {row['coverage']:.2f} | {row['spearman']:.2f} | {seconds:.0f}"
    _row(name, error, parts.test, more)


if __name__ == "__main__":
    main()
