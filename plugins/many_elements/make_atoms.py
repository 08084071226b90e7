"""Make the table of atoms of `ase_elf.model.minimal_basis` from PseudoDojo potentials (UPF files).

    python plugins/many_elements/make_atoms.py FOLDER [TABLE.npz]      2 CPU minutes

FOLDER holds one `Symbol.upf` per element. Orbitals are those of the pseudo-atom in a soft cage, solved here; a
radial function is stored as values and slopes on equal steps. Hartree and bohr.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from ase.data import atomic_numbers
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.special import spherical_jn

from ase_elf.model.minimal_basis.exchange import LEAST, derivatives

STEP = 0.01
"""bohr, of the mesh for integrals; that of the files."""

REACH = 24.0
"""bohr. Potentials and densities are known to here."""

SOFT = 1.0
"""bohr. Within it the density that exchange sees is replaced by a smooth one."""

SPHERE, WAVES = 5.0, 6.0
"""bohr⁻¹. Longest plane waves of orbitals, and of the potential, that the Hamiltonian is made with."""

KNOT, WAVE_KNOT = 0.1, 0.05
"""bohr and bohr⁻¹ between knots of what is stored."""

CONTENT = 0.015
"""Share of an electron that may lie outside an orbital's cage."""

CAGE = (4.0, 8.0)
"""bohr. Least and largest cage."""

R = np.arange(0, REACH + STEP / 2, STEP)
SIMPSON = STEP / 3 * np.where(np.arange(len(R)) % 2, 4, 2)
SIMPSON[[0, -1]] = STEP / 3


@dataclass
class Pseudopotential:
    """What a UPF file says: functions of :data:`R`; projectors as r β, orbitals as (l, occupation, level, r R)."""

    valence: float
    local: np.ndarray
    density: np.ndarray
    core: np.ndarray
    projectors: list[tuple[int, np.ndarray]]
    strengths: np.ndarray
    orbitals: list[tuple[int, float, float, np.ndarray]]


def read_upf(path: Path) -> Pseudopotential:
    text = re.sub(r"<PP_INFO>.*?</PP_INFO>", "", path.read_text(), flags=re.DOTALL).replace("&", "")
    root = ElementTree.fromstring(text)
    header = root.find("PP_HEADER").attrib
    mesh = np.array(root.find("PP_MESH/PP_R").text.split(), float)
    valence = float(header["z_valence"])

    def on_mesh(element: ElementTree.Element | None, tail=0.0) -> np.ndarray:
        if element is None:
            return np.zeros_like(R)
        values = np.array(element.text.split(), float)
        inside = mesh[-1] + 1e-9 >= R
        out = np.zeros_like(R) + tail
        out[inside] = CubicSpline(mesh[: len(values)], values)(R[inside])
        return out

    density = on_mesh(root.find("PP_RHOATOM")) / (4 * np.pi * np.maximum(R, STEP / 10) ** 2)
    density[0] = (4 * density[1] - density[2]) / 3
    projectors, n = [], int(header["number_of_proj"])
    for i in range(n):
        element = root.find(f"PP_NONLOCAL/PP_BETA.{i + 1}")
        projectors.append((int(element.attrib["angular_momentum"]), on_mesh(element)))
    strengths = np.array(root.find("PP_NONLOCAL/PP_DIJ").text.split(), float).reshape(n, n) / 2
    orbitals = []
    for i in range(int(header["number_of_wfc"])):
        element = root.find(f"PP_PSWFC/PP_CHI.{i + 1}")
        about = element.attrib
        level = float(about["pseudo_energy"]) / 2
        orbitals.append((int(about["l"]), float(about["occupation"]), level, on_mesh(element)))
    return Pseudopotential(
        valence=valence,
        local=on_mesh(root.find("PP_LOCAL"), -2 * valence / np.maximum(R, 1)) / 2,
        density=density * valence / (SIMPSON @ (density * 4 * np.pi * R**2)),
        core=on_mesh(root.find("PP_NLCC")),
        projectors=projectors,
        strengths=strengths,
        orbitals=orbitals,
    )


