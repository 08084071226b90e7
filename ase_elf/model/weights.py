"""Weights on disk: safetensors with the architecture in their header, and a digest.

Nothing here executes code from a file: no pickle, no network.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ase_elf.errors import FormatError, InputError
from ase_elf.model.energy import EnergyNetwork
from ase_elf.model.field_model import NATIVE_SPACING, FieldModel
from ase_elf.model.network import Architecture, AtomNetwork, FieldNetwork, stored_name
from ase_elf.model.novelty import Novelty
from ase_elf.storage.atomic import replacing


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def check_digest(path: Path, expected: str | None) -> None:
    """:class:`FormatError` unless the file has this digest; None accepts any."""
    if expected and (found := digest(path)) != expected:
        raise FormatError(
            f"{path} is not the file its card describes (SHA-256 {found}, "
            f"expected {expected}); install the domain pack again."
        )


def save_network(path: Path, network: AtomNetwork) -> str:
    """Write weights; returns their digest."""
    header = {"architecture": json.dumps(network.arch.to_dict())}
    tensors = {stored_name(k): v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    with replacing(Path(path)) as part:
        save_file(tensors, part, metadata=header)
    return digest(path)


def load_network(
    path: Path, expected: str | None = None, *, kind: type[AtomNetwork] = FieldNetwork
) -> AtomNetwork:
    """Read weights; :class:`FormatError` if the file is damaged or not what was expected."""
    try:
        check_digest(path, expected)
        with safe_open(path, framework="pt") as handle:
            arch = Architecture.from_dict(json.loads((handle.metadata() or {})["architecture"]))
            _check_size(arch, [handle.get_slice(name).get_shape() for name in handle.keys()])  # noqa: SIM118 - no mapping
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - no mapping
        with torch.random.fork_rng(devices=[]):  # a new network draws its parameters
            network = kind(arch)
        network.load_state_dict(tensors)
    except _UNREADABLE as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"cannot read weights from {path}: {str(error)[:500]}") from error
    return network.requires_grad_(False).eval()


_UNREADABLE = (
    OSError,
    ArithmeticError,
    AttributeError,
    KeyError,
    TypeError,
    RuntimeError,
    ValueError,
    SafetensorError,
)


def _check_size(arch: Architecture, shapes: list[list[int]]) -> None:
    """Compare with the tensors that are there before a network of that size is made."""
    there = sum(map(math.prod, shapes))
    if there < arch.n_numbers():
        raise FormatError(f"holds {there} numbers where its architecture needs {arch.n_numbers()}.")


def choose_device(device: str | None) -> torch.device:
    """``None`` means the first CUDA device where there is one, else the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r} is not one torch knows: 'cpu' or 'cuda[:i]'.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} was asked for, but torch sees no CUDA device here.")
    return chosen


def choose_dtype(dtype: str) -> torch.dtype:
    """float32 or float64 of torch by its name; InputError for any other."""
    kinds = {"float32": torch.float32, "float64": torch.float64}
    if dtype not in kinds:
        raise InputError(f"dtype {dtype!r} is not one of {', '.join(kinds)}.")
    return kinds[dtype]


def load_model(
    path: Path,
    *,
    digest: str | None = None,
    device: str | None = None,
    dtype: str = "float32",
    native_spacing: float = NATIVE_SPACING,
    novelty: Path | None = None,
    novelty_digest: str | None = None,
    large: FieldModel | None = None,
) -> FieldModel:
    """The model in a weights file, once per process, device and precision.

    Parameters
    ----------
    path : Path
    digest : str, optional
        SHA-256 that the file must have.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; by default CUDA where there is one.
    dtype : str
        ``"float32"`` or ``"float64"``.
    native_spacing : float, bohr
        Of the grid the network runs on.
    novelty : Path, optional
        Field invariants at the nuclei of training structures (:meth:`ase_elf.model.novelty.Novelty.save`).
    novelty_digest : str, optional
        SHA-256 that that file must have.
    large : FieldModel, optional
        For cells of too many atoms for this one's orbitals.

    Raises
    ------
    FormatError
        The file is damaged, of another kind, or not the one with this digest.
    InputError
        Unknown device or precision.
    """
    return _load(
        Path(path), digest, choose_device(device), choose_dtype(dtype), native_spacing,
        novelty, novelty_digest, large,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _load(
    path: Path,
    expected: str | None,
    device: torch.device,
    dtype: torch.dtype,
    native_spacing: float,
    novelty: Path | None,
    novelty_digest: str | None,
    large: FieldModel | None,
) -> FieldModel:
    network, known = load_network(path, expected), None
    if novelty is not None:
        try:
            check_digest(novelty, novelty_digest)
        except OSError as error:
            raise FormatError(f"cannot read {novelty}: {error.strerror or error}.") from error
        known = Novelty.load(novelty)
        if len(known.mean) != network.output_invariants.n_invariants:
            raise FormatError(
                f"{novelty} holds {len(known.mean)} invariants where {path} has "
                f"{network.output_invariants.n_invariants}; make the pack again."
            )
    return FieldModel(
        network, device=device, dtype=dtype, native_spacing=native_spacing, novelty=known,
        large=large,
    )  # fmt: skip


def load_potential(
    path: Path, *, digest: str | None = None, device: str | None = None, dtype: str = "float32"
) -> EnergyNetwork:
    """The energy network in a weights file; arguments and errors as in :func:`load_model`."""
    return _load_potential(Path(path), digest, choose_device(device), choose_dtype(dtype))


@lru_cache(maxsize=8)
def _load_potential(
    path: Path, expected: str | None, device: torch.device, dtype: torch.dtype
) -> EnergyNetwork:
    return load_network(path, expected, kind=EnergyNetwork).to(device=device, dtype=dtype)
