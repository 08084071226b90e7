"""Run by the Python that GPAW is installed in: a .gpw file in, its ELF and results out.

Usage: python extract.py RESTART.gpw OUT.npz

Stands alone, because that Python need not have ase_elf.
"""

import json
import sys

import numpy as np

import gpaw
from gpaw import GPAW
from gpaw.elf import ELF


def main(source: str, target: str) -> None:
    calculator = GPAW(source, txt=None)
    # Positions and orbitals are read lazily; the ELF needs both.
    calculator.initialize_positions()
    atoms = calculator.get_atoms()
    elf = ELF(calculator)
    elf.update()
    forces = calculator.results.get("forces")
    text = {
        "version": gpaw.__version__,
        "functional": calculator.hamiltonian.xc.name,
        "mode": calculator.wfs.mode,
        "cutoff": getattr(getattr(calculator.wfs, "pd", None), "ecut", None),
        "setups": {setup.symbol: setup.fingerprint for setup in calculator.setups},
        "kpts": [int(n) for n in calculator.wfs.kd.N_c],
        "spinpol": bool(calculator.wfs.nspins == 2),
        "smearing": str(calculator.wfs.occupations),
        "steps": int(calculator.scf.niter or 0),
    }
    np.savez(
        target,
        text=np.frombuffer(json.dumps(text).encode(), np.uint8),
        elf=elf.get_electronic_localization_function(gridrefinement=1, pad=True),
        # Bohr^-3 here; the reader converts.
        density=calculator.density.gd.collect(calculator.density.nt_sG.sum(axis=0)),
        energy=calculator.get_potential_energy(force_consistent=True),
        forces=np.full((len(atoms), 3), np.nan) if forces is None else forces,
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=np.asarray(atoms.cell),
        pbc=atoms.pbc,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
