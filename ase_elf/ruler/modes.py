"""Reading modes: where in an image of a bond a ruler looked to read its length.

Attribution maps (integrated gradients, Sundararajan et al., arXiv:1703.01365) of all test
bonds are clustered; each cluster is a mode, named by where its map lies. The paper behind
the ruler names three reading modes, but what they are could not be found in public, so
number, meaning and names here are our own, and come from the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ase_elf.errors import InputError

if TYPE_CHECKING:
    from ase_elf.ruler.image import ImageSpec
    from ase_elf.ruler.network import ImageReader

STEPS = 2
"""Points of the path integral from the mean image; 48 change a map by 5e-5 of its sum."""


SURE = {"confidence": 0.6, "agreement": 0.75}
"""A mode is sure where its confidence is not below this, and of the readers of the ruler, which were fitted
independently, not a smaller part has it by itself. Of two modes a confidence of 0.5 is a coin toss."""


def is_sure(confidence: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """Which modes are sure (:data:`SURE`); bool, shape (n,), False where there is none (NaN)."""
    return (confidence >= SURE["confidence"]) & (agreement >= SURE["agreement"])


@dataclass(frozen=True)
class ReadingModes:
    """Typical attribution maps.

    Parameters
    ----------
    names : tuple of str
    centroids : ndarray, shape (n_modes, planes, size, size), float32
        Mean share of every pixel in the reading; non-negative, each sums to 1.
    baseline : ndarray, shape (planes, size, size), float32
        The image that readings are compared with: the mean of the images clustered.
    width : float
        Spread of the maps around their centroids, which the confidence is measured in.
    """

    names: tuple[str, ...]
    centroids: np.ndarray
    baseline: np.ndarray
    width: float

    def assign(self, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mode and confidence of each map.

        Parameters
        ----------
        maps : ndarray, shape (n, planes, size, size)
            Of :func:`attribution`.

        Returns
        -------
        mode : ndarray, shape (n,), int
            Index into ``names``.
        confidence : ndarray, shape (n,), float64
            Probability of that mode if all had Gaussian scatter of the same width.
        """
        shares = pixel_shares(maps)
        flat = self.centroids.reshape(1, len(self.names), -1)
        squared = ((shares[:, None] - flat) ** 2).sum(-1) / (2 * self.width**2)
        weight = np.exp(squared.min(1, keepdims=True) - squared)
        probability = weight / weight.sum(1, keepdims=True)
        return probability.argmax(1), probability.max(1)


