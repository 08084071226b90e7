"""The network from geometry to ELF: the same fields are evaluated at atoms and at points.

Each atom carries coefficients: scalars, and vectors that rotate with the structure. Coefficient times
radial function times solid harmonic, summed over atoms, is a smooth field in space. The *field
invariants* of a point are the values of such fields there, reduced to quantities that no rotation changes.
Atoms first update their coefficients from the field invariants at the nuclei, so that a bond depends on
its neighborhood; a small network then turns the field invariants of a point, and its orbital features,
into z with ELF = 1 / (1 + exp(-z)). Since ELF = 1 / (1 + χ²), z is -2 ln χ of the Becke-Edgecombe
definition (doi 10.1063/1.458517).

Lengths in bohr. Contains the parameters; independent of files, grids and ASE.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn

from ase_elf.errors import InputError
from ase_elf.model.basis import HIGHEST_DEGREE, harmonics, radial, symmetric_matrices
from ase_elf.model.elements import N_NUMBERS, numbers_of
from ase_elf.model.minimal_basis.features import GROUPS, columns
from ase_elf.model.orbitals import EXPONENTS, N_FEATURES

__all__ = [
    "ROWS",
    "STORED",
    "Architecture",
    "AtomNetwork",
    "FieldInvariants",
    "FieldNetwork",
    "Reading",
    "head",
    "stored_name",
]

ROWS = 2048
"""Atoms that are updated together, which bounds the memory of large cells."""


@dataclass(frozen=True)
class Architecture:
    """Shapes of the parameters.

    Parameters
    ----------
    elements : tuple of int
        Atomic numbers known to the weights.
    cutoff : float, bohr
        Reach of the fields. Information travels ``(n_updates + 1) * cutoff``.
    n_radial : int
        Radial functions per atom.
    channels, point_channels : tuple of int
        Fields per degree l = 0, 1, ... at atoms and at points; non-increasing. Points are many more
        than atoms, so ``point_channels`` determine the cost of a prediction.
    n_updates : int
        How often atoms update their coefficients.
    hidden : int
        Width of the networks that take field invariants.
    n_vectors : int
        Vectors per atom besides its scalars: the orientation of its neighborhood.
    orbital_exponent : float, bohr⁻²
        Exponent of the per-atom Gaussian used for orbital features (:mod:`ase_elf.model.orbitals`);
        0 disables them. For hydrogen alone.
    minimal_basis : tuple of str
        Which features of a minimal basis points receive (:mod:`ase_elf.model.minimal_basis`), for any
        element: of "huckel", "one-shot" and "atoms", which are superposed densities.
    by_numbers : bool
        What an atom starts with is a function of numbers of its element
        (:mod:`ase_elf.model.elements`), so that an element that was not trained on is an
        interpolation. Otherwise each element has free parameters.
    bound : float
        What an update adds to a coefficient stays below it; 0 for no bound. Atoms unlike any that were trained
        on else put into the fields, update after update, numbers without limit.

    Raises
    ------
    InputError
        For a value that makes no network.
    """

    elements: tuple[int, ...]
    cutoff: float = 6.0
    n_radial: int = 10
    channels: tuple[int, ...] = (32, 24, 16, 12, 8)
    point_channels: tuple[int, ...] = (32, 16, 12, 8, 4)
    n_updates: int = 2
    hidden: int = 128
    n_vectors: int = 0
    orbital_exponent: float = 0.0
    minimal_basis: tuple[str, ...] = ()
    by_numbers: bool = False
    bound: float = 0.0

    def __post_init__(self) -> None:
        for name in ("elements", "channels", "point_channels"):
            counts = getattr(self, name)
            if not isinstance(counts, tuple) or not counts or not all(map(_is_count, counts)):
                raise InputError(f"{name} = {counts!r}; positive whole numbers are needed.")
        for name, least in (("n_radial", 1), ("hidden", 1), ("n_updates", 0), ("n_vectors", 0)):
            if not _is_count(getattr(self, name), least):
                raise InputError(f"{name} = {getattr(self, name)!r}; a whole number from {least} is needed.")
        for name in ("channels", "point_channels"):
            counts = getattr(self, name)
            if list(counts) != sorted(counts, reverse=True) or len(counts) > HIGHEST_DEGREE + 1:
                raise InputError(
                    f"{name} = {counts!r}; at most {HIGHEST_DEGREE + 1} numbers, none larger "
                    "than the one before it, are needed."
                )
        for name in ("channels", "point_channels"):
            room = min((*getattr(self, name)[1:3], *[0] * (3 - len(getattr(self, name)))))
            if self.n_vectors > room:
                raise InputError(
                    f"n_vectors = {self.n_vectors}; {name} = {getattr(self, name)!r} have fields "
                    f"of degree 1 and 2 for {room}."
                )
        if not _is_real(self.cutoff) or not 0 < self.cutoff < math.inf:
            raise InputError(f"cutoff = {self.cutoff!r} bohr; a positive number is needed.")
        low, high = EXPONENTS
        if not _is_real(self.orbital_exponent) or not (
            self.orbital_exponent == 0 or low <= self.orbital_exponent <= high
        ):
            raise InputError(
                f"orbital_exponent = {self.orbital_exponent!r} bohr⁻²; a number from {low} to {high}, or 0 "
                "for none, is needed."
            )
        if self.orbital_exponent and self.elements != (1,):
            raise InputError(
                f"orbital_exponent = {self.orbital_exponent} is for elements = (1,), not "
                f"{self.elements}: it counts one electron per atom."
            )
        if self.orbital_exponent and self.minimal_basis:
            raise InputError("orbital_exponent and minimal_basis: choose one kind of orbitals.")
        if not isinstance(self.minimal_basis, tuple) or not set(self.minimal_basis) <= set(GROUPS):
            raise InputError(f"minimal_basis = {self.minimal_basis!r}; a list of {', '.join(GROUPS)}.")
        if not _is_real(self.bound) or not 0 <= self.bound < math.inf:
            raise InputError(f"bound = {self.bound!r}; a positive number, or 0 for none, is needed.")
        if not isinstance(self.by_numbers, bool):
            raise InputError(f"by_numbers = {self.by_numbers!r}; true or false is needed.")

    @property
    def n_orbital_features(self) -> int:
        """Numbers of :mod:`ase_elf.model.orbitals` or of the minimal basis per point."""
        if self.minimal_basis:
            return len(columns(self.minimal_basis))
        return N_FEATURES if self.orbital_exponent else 0

    def n_numbers(self) -> int:
        """Number of parameters of an :class:`AtomNetwork` of this shape with one output network.

        Known before it is made, and at most that of any subclass.
        """

        def invariants(k: tuple[int, ...]) -> int:
            return sum(k) + (min(k[1:3]) if len(k) > 2 else 0)

        def fields(k: tuple[int, ...]) -> int:
            radial = self.n_radial * (k[0] + 2 * self.n_vectors)
            return radial + sum(n * n for n in k[1:]) + 2 * invariants(k)

        def behind(k: tuple[int, ...], n_out: int) -> int:
            return (invariants(k) + 1) * self.hidden + (self.hidden + 1) * (self.hidden + n_out)

        width = self.channels[0]
        update = fields(self.channels) + behind(self.channels, width)
        last = fields(self.point_channels) + behind(self.point_channels, 1)
        orbital = self.n_orbital_features * (self.hidden + 2)
        species = (N_NUMBERS if self.by_numbers else width) * len(self.elements)
        return species + self.n_updates * update + last + orbital

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Architecture:
        """The inverse of :meth:`to_dict`; JSON's and YAML's lists become tuples."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