def hartree(density: np.ndarray) -> np.ndarray:
    """Potential of a spherical density."""
    shells = CubicSpline(R, 4 * np.pi * R**2 * density).antiderivative()(R)
    outside = CubicSpline(R, 4 * np.pi * R * density).antiderivative()(R)
    within = np.divide(shells, R, out=np.zeros_like(R), where=R > 0)
    return within + outside[-1] - outside


def exchange(density: np.ndarray) -> np.ndarray:
    """Potential of PBE of a spherical density."""
    spline = CubicSpline(R, density, bc_type=((1, 0.0), (1, 0.0)))
    slope = spline(R, 1)
    by_density, by_slope2 = (
        part.numpy()
        for part in derivatives(*map(torch.from_numpy, (np.maximum(density, 0) + LEAST, slope**2)))
    )
    flow = CubicSpline(R, 2 * by_slope2 * slope)
    divergence = flow(R, 1) + 2 * np.divide(flow(R), R, out=flow(R, 1), where=R > 0)
    return by_density - divergence


def smooth(density: np.ndarray, radius: float = SOFT) -> np.ndarray:
    """The density with exp(a + b r² + c r⁴ + d r⁶) inside a radius, of the same value and three derivatives there."""
    spline = CubicSpline(R, np.log(np.maximum(density, 1e-30)))
    window = np.abs(R - radius) < 0.3
    local = np.polynomial.Polynomial.fit(R[window], spline(R[window]), 8)
    wanted = [local.deriv(n)(radius) if n else local(radius) for n in range(4)]
    powers = [np.polynomial.Polynomial([0] * (2 * n) + [1]) for n in range(4)]
    matrix = [[p.deriv(n)(radius) if n else p(radius) for p in powers] for n in range(4)]
    inner = sum(c * p for c, p in zip(np.linalg.solve(matrix, wanted), powers, strict=True))
    return np.where(radius > R, np.exp(inner(np.minimum(R, radius))), density)


def transform(values: np.ndarray, l: int, waves: np.ndarray) -> np.ndarray:
    """∫ r² j_l(q r) f(r) dr for each q."""
    weights = SIMPSON * R**2 * values
    last = np.flatnonzero(np.abs(weights) > 0).max(initial=0) + 1
    return np.array([spherical_jn(l, q * R[:last]) @ weights[:last] for q in waves])


def zeros(l: int, n: int) -> np.ndarray:
    """The first zeros of j_l, but that at 0."""
    grid = np.arange(l + 1.0, (n + l) * np.pi + 5, 0.2)
    signs = np.sign(spherical_jn(l, grid))
    places = np.flatnonzero(signs[1:] * signs[:-1] < 0)[:n]
    return np.array([brentq(lambda x: spherical_jn(l, x), grid[i], grid[i + 1]) for i in places])


@dataclass
class Orbital:
    """Of a caged atom: R(r) on :data:`R`, its slope, and their transforms where they are wanted."""

    l: int
    occupation: float
    level: float
    cage: float
    coefficients: np.ndarray
    waves: np.ndarray
    valence: bool

    def radial(self, r: np.ndarray, derivative: bool = False) -> np.ndarray:
        basis = spherical_jn(self.l, np.outer(r, self.waves), derivative=derivative)
        values = basis @ (self.coefficients * (self.waves if derivative else 1))
        return np.where(r < self.cage, values, 0)