def attribution(readers: Sequence[ImageReader], images: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """How much every pixel moved the reading, by integrated gradients.

    Parameters
    ----------
    readers : sequence of ImageReader
        The mean of their readings is attributed.
    images : ndarray, shape (n, planes, size, size), float32
    baseline : ndarray, shape (planes, size, size), float32
        What the images are compared with; the mean image of a set.

    Returns
    -------
    ndarray, shape (n, planes, size, size), float32, Å
        Sums over an image to its reading less that of the baseline.

    Raises
    ------
    InputError
        The package captum is missing.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise InputError("attribution maps need the package captum: pip install 'ase-elf[ruler]'.") from error

    def mean_reading(batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([reader(batch)[0] for reader in readers]).mean(0)

    method = IntegratedGradients(mean_reading, multiply_by_inputs=True)
    start = torch.from_numpy(np.ascontiguousarray(baseline))[None]
    maps = [
        method.attribute(part, baselines=start.expand_as(part), n_steps=STEPS)
        for part in torch.from_numpy(images).split(256)
    ]
    return torch.cat(maps).detach().numpy() if maps else np.zeros_like(images)


def assign_by_all(
    modes: ReadingModes, readers: Sequence[ImageReader], images: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Modes of images, and how sure they are.

    Returns
    -------
    mode : ndarray, shape (n,), int
    confidence : ndarray, shape (n,), float64
        As :meth:`ReadingModes.assign` has them, of the mean reading.
    agreement : ndarray, shape (n,), float64
        Part of the readers that have this mode when each is looked at alone.
    maps : ndarray, shape (n, planes, size, size), float32, Å
        :func:`attribution` of the mean reading.
    """
    each = [attribution([reader], images, modes.baseline) for reader in readers]
    maps = np.mean(each, axis=0)  # what moves the mean is the mean of what moves each
    mode, confidence = modes.assign(maps)
    agreement = np.mean([modes.assign(one)[0] == mode for one in each], axis=0)
    return mode, confidence, agreement, maps


def pixel_shares(maps: np.ndarray) -> np.ndarray:
    """Share of each pixel in the sum of absolute attributions, flattened: (n, n_pixels)."""
    flat = np.abs(maps).reshape(len(maps), -1)
    return flat / np.maximum(flat.sum(1, keepdims=True), 1e-12)


def find_modes(
    maps: np.ndarray,
    baseline: np.ndarray,
    spec: ImageSpec,
    pair: tuple[str, str],
    *,
    most: int = 6,
) -> tuple[ReadingModes, dict[int, float]]:
    """Cluster attribution maps and name the clusters.

    k-means for 2 to ``most`` clusters; the number with the best mean silhouette is kept.

    Parameters
    ----------
    maps : ndarray, shape (n, planes, size, size)
    baseline : ndarray, shape (planes, size, size)
        That of :func:`attribution`.
    spec : ImageSpec
        What the images show: where the nuclei are.
    pair : tuple of str
        Elements of first and second atom, for the names.
    most : int

    Returns
    -------
    modes : ReadingModes
    silhouettes : dict of int to float
        By number of clusters: what the choice was made from.
    """
    from scipy.cluster.vq import kmeans2

    shares = pixel_shares(maps)
    fits, silhouettes = {}, {}
    for k in range(2, most + 1):
        centroids, labels = kmeans2(shares, k, minit="++", seed=0, iter=50)
        if len(np.unique(labels)) == k:
            fits[k] = centroids, labels
            silhouettes[k] = _silhouette(shares, labels)
    best = max(silhouettes, key=silhouettes.get)
    centroids, labels = fits[best]
    width = float(np.sqrt(((shares - centroids[labels]) ** 2).sum(1).mean()))
    centroids = centroids.reshape(best, *maps.shape[1:]).astype(np.float32)
    modes = ReadingModes(_names(centroids, spec, pair), centroids, baseline, width)
    return modes, silhouettes


def _silhouette(points: np.ndarray, labels: np.ndarray, sample: int = 1500) -> float:
    """Mean silhouette (doi 10.1016/0377-0427(87)90125-7), on at most ``sample`` points."""
    from scipy.spatial.distance import cdist

    chosen = np.random.default_rng(0).permutation(len(points))[:sample]
    points, labels = points[chosen], labels[chosen]
    distances = cdist(points, points)
    kinds = np.unique(labels)
    to_cluster = np.stack([distances[:, labels == kind].sum(1) for kind in kinds], 1)
    counts = np.array([(labels == kind).sum() for kind in kinds])
    own = np.searchsorted(kinds, labels)
    rows = np.arange(len(labels))
    inside = to_cluster[rows, own] / np.maximum(counts[own] - 1, 1)
    means = to_cluster / np.maximum(counts, 1)
    means[rows, own] = np.inf
    outside = means.min(1)
    return float(((outside - inside) / np.maximum(outside, inside)).mean())


def regions(spec: ImageSpec, pair: tuple[str, str]) -> dict[str, np.ndarray]:
    """Parts of an image by name, (size, size) bool each, none overlapping.

    The bond path is the strip of half width 0.3 Å between the nuclei; what lies outside it
    belongs to the side of the nearer nucleus.
    """
    steps = ((np.arange(spec.size) + 0.5) / spec.size * 2 - 1) * spec.half_width
    x, y = np.broadcast_arrays(steps[None, :], steps[:, None])
    middle = (spec.reference or spec.half_width) / 2
    path = (np.abs(y) <= 0.3) & (np.abs(x) <= middle)
    first, second = f"{pair[0]} side", f"{pair[1]} side"
    if pair[0] == pair[1]:
        first, second = "first atom", "second atom"
    return {first: ~path & (x < 0), "bond path": path, second: ~path & (x >= 0)}


def _names(centroids: np.ndarray, spec: ImageSpec, pair: tuple[str, str]) -> tuple[str, ...]:
    """Each centroid after the region where it exceeds the mean of all the most."""
    parts = regions(spec, pair)
    weight = np.array([[c[:, part].sum() for part in parts.values()] for c in centroids])
    excess = weight - weight.mean(0)
    names: list[str] = []
    for n, row in enumerate(excess):
        name = list(parts)[int(row.argmax())]
        planes = centroids[n].reshape(len(spec.planes), -1).sum(1)
        if len(planes) > 1 and name in names:
            name = f"{name}, plane {spec.planes[int(planes.argmax())]}"
        names.append(name if name not in names else f"{name} ({names.count(name) + 1})")
    return tuple(names)
