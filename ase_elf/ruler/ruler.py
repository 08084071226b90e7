"""Ruler: trained readers of bond images, and the file they are kept in.

A ruler reads the length of a bond off its ELF alone. What it reads against the true length
says whether the electrons are where a bond of that length has them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ase_elf.errors import FormatError
from ase_elf.model.weights import check_digest, digest
from ase_elf.ruler.image import ImageSpec
from ase_elf.ruler.modes import ReadingModes
from ase_elf.ruler.network import ImageReader, ReaderArchitecture
from ase_elf.storage.atomic import replacing

if TYPE_CHECKING:
    from ase_elf.domains import Domain

BATCH = 512
"""Images that go through a network together."""


@dataclass(frozen=True)
class Ruler:
    """Readers for the bonds of one pair of elements.

    Parameters
    ----------
    pair : tuple of str
        Elements of first and second atom, left and right in the images.
    spec : ImageSpec
        What the readers of the length see.
    readers : list of ImageReader
        Fitted independently, and averaged.
    factor : float
        What the predicted errors are multiplied with, from validation bonds.
    type_spec : ImageSpec, optional
        What the classifier sees.
    classifiers : list of ImageReader
        Averaged; none where types are not told.
    types : tuple of str
        Bond types it tells apart, in the order of its outputs.
    modes : ReadingModes, optional
    """

    pair: tuple[str, str]
    spec: ImageSpec
    readers: list[ImageReader]
    factor: float = 1.0
    type_spec: ImageSpec | None = None
    classifiers: list[ImageReader] = field(default_factory=list)
    types: tuple[str, ...] = ()
    modes: ReadingModes | None = None

    @torch.no_grad()
    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bond lengths as the ELF shows them.

        Parameters
        ----------
        images : ndarray, shape (n, planes, size, size), float32
            Made by ``spec.images``.

        Returns
        -------
        length, uncertainty : ndarray, shape (n,), float64, Å
            Mean, and standard deviation: ``factor`` times the geometric mean of the error the
            readers expect and of their own spread, which together rank errors better than
            either; of a single reader what it expects.
        """
        means, variances = [], []
        for reader in self.readers:
            parts = [reader(part) for part in torch.from_numpy(images).split(BATCH)]
            means.append(torch.cat([p[0] for p in parts]))
            variances.append(torch.exp(2 * torch.cat([p[1] for p in parts])))
        mean, variance = torch.stack(means).double(), torch.stack(variances).double()
        spread = mean.std(0, unbiased=False)
        expected = torch.sqrt(variance.mean(0))
        sigma = expected if len(self.readers) == 1 else torch.sqrt(expected * spread)
        return mean.mean(0).numpy(), self.factor * sigma.numpy()

    @torch.no_grad()
    def classify(self, images: np.ndarray) -> np.ndarray:
        """Probability of each of ``types``, shape (n, n_types), from ``type_spec`` images."""
        told = [
            torch.stack([network(part)[2].softmax(1) for network in self.classifiers]).mean(0)
            for part in torch.from_numpy(images).split(BATCH)
        ]
        return torch.cat(told).double().numpy()

    def save(self, path: Path) -> str:
        """Write the ruler; returns the SHA-256 of the file."""
        networks = {f"reader.{n}": reader for n, reader in enumerate(self.readers)}
        networks |= {f"classifier.{n}": each for n, each in enumerate(self.classifiers)}
        tensors = {
            f"{name}.{key}": value.detach().contiguous()
            for name, network in networks.items()
            for key, value in network.state_dict().items()
        }
        header = {
            "pair": self.pair,
            "spec": self.spec.to_dict(),
            "factor": self.factor,
            "types": self.types,
            "networks": {name: network.arch.to_dict() for name, network in networks.items()},
        }
        if self.type_spec is not None:
            header["type_spec"] = self.type_spec.to_dict()
        if self.modes is not None:
            tensors["modes.centroids"] = torch.from_numpy(self.modes.centroids.copy())
            tensors["modes.baseline"] = torch.from_numpy(self.modes.baseline.copy())
            header["modes"] = {"names": self.modes.names, "width": self.modes.width}
        with replacing(Path(path)) as part:
            save_file(tensors, part, metadata={"ruler": json.dumps(header)})
        return digest(path)

    @classmethod
    def load(cls, path: Path, expected: str | None = None) -> Ruler:
        """Read a ruler; nothing in the file is executed.

        Parameters
        ----------
        path : Path
        expected : str, optional
            SHA-256 that the file must have.

        Raises
        ------
        FormatError
            The file is damaged, of another kind, or not the one with this digest.
        """
        try:
            check_digest(path, expected)
            with safe_open(path, framework="pt") as handle:
                header = json.loads(handle.metadata()["ruler"])
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - no mapping
            return cls._from(header, tensors)
        except FormatError:
            raise
        except (OSError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError,
                ValueError, SafetensorError) as error:  # fmt: skip
            raise FormatError(f"cannot read a ruler from {path}: {str(error)[:500]}") from error

    @classmethod
    def _from(cls, header: dict, tensors: dict[str, torch.Tensor]) -> Ruler:
        networks = {name: _network(name, arch, tensors) for name, arch in header["networks"].items()}
        if not any(name.startswith("reader") for name in networks):
            raise LookupError("it holds no reader of lengths.")
        modes = None
        if "modes" in header:
            modes = ReadingModes(
                tuple(header["modes"]["names"]),
                tensors["modes.centroids"].numpy(),
                tensors["modes.baseline"].numpy(),
                float(header["modes"]["width"]),
            )
        return cls(
            pair=tuple(header["pair"]),
            spec=ImageSpec.from_dict(header["spec"]),
            readers=[networks[name] for name in sorted(networks) if name.startswith("reader")],
            factor=float(header["factor"]),
            type_spec=ImageSpec.from_dict(header["type_spec"]) if "type_spec" in header else None,
            classifiers=[networks[n] for n in sorted(networks) if n.startswith("classifier")],
            types=tuple(header["types"]),
            modes=modes,
        )


def _network(name: str, arch: dict, tensors: dict[str, torch.Tensor]) -> ImageReader:
    mine = {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
    for key, tensor in mine.items():
        if tensor.dtype != torch.float32:
            raise TypeError(f"{name}.{key} is of type {tensor.dtype}, not float32")
    # Built without memory: what a header declares is believed once the tensors agree.
    with torch.device("meta"):
        network = ImageReader(ReaderArchitecture.from_dict(arch))
    network.load_state_dict(mine, assign=True)
    return network.requires_grad_(False).eval()


def load_ruler(pack: Domain, pair: tuple[str, str]) -> Ruler:
    """The ruler of a domain pack for a pair of elements (digest checked, cached per process)."""
    card = pack.ruler_cards[pair]
    return _load(pack.folder / card["file"], card["sha256"])


@lru_cache(maxsize=8)
def _load(path: Path, expected: str) -> Ruler:
    return Ruler.load(path, expected)