def solve(
    pseudo: Pseudopotential, potential: np.ndarray, l: int, cage: float, n: int, *, soft: float = 0.8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest ``n`` levels for angular momentum ``l`` inside a cage, with coefficients of Bessel functions."""
    waves = zeros(l, int(16 * cage / np.pi)) / cage
    inside = R <= cage + 1e-9
    r, weight = R[inside], SIMPSON[inside] * R[inside] ** 2
    basis = spherical_jn(l, np.outer(r, waves))
    basis /= np.sqrt(weight @ basis**2)
    start = soft * cage
    with np.errstate(divide="ignore", over="ignore"):
        wall = 20 * np.exp(-(cage - start) / (r - start)) / (cage - r + 1e-3)
    wall = np.where(r > start, wall, 0)
    h = np.diag(waves**2 / 2) + (basis.T * (weight * (potential[inside] + wall))) @ basis
    for i, (li, first) in enumerate(pseudo.projectors):
        for j, (lj, second) in enumerate(pseudo.projectors):
            if li == lj == l and pseudo.strengths[i, j]:
                left, right = ((SIMPSON * R * b)[inside] @ basis for b in (first, second))
                h += pseudo.strengths[i, j] * np.outer(left, right)
    levels, vectors = np.linalg.eigh((h + h.T) / 2)
    scale = 1 / np.sqrt(weight @ spherical_jn(l, np.outer(r, waves)) ** 2)
    vectors = vectors[:, :n] * scale[:, None]
    vectors = vectors * np.sign(basis[10] @ (vectors / scale[:, None]))
    return levels[:n], vectors, waves


def orbitals_of(pseudo: Pseudopotential, potential: np.ndarray, extra: tuple[int, ...]) -> list[Orbital]:
    """Those of the file, and the lowest above them for each l of ``extra``, in cages."""
    found, widest = [], 0.0
    for l in range(4):
        own = sorted((o for o in pseudo.orbitals if o[0] == l), key=lambda o: o[2])
        for index, (_, occupation, level, shape) in enumerate(own):
            tail = 1 - np.cumsum(SIMPSON * shape**2)
            cage = np.clip(R[np.argmax(tail < CONTENT)], *CAGE)
            cage = np.ceil(cage / KNOT) * KNOT
            widest = max(widest, cage)
            levels, vectors, waves = solve(pseudo, potential, l, cage, index + 1)
            found.append(Orbital(l, occupation, level, cage, vectors[:, index], waves, True))
            if abs(levels[index] - level) > 0.03:
                print(
                    f"   level of l={l}: {level:.4f} in the file, {levels[index]:.4f} in the cage {cage:.1f}"
                )
    for l in extra:
        index = sum(o[0] == l for o in pseudo.orbitals)
        levels, vectors, waves = solve(pseudo, potential, l, widest, index + 1)
        found.append(Orbital(l, 0.0, levels[index], widest, vectors[:, index], waves, False))
    return found


@dataclass
class OnSite:
    """Matrices between the orbitals of an isolated atom, exact and as plane waves give them."""

    overlap: np.ndarray
    hamiltonian: np.ndarray


def exact(pseudo: Pseudopotential, potential: np.ndarray, orbitals: list[Orbital]) -> OnSite:
    n = len(orbitals)
    s, h = np.zeros((n, n)), np.zeros((n, n))
    values = [o.radial(R) for o in orbitals]
    slopes = [o.radial(R, True) for o in orbitals]
    for i, a in enumerate(orbitals):
        for j, b in enumerate(orbitals):
            if a.l != b.l:
                continue
            s[i, j] = SIMPSON @ (R**2 * values[i] * values[j])
            bent = R**2 * slopes[i] * slopes[j] + a.l * (a.l + 1) * values[i] * values[j]
            h[i, j] = SIMPSON @ (bent / 2 + R**2 * values[i] * potential * values[j])
            for p, (lp, first) in enumerate(pseudo.projectors):
                for q, (lq, second) in enumerate(pseudo.projectors):
                    if lp == lq == a.l:
                        left, right = SIMPSON @ (R * first * values[i]), SIMPSON @ (R * second * values[j])
                        h[i, j] += pseudo.strengths[p, q] * left * right
    return OnSite(s, h)


def by_waves(
    pseudo: Pseudopotential, soft: np.ndarray, neutral: np.ndarray, orbitals: list[Orbital]
) -> OnSite:
    """As :func:`exact`, with nothing shorter than the waves kept."""
    q = np.linspace(0, SPHERE, 201)
    weight = np.full(201, q[1]) / 3 * np.where(np.arange(201) % 2, 4, 2) * q**2 * 2 / np.pi
    weight[[0, -1]] = q[[0, -1]] ** 2 * q[1] / 3 * 2 / np.pi
    long = np.linspace(0, WAVES, 241)
    long_weight = np.full(241, long[1]) / 3 * np.where(np.arange(241) % 2, 4, 2) * long**2 * 2 / np.pi
    long_weight[[0, -1]] = long[[0, -1]] ** 2 * long[1] / 3 * 2 / np.pi
    bare = neutral + exchange(soft) - exchange(np.zeros_like(R))
    kept = transform(bare, 0, long) * long_weight
    potential = spherical_jn(0, np.outer(R, long)) @ kept + exchange(np.zeros_like(R))[0]
    n = len(orbitals)
    s, h = np.zeros((n, n)), np.zeros((n, n))
    spectra = [transform(o.radial(R), o.l, q) for o in orbitals]
    values = [
        spherical_jn(o.l, np.outer(R, q)) @ (weight * f) for o, f in zip(orbitals, spectra, strict=True)
    ]
    projectors = [transform(b / np.maximum(R, STEP / 10), l, q) for l, b in pseudo.projectors]
    for i, a in enumerate(orbitals):
        for j, b in enumerate(orbitals):
            if a.l != b.l:
                continue
            s[i, j] = (weight * spectra[i]) @ spectra[j]
            h[i, j] = (weight * q**2 / 2 * spectra[i]) @ spectra[j]
            h[i, j] += SIMPSON @ (R**2 * values[i] * potential * values[j])
            for p, (lp, _) in enumerate(pseudo.projectors):
                for t, (lt, _) in enumerate(pseudo.projectors):
                    if lp == lt == a.l:
                        left, right = (
                            (weight * projectors[p]) @ spectra[i],
                            (weight * projectors[t]) @ spectra[j],
                        )
                        h[i, j] += pseudo.strengths[p, t] * left * right
    return OnSite(s, h)


def hermite(function, slope, last: float, step: float) -> np.ndarray:
    """Values and slopes on knots, (2, n)."""
    knots = np.arange(0, last + step / 2, step)
    return np.stack([function(knots), slope(knots)])


def by_power(orbital: Orbital) -> np.ndarray:
    """R / r^l of an orbital and its slope on knots."""
    l = orbital.l
    knots = np.arange(0, orbital.cage + KNOT / 2, KNOT)
    safe = np.maximum(knots, 1e-3)
    values = orbital.radial(safe) / safe**l
    slopes = (orbital.radial(safe, True) - l * orbital.radial(safe) / safe) / safe**l
    slopes[0] = 0
    slopes[-1] = values[-1] = 0
    return np.stack([values, slopes])


def spline_table(values: np.ndarray, last: float, step: float, mesh: np.ndarray = R) -> np.ndarray:
    spline = CubicSpline(mesh, values)
    return hermite(spline, lambda x: spline(x, 1), last, step)


def spectrum(values: np.ndarray, l: int, last: float) -> np.ndarray:
    """∫ r² j_l(q r) f(r) dr / q^l on knots of q, (2, n)."""
    q = np.arange(0, last + 2 * WAVE_KNOT, WAVE_KNOT / 2)
    safe = np.maximum(q, 1e-3)
    f = transform(values, l, safe) / safe**l
    spline = CubicSpline(q, f, bc_type=((1, 0.0), "not-a-knot"))
    return hermite(spline, lambda x: spline(x, 1), last + WAVE_KNOT, WAVE_KNOT)


EXTRA: dict[str, tuple[int, ...]] = {}
"""Angular momenta of orbitals that are empty in the atom, and that it is given besides."""

for _names, _ls in (
    ("K Ca Rb Sr Cs Ba", (1, 2)),
    ("Li Be Na Mg", (1,)),
    ("Sc Ti V Cr Mn Fe Co Ni Cu Zn Y Zr Nb Mo Tc Ru Rh Ag Cd La Lu Hf Ta W Re Os Ir Pt Au Hg", (1,)),
    ("Pd", (0, 1)),
    ("Al Si P S Cl Ar Ga Ge As Se Br Kr In Sn Sb Te I Xe Tl Pb Bi Po Rn B C N O F Ne", (2,)),
):
    for _name in _names.split():
        EXTRA[_name] = _ls


def atom(symbol: str, path: Path) -> dict[str, np.ndarray]:
    """Everything that is stored of an element."""
    pseudo = read_upf(path)
    neutral = pseudo.local + hartree(pseudo.density)
    neutral[np.abs(neutral) < 1e-9] = 0
    potential = neutral + exchange(pseudo.density + pseudo.core)
    orbitals = orbitals_of(pseudo, potential, EXTRA.get(symbol, ()))
    soft = smooth(pseudo.density + pseudo.core)
    true, rough = exact(pseudo, potential, orbitals), by_waves(pseudo, soft, neutral, orbitals)
    gap = np.abs(true.overlap - rough.overlap).max(), np.abs(true.hamiltonian - rough.hamiltonian).max()
    print(
        f"{symbol:2s} {[(o.l, round(o.level, 3), o.cage) for o in orbitals]} lost {gap[0]:.3f} {gap[1]:.3f}"
    )
    end = min(R[np.argmax(pseudo.density < 2e-5)], 16.0)
    end = np.ceil(end / KNOT) * KNOT
    density = pseudo.density * np.clip((end - R) / 1.0, 0, 1) ** 2 * (3 - 2 * np.clip((end - R) / 1.0, 0, 1))
    bent = CubicSpline(R, density, bc_type=((1, 0.0), (1, 0.0)))
    laplacian = bent(R, 2) + 2 * np.divide(bent(R, 1), R, out=bent(R, 2).copy(), where=R > 0)
    out = {
        "number": np.array(atomic_numbers[symbol]),
        "valence": np.array(pseudo.valence),
        "l": np.array([o.l for o in orbitals]),
        "occupation": np.array([o.occupation for o in orbitals]),
        "level": np.array([o.level for o in orbitals]),
        "own": np.array([o.valence for o in orbitals]),
        "overlap": true.overlap - rough.overlap,
        "hamiltonian": true.hamiltonian - rough.hamiltonian,
        "strengths": pseudo.strengths,
        "projector_l": np.array([l for l, _ in pseudo.projectors]),
        "density": spline_table(density, end, KNOT),
        "laplacian": spline_table(laplacian, end, KNOT),
        "neutral": 4 * np.pi * spectrum(neutral, 0, WAVES),
        "soft": 4 * np.pi * spectrum(soft, 0, 9.0),
    }
    for index, orbital in enumerate(orbitals):
        out[f"orbital{index}"] = by_power(orbital)
    for index, (l, beta) in enumerate(pseudo.projectors):
        out[f"projector{index}"] = spectrum(beta / np.maximum(R, STEP / 10), l, SPHERE)
    return out


def write(table: str, arrays: dict[str, np.ndarray]) -> None:
    """All arrays in one row, and their shapes: a thousand members of an archive outweigh what they hold."""
    layout = json.dumps({key: array.shape for key, array in arrays.items()}, separators=(",", ":"))
    row = np.concatenate([array.ravel() for array in arrays.values()]).astype("<f4")
    np.savez_compressed(table, row=row, layout=np.frombuffer(layout.encode(), np.uint8))


def main(folder: str, table: str = "ase_elf/model/minimal_basis/atoms.npz") -> None:
    arrays = {}
    for path in sorted(Path(folder).glob("*.upf"), key=lambda p: atomic_numbers[p.stem]):
        for key, array in atom(path.stem, path).items():
            arrays[f"{path.stem}.{key}"] = array.astype(np.float32)
    write(table, arrays)
    print(f"{table}: {Path(table).stat().st_size / 1e6:.2f} MB, {len(arrays)} arrays")


if __name__ == "__main__":
    main(*sys.argv[1:])
