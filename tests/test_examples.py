"""Examples run as they are, and draw what they promise."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(script, picture, *arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, picture, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    return done.stdout


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
