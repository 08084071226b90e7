"""Every number that is measured: its name, unit, definition and label, said once.

Columns of tables, ``summary.json``, reports, plots and the documentation read them from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["BONDS", "FRAMES", "INFO", "SCREENING", "TC", "Quantity", "markdown", "named", "names_of"]


@dataclass(frozen=True)
class Quantity:
    """A number that is measured in a frame, a structure or a bond.

    Parameters
    ----------
    name : str
        Column of tables, key of ``summary.json``, name in ``atoms.info``.
    definition : str
        What it is, without the unit.
    unit : str
        Empty for a number without one.
    label : str
        Legend of a plot that draws it with others of its kind, or heading of a column on a page.
    """

    name: str
    definition: str
    unit: str = ""
    label: str = ""

    @property
    def described(self) -> str:
        """Definition and unit in one line."""
        return f"{self.definition} / {self.unit}" if self.unit else self.definition


FRAMES = (
    Quantity("elf_phi", "networking value φ: highest ELF isovalue at which one connected region (ELF domain) "
             "is periodic in three independent directions", label="φ  (3D)"),
    Quantity("elf_phi1", "φ₁: highest ELF isovalue at which a region is periodic in one direction", label="φ₁ (1D)"),
    Quantity("elf_phi2", "φ₂: highest ELF isovalue at which a region is periodic in two directions", label="φ₂ (2D)"),
    Quantity("elf_phi_star", "molecularity index φ*: highest ELF isovalue at which two atoms are connected",
             label="φ*"),
    Quantity("elf_phi_uncertainty", "uncertainty of φ from the grid and, where the model states one, from its "
             "error at the deciding point"),
    Quantity("elf_phi_a", "highest ELF isovalue at which one region closes on itself along a"),
    Quantity("elf_phi_b", "highest ELF isovalue at which one region closes on itself along b"),
    Quantity("elf_phi_c", "highest ELF isovalue at which one region closes on itself along c"),
    Quantity("elf_molecular_fraction_cutoff", "share of atoms in pairs without any other atom "
             "within the bond length", label="no other atom within the bond length"),
    Quantity("elf_molecular_fraction_distance", "share of atoms in pairs of mutual nearest neighbors within the "
             "bond length", label="nearest neighbors"),
    Quantity("elf_molecular_fraction_domain", "share of atoms in ELF domains that hold exactly two nuclei",
             label="ELF domains"),
    Quantity("elf_clusters_1", "ELF domains with one nucleus", label="1 atom"),
    Quantity("elf_clusters_2", "ELF domains with two nuclei", label="2 atoms"),
    Quantity("elf_clusters_3", "ELF domains with three nuclei", label="3 atoms"),
    Quantity("elf_clusters_larger", "ELF domains with more nuclei", label="larger"),
    Quantity("elf_clusters_chain", "ELF domains of three nuclei or more whose attractors are linked in a line"),
    Quantity("elf_clusters_branched", "ELF domains of three nuclei or more whose attractors are linked with branches"),
    Quantity("elf_clusters_ring", "ELF domains of three nuclei or more whose attractors are linked in a cycle; "
             "closing through the boundary of the cell is one"),
    Quantity("elf_degree_mean", "mean number of links of an atom in the ELF network at the isovalue"),
    Quantity("elf_bonds", "number of pairs within the bond length"),
    Quantity("elf_bond_length_mean", "mean length of bonds", "Å", "bonds"),
    Quantity("elf_bond_length_std", "standard deviation of the length of bonds", "Å"),
    Quantity("elf_nearest_distance_mean", "mean distance to the nearest neighbor", "Å", "nearest neighbor"),
    Quantity("elf_bond_midpoint_mean", "mean ELF half way along bonds"),
    Quantity("elf_bond_midpoint_std", "standard deviation of the ELF half way along bonds"),
    Quantity("elf_bond_minimum_mean", "mean of the lowest ELF on the line between bonded nuclei"),
    Quantity("elf_bond_point_mean", "mean ELF at the critical points of bonds"),
    Quantity("elf_nematic_order", "nematic order: largest eigenvalue of ⟨(3uu − 1)/2⟩ over molecular axes; above "
             "zero for random axes too, as 1/√N"),
    Quantity("elf_mean", "mean ELF of the cell"),
    Quantity("elf_sigma", "rms over the cell of the standard deviation that the model states"),
    Quantity("elf_outside", "1 where the structure lies outside what the model was trained on, else 0"),
    Quantity("r_s_bohr", "Wigner-Seitz radius per atom, (3V/4πN)^(1/3)", "bohr", "r_s / bohr"),
    Quantity("shortest_distance", "distance of the closest two nuclei, periodic images included", "Å"),
)  # fmt: skip
"""Numbers of every frame, in the order of the columns of ``frames.csv``."""

BONDS = (
    Quantity("i", "index of one atom, from 0"),
    Quantity("j", "index of the other"),
    Quantity("length", "distance of the nuclei", "Å"),
    Quantity("elf_mid", "ELF half way between the nuclei"),
    Quantity("elf_min", "lowest ELF on the line between the nuclei"),
    Quantity("elf_point", "ELF at the critical point of the bond"),
    Quantity("mutual", "1 where each is the other's nearest neighbor, else 0"),
    Quantity("label", "type of the bond"),
    Quantity("ruler_length", "length that the ELF shows", "Å"),
    Quantity("deviation", "length less ruler length", "Å"),
    Quantity("uncertainty", "one standard deviation of the ruler length", "Å"),
    Quantity("outside", "1 where the ruler was not fitted to such a bond, else 0"),
)
"""What is kept of every bond of a frame; ``bonds.csv`` has it after frame, time and pair of elements."""

TC = (
    Quantity("h_fraction", "hydrogen atoms over all atoms"),
    Quantity("h_dos", "share of hydrogen in the density of states at the Fermi level"),
    Quantity("h_dos_error", "standard error of that share where it is from one-shot bands"),
    Quantity("tc_leastsq", "critical temperature by the published formula LeastSq", "K"),
    Quantity(
        "tc_leastsq_error", "its standard error: of the formula, of φ and of the density of states", "K"
    ),
    Quantity("tc_sr2", "critical temperature by the published formula SR2", "K"),
    Quantity("tc_sr4", "critical temperature by the published formula SR4", "K"),
    Quantity("tc_sr5", "critical temperature by the published formula SR5", "K"),
    Quantity(
        "tc_sr5_error", "its standard error: of the formula, of φ, of φ* and of the density of states", "K"
    ),
)
"""Numbers of hydrides, from bands or a density of states beside an ELF file (:mod:`ase_elf.topology.tc`)."""


def named(*wanted: str) -> tuple[Quantity, ...]:
    """The quantities of :data:`FRAMES` with these names, in the order asked for."""
    return tuple(_BY_NAME[name] for name in wanted)


def names_of(quantities: Iterable[Quantity]) -> tuple[str, ...]:
    """Their names."""
    return tuple(quantity.name for quantity in quantities)


_BY_NAME = {quantity.name: quantity for quantity in FRAMES}

INFO = named("elf_phi", "elf_phi1", "elf_phi2", "elf_phi_star", "elf_mean", "elf_outside")
"""Those that calculator and observers put into ``atoms.info``."""

SCREENING = (
    *named("elf_phi", "elf_phi_uncertainty", "elf_phi_star"),
    Quantity("elf_phi_star_uncertainty", "uncertainty of φ* from the grid and the model"),
    *named("elf_phi1", "elf_phi2", "elf_mean", "elf_sigma", "r_s_bohr", "shortest_distance"),
)
"""Numbers of a screened structure, in the order of the columns of ``screening.csv``."""


def markdown(quantities: Iterable[Quantity]) -> str:
    """A table of them for the documentation."""
    rows = [f"| `{q.name}` | {q.unit} | {q.definition} |\n" for q in quantities]
    return f"| name | unit | definition |\n| --- | --- | --- |\n{''.join(rows)}"
