"""Readers of what VASP and GPAW leave behind."""

import shutil
import subprocess

import numpy as np
import pytest
from ase import Atoms

from ase_elf.errors import EngineError, FormatError, InputError
from ase_elf.reference import read_result

needs_gpaw = pytest.mark.skipif(
    not shutil.which("gpaw"), reason="GPAW is not installed (Debian: gpaw gpaw-data)"
)


def write_elfcar(path, blocks):
    nx, ny, nz = blocks[0].shape
    text = "H2\n1.0\n3 0 0\n0 3 0\n0 0 4\nH\n2\nDirect\n0.5 0.5 0.4\n0.5 0.5 0.6\n"
    for block in blocks:
        text += f"\n {nx} {ny} {nz}\n" + "\n".join(f"{x:.6f}" for x in block.reshape(-1, order="F"))
        text += "\n"
    path.write_text(text)


def write_vasprun(path, *, steps=7, keep=None):
    atom = "<set><rc><c>2</c><c>H</c><c>1.0</c><c>1.0</c><c>PAW_PBE H 15Jun2001</c></rc></set>"
    text = f"""<?xml version="1.0"?>
<modeling>
 <generator><i name="program" type="string">vasp</i><i name="version">6.3.2 </i></generator>
 <kpoints><generation><v type="int" name="divisions"> 2 2 2 </v></generation></kpoints>
 <parameters><separator><i name="NELM">60</i><i name="ENMAX">300.0</i><i name="GGA">PE</i>
 <i name="ISMEAR">0</i><i name="SIGMA">0.05</i></separator></parameters>
 <atominfo><array name="atomtypes">{atom}</array></atominfo>
 <calculation>{"<scstep></scstep>" * steps}
  <varray name="forces"><v>0.0 0.0 0.1</v><v>0.0 0.0 -0.1</v></varray>
  <energy><i name="e_fr_energy">-6.7</i></energy></calculation>
</modeling>
"""
    path.write_text(text[:keep])


@pytest.fixture
def block():
    return np.random.default_rng(0).random((4, 5, 6))


def test_a_vasp_run_is_read_with_its_provenance(tmp_path, block):
    write_elfcar(tmp_path / "ELFCAR", [block])
    write_vasprun(tmp_path / "vasprun.xml")
    result = read_result(tmp_path, "vasp")
    assert result.grid.values == pytest.approx(block, abs=1e-6)
    assert result.energy == -6.7 and result.forces.shape == (2, 3)
    provenance = result.provenance
    assert (provenance.version, provenance.kpts) == ("6.3.2", (2, 2, 2))
    assert provenance.pseudopotentials == {"H": "PAW_PBE H 15Jun2001"}
    assert provenance.cutoff_ry == pytest.approx(300 / 13.605693, rel=1e-6)


def test_an_elfcar_of_two_spins_is_read_and_says_which(tmp_path, block):
    write_elfcar(tmp_path / "ELFCAR", [block, block])
    result = read_result(tmp_path, "vasp")
    assert result.grid.values == pytest.approx(block, abs=1e-6)
    assert result.provenance.notes == ("spin up",)


def test_a_published_elfcar_is_read(shared_data):
    result = read_result(shared_data / "tcestime" / "CaYH20-vasp.ELFCAR", "vasp")
    assert result.grid.shape == (28, 28, 36) and len(result.grid.atoms) == 22


def test_vasp_runs_that_cannot_be_used_are_refused(tmp_path, block):
    with pytest.raises(InputError, match="LELF"):
        read_result(tmp_path, "vasp")
    write_elfcar(tmp_path / "ELFCAR", [block])
    write_vasprun(tmp_path / "vasprun.xml", steps=60)
    with pytest.raises(FormatError, match="did not converge"):
        read_result(tmp_path, "vasp")
    write_vasprun(tmp_path / "vasprun.xml", keep=500)
    with pytest.raises(FormatError, match="cut off"):
        read_result(tmp_path, "vasp")
    text = (tmp_path / "ELFCAR").read_text()
    (tmp_path / "ELFCAR").write_text(text[: len(text) // 2])
    with pytest.raises(FormatError):
        read_result(tmp_path, "vasp")


def test_a_reader_that_does_not_exist_is_named():
    with pytest.raises(EngineError, match="installed: gpaw, vasp"):
        read_result(".", "siesta")


@pytest.mark.dft
@needs_gpaw
def test_a_gpaw_run_of_a_hydrogen_molecule_has_elf_one(tmp_path):
    (tmp_path / "run.py").write_text(
        "from ase import Atoms\n"
        "from gpaw import GPAW\n"
        "a = Atoms('H2', [(0, 0, 0), (0, 0, .74)], cell=(3, 3, 3.5), pbc=True)\n"
        "a.center()\n"
        "a.calc = GPAW(mode='fd', h=0.25, xc='PBE', txt=None, symmetry='off')\n"
        "a.get_potential_energy()\n"
        "a.get_forces()\n"
        "a.calc.write('h2.gpw', mode='all')\n"
    )
    subprocess.run(["gpaw", "python", "run.py"], cwd=tmp_path, check=True, capture_output=True)
    result = read_result(tmp_path / "h2.gpw", "gpaw")
    # One orbital per cell. Finite differences on 0.22 Å give 0.997 where it is this dense.
    dense = result.density > 0.5
    assert dense.any() and result.grid.values[dense].min() > 0.98
    # The pseudo density is not norm-conserving: it holds a little less than two electrons.
    assert result.density.mean() * 31.5 == pytest.approx(2, abs=0.1)
    assert result.provenance.code == "GPAW" and result.provenance.functional == "PBE"
    assert result.energy < 0
    assert isinstance(result.grid.atoms, Atoms) and result.forces.shape == (2, 3)


@pytest.mark.dft
@needs_gpaw
def test_a_file_gpaw_cannot_use_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_result(tmp_path / "h2.gpw", "gpaw")
    (tmp_path / "h2.gpw").write_text("not a restart file")
    with pytest.raises(EngineError, match="mode='all'"):
        read_result(tmp_path / "h2.gpw", "gpaw")
