"""Examples run as they are, and draw what they promise."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from places import ROOT

pytestmark = pytest.mark.ci


def said_by(script, *arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(script, picture, *arguments):
    said = said_by(script, picture, *arguments)
    assert picture.read_bytes().startswith(b"\x89PNG")
    return said


@pytest.mark.dft
@pytest.mark.skipif(not shutil.which("projwfc.x"), reason="Quantum ESPRESSO is not installed")
def test_h3s_from_structure_to_critical_temperature(tmp_path):
    said = run("h3s_tc.py", tmp_path / "h3s.png")
    phi = float(re.search(r"phi = ([\d.]+)", said)[1])
    assert phi == pytest.approx(0.71, abs=0.05)  # published, with another pseudopotential
    share = float(re.search(r"Fermi level ([\d.]+)", said)[1])
    assert share == pytest.approx(0.489, abs=0.05)


def test_dense_hydrogen_moves_and_shows_its_network(tmp_path):
    said = run("hydrogen_md.py", tmp_path / "md.png", "40")
    assert 0.3 < float(re.search(r"φ ([\d.]+)", said)[1]) < 0.8
    # A dozen femtoseconds from a frame of the DFT run; a uniform density would be 0.46 away.
    assert float(re.search(r"within rms ([\d.]+)", said)[1]) < 0.2


def test_a_molecule_turns_and_everything_of_ase_keeps_what_came_of_it(tmp_path):
    said = run("turning_molecule.py", tmp_path / "turning.png", "30")
    barrier, ends = re.search(r"barrier ([\d.-]+) eV, ends differ by ([\d.-]+)", said).groups()
    # The ends are the same structure with two atoms exchanged.
    assert float(barrier) > 0.01 and abs(float(ends)) < 0.01
    assert "5 files written and read back" in said


def test_workers_a_cluster_and_a_slurm_array_give_what_one_process_gives():
    pytest.importorskip("distributed")
    said = said_by("scale_out.py", "4")
    assert said.count("equal bytes") == 2
    assert float(re.search(r"largest difference (\S+)", said)[1]) < 1e-9


def test_structures_of_any_size_are_predicted_together(tmp_path):
    said = run("many_structures.py", tmp_path / "structures.png", "8")
    assert "batches of [2, 2, 2, 2]" in said
    assert all(float(x) < 1e-5 for x in re.findall(r"largest difference (\S+)", said))


def test_a_small_fit_learns_something(tmp_path):
    said = run("train_pack.py", tmp_path / "fit.png", "20")
    assert float(re.search(r"fluid-md-rs1.42-000 +R² (-?[\d.]+)", said)[1]) > 0.5


def test_the_bonds_of_au25_and_what_their_elf_says(tmp_path):
    said = run("au25_ruler.py", tmp_path / "au25.png")
    for label in ("bridging", "core", "terminal"):
        length, read = re.search(rf"{label} +12 bonds +length ([\d.]+) Å +read ([\d.]+)", said).groups()
        assert abs(float(length) - float(read)) < 0.05


def test_a_ruler_for_carbon_reads_molecules_it_was_not_fitted_to(tmp_path):
    said = run("carbon_ruler.py", tmp_path / "carbon.png")
    mae, spread = re.search(r"localized.*mae ([\d.]+).*lengths ([\d.]+)", said).groups()
    assert float(mae) < 0.3 * float(spread)
    # Conjugated bonds are read longer than they are: their electrons are spread.
    assert float(re.search(r"conjugated.*less length ([+-][\d.]+)", said)[1]) > float(mae)