class FieldInvariants(nn.Module):
    """Fields at points, and their rotation invariants.

    Two ways lead to the same fields: :meth:`gather` sums over neighbours in real space,
    and :mod:`ase_elf.model.spectral` sums over a whole grid in reciprocal space.

    Parameters
    ----------
    channels : tuple of int
        Fields per degree; the l = 0 ones use all scalars, higher degrees the first of them.
    n_radial : int
    cutoff : float, bohr
    n_vectors : int
        Vectors per atom. Each is added to the fields of degree 1, with a radial function of its own, and
        its products with the direction to the atom, with another one, to degrees 0 and 2.
    """

    def __init__(self, channels: tuple[int, ...], n_radial: int, cutoff: float, n_vectors: int = 0) -> None:
        super().__init__()
        self.channels, self.n_radial, self.cutoff = channels, n_radial, cutoff
        self.n_vectors = n_vectors
        self.degree = len(channels) - 1
        self.n_cubic = min(channels[1:3]) if self.degree >= 2 else 0
        self.n_invariants = sum(channels) + self.n_cubic
        self.radial = nn.Parameter(torch.randn(n_radial, channels[0]) / n_radial**0.5)
        if n_vectors:
            self.vector_radial = nn.Parameter(torch.randn(2, n_radial, n_vectors) / n_radial**0.5)
        self.mix = nn.ParameterList(torch.randn(k, k) / k**0.5 + torch.eye(k) for k in channels[1:])
        self.register_buffer("shift", torch.zeros(self.n_invariants))
        self.register_buffer("scale", torch.ones(self.n_invariants))
        matrices = torch.tensor(symmetric_matrices(), dtype=torch.float32)
        self.register_buffer("matrices", matrices, persistent=False)

    def basis(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Radial functions and harmonics of vectors (3, n, width) to neighbours, shapes (n * width, n_radial)
        and (n, width, (degree + 1)²): the same for all fields of one cutoff and degree.
        """
        functions = radial((vectors * vectors).sum(0), self.n_radial, self.cutoff).flatten(1).T
        return functions, harmonics(vectors, self.degree).movedim(0, -1).contiguous()

    def gather(
        self,
        index: torch.Tensor,
        vectors: torch.Tensor,
        coefficients: torch.Tensor,
        basis: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        """Fields at points from their neighbours.

        Parameters
        ----------
        index : Tensor, shape (n, width), int64
        vectors : Tensor, shape (3, n, width), bohr
        coefficients : Tensor, shape (n_atoms, channels[0] + 3 * n_vectors)
            Scalars, then the vectors: first one component of all, in the order of the harmonics
            of degree 1, then the next.
        basis : tuple of Tensor, optional
            What :meth:`basis` makes of ``vectors``, where it is known.

        Returns
        -------
        list of Tensor, shapes (n, channels[l], 2l + 1)
        """
        functions, angular = self.basis(vectors) if basis is None else basis
        sources = nn.functional.embedding(index, coefficients)
        width = self.channels[0]
        weights = (functions @ self.radial).view(*index.shape, -1) * sources[..., :width]
        # One product for all degrees beats one each, though some of it is thrown away.
        both = weights.transpose(1, 2) @ angular
        fields = [both[:, :k, l * l : (l + 1) ** 2] for l, k in enumerate(self.channels)]
        if not self.n_vectors:
            return fields
        arrows = sources[..., width:].unflatten(-1, (3, self.n_vectors))
        bare, turned = (
            ((functions @ radials).view(*index.shape, 1, -1) * arrows).flatten(2)
            for radials in self.vector_radial
        )
        pairs = (turned.transpose(1, 2) @ angular[..., 1:4]).unflatten(1, (3, self.n_vectors))
        added = (
            pairs.diagonal(dim1=1, dim2=3).sum(-1, keepdim=True),
            bare.sum(1).unflatten(1, (3, self.n_vectors)).transpose(1, 2),
            torch.einsum("nivj,mij->nvm", pairs, self.matrices.to(functions.dtype)),
        )
        for l, more in enumerate(added):
            grown = fields[l][:, : self.n_vectors] + more
            fields[l] = torch.cat([grown, fields[l][:, self.n_vectors :]], dim=1)
        return fields

    def mixed(self, fields: list[torch.Tensor]) -> list[torch.Tensor]:
        """Fields of each degree l ≥ 1 combined over channels, before any product."""
        mixed = (
            torch.einsum("qk,nkm->nqm", mix, field) for mix, field in zip(self.mix, fields[1:], strict=True)
        )
        return [fields[0], *mixed]

    def raw_invariants(self, mixed: list[torch.Tensor]) -> torch.Tensor:
        """Invariants of mixed fields before they are standardised, (n, n_invariants)."""
        parts = [mixed[0][..., 0]]
        # The square root tames the spread of squares; the 1 keeps it smooth at zero.
        parts += [torch.sqrt(1 + (f * f).sum(-1)) - 1 for f in mixed[1:]]
        if self.n_cubic:
            v, t = mixed[1][:, : self.n_cubic], mixed[2][:, : self.n_cubic]
            tensor = torch.einsum("nqm,mij->nqij", t, self.matrices.to(t.dtype))
            cubic = torch.einsum("nqi,nqij,nqj->nq", v, tensor, v)
            size = 1 + (v * v).sum(-1) + (t * t).sum(-1)
            parts.append(cubic / size)
        return torch.cat(parts, dim=-1)

    def directions(self, mixed: list[torch.Tensor]) -> torch.Tensor:
        """Vectors of length below 1 that rotate with the structure, shape (n, channels[1] + n_cubic, 3):
        fields of degree 1, and their products with those of degree 2.
        """
        v, t = mixed[1], mixed[2][:, : self.n_cubic]
        v = v * torch.rsqrt(1 + (v * v).sum(-1, keepdim=True))
        tensor = torch.einsum("nqm,mij->nqij", t, self.matrices.to(t.dtype))
        tensor = tensor * torch.rsqrt(1 + (t * t).sum(-1))[..., None, None]
        return torch.cat([v, (tensor @ v[:, : self.n_cubic, :, None])[..., 0]], dim=1)

    def invariants(self, mixed: list[torch.Tensor]) -> torch.Tensor:
        """Standardised invariants of mixed fields, shape (n, n_invariants)."""
        return self.standardised(self.raw_invariants(mixed))

    def standardised(self, raw: torch.Tensor) -> torch.Tensor:
        """Raw invariants, shape (n, n_invariants), standardised as the networks need them."""
        return (raw - self.shift) * self.scale

    def forward(self, index, vectors, coefficients) -> torch.Tensor:
        return self.invariants(self.mixed(self.gather(index, vectors, coefficients)))


def head(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(n_in, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, n_out),
    )


Reading = FieldInvariants
"""The name before 0.2; it goes with 0.3."""

STORED = {
    "update_invariants": "readings",
    "output_invariants": "read",
    "orbital_shift": "told_shift",
    "orbital_scale": "told_scale",
}
"""Names of attributes, and what weights files call them: those of the first version of the format."""


def stored_name(name: str) -> str:
    """What weights files call a parameter, ``update_invariants.0.radial`` for example."""
    first, dot, rest = name.partition(".")
    return STORED.get(first, first) + dot + rest


class AtomNetwork(nn.Module):
    """Coefficients of atoms, updated from the field invariants at the nuclei.

    Subclasses evaluate the fields after the updates: :class:`FieldNetwork` at points,
    :class:`ase_elf.model.energy.EnergyNetwork` at the nuclei.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.register_load_state_dict_pre_hook(_rename_stored)
        width = arch.channels[0]
        if arch.by_numbers:
            self.register_buffer("numbers", numbers_of(arch.elements))
            self.species_of = head(N_NUMBERS, 48, width)
        else:
            # From equal initial values, elements would take long to differ.
            spread = 0.7 if len(arch.elements) > 1 else 0.0
            self.species = nn.Parameter(1 + spread * torch.randn(len(arch.elements), width))
        # Before the first update there are no vectors.
        carried = [0, *[arch.n_vectors] * arch.n_updates]
        *updates, last = [
            FieldInvariants(channels, arch.n_radial, arch.cutoff, n)
            for channels, n in zip(
                [*[arch.channels] * arch.n_updates, arch.point_channels], carried, strict=True
            )
        ]
        self.update_invariants, self.output_invariants = nn.ModuleList(updates), last
        self.updates = nn.ModuleList(
            head(each.n_invariants, arch.hidden, width + arch.n_vectors) for each in updates
        )
        if arch.n_vectors:
            self.aims = nn.ParameterList(
                torch.randn(arch.n_vectors, r.channels[1] + r.n_cubic) / r.channels[1] ** 0.5 for r in updates
            )

    @property
    def device(self) -> torch.device:
        return self.output_invariants.radial.device

    def coefficients(
        self,
        species: torch.Tensor,
        index: torch.Tensor,
        vectors: torch.Tensor,
        *,
        n_updates: int | None = None,
    ) -> torch.Tensor:
        """Coefficients of each atom after the updates.

        Parameters
        ----------
        species : Tensor, shape (n_atoms,), int64
            Positions in ``arch.elements``.
        index, vectors : Tensor
            Neighbours of the atoms, themselves excluded (:class:`Surroundings`).
        n_updates : int, optional
            Stop after this many updates.

        Returns
        -------
        Tensor, shape (n_atoms, channels[0] + 3 * n_vectors)
            Without the vectors where no update was made.
        """
        c = (self.species_of(self.numbers) if self.arch.by_numbers else self.species)[species]
        updates = range(len(self.update_invariants) if n_updates is None else n_updates)
        parts = list(zip(index.split(ROWS), vectors.split(ROWS, dim=1), strict=True))
        # In large cells it is made anew each time: it is three times the neighbours.
        basis = self.update_invariants[0].basis(parts[0][1]) if updates and len(parts) == 1 else None
        for depth in updates:
            change = torch.cat([self._change(depth, i, v, c, basis) for i, v in parts])
            c = change + nn.functional.pad(c, (0, change.shape[1] - c.shape[1]))
        return c

    def _change(self, depth: int, index, vectors, c: torch.Tensor, basis=None) -> torch.Tensor:
        """What an update adds: scalars from a network, vectors along directions it scales."""
        fields, width = self.update_invariants[depth], self.arch.channels[0]
        mixed = fields.mixed(fields.gather(index, vectors, c, basis))
        out = self.updates[depth](fields.invariants(mixed))
        if self.arch.bound:
            out = self.arch.bound * torch.tanh(out / self.arch.bound)
        if not self.arch.n_vectors:
            return out
        aimed = torch.einsum("vq,nqi->niv", self.aims[depth], fields.directions(mixed))
        return torch.cat([out[:, :width], (out[:, None, width:] * aimed).flatten(1)], dim=1)


def _rename_stored(_module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: object) -> None:
    """Take parameters by the names of weights files and of checkpoints before 0.2 as well."""
    for new, old in STORED.items():
        for name in [name for name in state if f"{name}.".startswith(f"{prefix}{old}.")]:
            state[prefix + new + name[len(prefix + old) :]] = state.pop(name)


class FieldNetwork(AtomNetwork):
    """Atoms and points to z = logit(ELF) and the logarithm of its expected error.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__(arch)
        n_orbital = arch.n_orbital_features
        n_inputs = self.output_invariants.n_invariants + n_orbital
        self.value = head(n_inputs, arch.hidden, 1)
        self.log_error = head(n_inputs, 32, 1)
        self.register_buffer("orbital_shift", torch.zeros(n_orbital), persistent=bool(n_orbital))
        self.register_buffer("orbital_scale", torch.ones(n_orbital), persistent=bool(n_orbital))

    def inputs(self, invariants: torch.Tensor, orbitals: torch.Tensor) -> torch.Tensor:
        """Inputs of the networks at points, (n, n_invariants + n_orbital_features).

        Parameters
        ----------
        invariants : Tensor, shape (n, n_invariants)
            Standardised field invariants (``output_invariants``).
        orbitals : Tensor, shape (n, n_orbital_features)
            Orbital features; no columns where the architecture has none.
        """
        return torch.cat([invariants, (orbitals - self.orbital_shift) * self.orbital_scale], dim=1)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """z and log σ(ELF) from the :meth:`inputs` at points, each of shape (n,)."""
        return self.value(inputs)[:, 0], self.log_error(inputs)[:, 0]

    def on_grid(self, raw: torch.Tensor, chunk: int, *, sigma: bool = True) -> torch.Tensor:
        """z and, with ``sigma``, log σ(ELF), shape (1 + sigma, n).

        ``raw`` holds raw field invariants and orbital features, shape (n_invariants +
        n_orbital_features, n), of which ``chunk`` points at a time go through the layers. Points are the
        last axis, as on a grid, so nothing is transposed.
        """
        heads = (self.value, self.log_error) if sigma else (self.value,)
        # Standardising is linear, and part of the first layers, which are one.
        weight = torch.cat([layers[0].weight for layers in heads])
        weight = weight * torch.cat([self.output_invariants.scale, self.orbital_scale])
        shift = torch.cat([self.output_invariants.shift, self.orbital_shift])
        bias = (torch.cat([layers[0].bias for layers in heads]) - weight @ shift)[:, None]
        widths = [layers[0].out_features for layers in heads]
        later = [[(each.weight, each.bias[:, None]) for each in layers[2::2]] for layers in heads]
        out = raw.new_empty(len(heads), raw.shape[1])
        for part, into in zip(raw.split(chunk, dim=1), out.split(chunk, dim=1), strict=True):
            first = nn.functional.silu(torch.addmm(bias, weight, part), inplace=True)
            for x, ((middle, shifts), (last, end)), row in zip(first.split(widths), later, into, strict=True):
                x = nn.functional.silu(torch.addmm(shifts, middle, x), inplace=True)
                torch.addmm(end, last, x, out=row[None])
        return out
