"""What every reference engine shares: the formula, running programs, finding engines."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from places import ROOT

from ase_elf.errors import EngineError, InputError, OutputError
from ase_elf.reference import EngineCalculator, Provenance, get_engine, installed
from ase_elf.reference.becke_edgecombe import C_F, OrbitalSums, elf_from_density
from ase_elf.reference.engine import check_atoms, check_points, grid_points
from ase_elf.reference.program import check_disk, find_program, run_program

ENGINE = "standin_engine:StandIn"


def test_the_uniform_gas_has_elf_one_half():
    """Summed orbital by orbital: plane waves that fill a Fermi sphere."""
    length, k_max = 10.0, 14
    numbers = np.arange(-k_max, k_max + 1)
    waves = np.stack(np.meshgrid(numbers, numbers, numbers), -1).reshape(-1, 3)
    waves = waves[(waves**2).sum(1) <= (k_max - 0.5) ** 2] * 2 * np.pi / length
    points = np.random.default_rng(0).random((3, 3)) * length
    sums = OrbitalSums(len(points))
    for part in np.array_split(waves, 8):
        psi = np.exp(1j * points @ part.T) / length**1.5
        orbitals = np.stack([psi, *(1j * part[:, axis] * psi for axis in range(3))])
        sums.add(orbitals, np.full(len(part), 2.0))
    # A sphere cut out of a lattice of 10,000 waves is round to about 1 %.
    assert sums.elf() == pytest.approx(np.full(3, 0.5), abs=0.005)


def test_one_orbital_has_elf_one_wherever_it_is():
    r = np.linspace(0.1, 12, 50)
    density = np.exp(-2 * r) / np.pi
    gradient_squared = (2 * density) ** 2
    kinetic = gradient_squared / (8 * density)
    assert elf_from_density(density, gradient_squared, kinetic) == pytest.approx(1, abs=1e-12)


def test_the_elf_of_nothing_is_zero():
    zero = np.zeros(3)
    assert elf_from_density(zero, zero, zero).tolist() == [0, 0, 0]


def test_half_filled_and_filled_orbitals_have_the_same_shape_of_elf():
    random = np.random.default_rng(2)
    orbitals = random.normal(size=(4, 20, 1))
    for occupation in (1.0, 2.0):
        sums = OrbitalSums(20)
        sums.add(orbitals, np.array([occupation]))
        assert sums.elf() == pytest.approx(1)


def test_the_thomas_fermi_constant_is_that_of_the_literature():
    assert C_F == pytest.approx(2.871234, abs=1e-6)


def test_the_engines_of_this_package_are_found():
    assert {"cp2k", "espresso", "pyscf"} <= set(installed())


def test_an_engine_that_does_not_exist_is_named():
    with pytest.raises(EngineError, match="'gaussian'; installed: cp2k"):
        get_engine("gaussian")
    with pytest.raises(EngineError, match="cannot be loaded"):
        get_engine("no_such_module:Engine")
    with pytest.raises(EngineError, match="no ReferenceEngine"):
        get_engine("pathlib:Path")


def test_provenance_survives_json():
    import json

    provenance = Provenance("x", "1", "PBE", kpts=(2, 2, 2), notes=("one",))
    assert Provenance.from_dict(json.loads(json.dumps(provenance.as_dict()))) == provenance
    with pytest.raises(InputError, match="flavour"):
        Provenance.from_dict({**provenance.as_dict(), "flavour": 1})


def test_a_grid_has_its_points_where_the_convention_says():
    atoms = Atoms("H", cell=[[2, 0, 0], [1, 3, 0], [0, 0, 1]], pbc=True)
    points, shape = grid_points(atoms, 0.5)
    assert shape == (4, 7, 2)
    grid = points.reshape(*shape, 3)
    assert grid[1, 2, 1] == pytest.approx(np.array([1 / 4, 2 / 7, 1 / 2]) @ atoms.cell.array)


def test_bad_structures_and_points_are_refused():
    with pytest.raises(InputError, match="0.100 Å apart"):
        check_atoms(Atoms("H2", [(0, 0, 0), (0, 0, 0.1)]))
    with pytest.raises(InputError, match="NaN"):
        check_atoms(Atoms("H", [(0, 0, np.nan)]))
    with pytest.raises(InputError, match="no cell"):
        grid_points(Atoms("H"), 0.1)
    with pytest.raises(InputError, match="shape"):
        check_points(np.zeros(3))
    with pytest.raises(InputError, match="NaN"):
        check_points(np.full((2, 3), np.inf))


def test_a_missing_program_says_what_to_install():
    with pytest.raises(EngineError, match=r"'no-such-program'.*Install the package"):
        find_program("no-such-program -x", package="the package")
    with pytest.raises(EngineError, match="empty"):
        find_program("", package="x")


def test_a_killed_program_is_an_error_that_says_so(tmp_path):
    script = f"import os; print('started', flush=True); os.kill(os.getpid(), {signal.SIGKILL})"
    with pytest.raises(EngineError, match=r"killed by SIGKILL[\s\S]*started"):
        run_program([sys.executable, "-c", script], directory=tmp_path, output="out")


def test_a_program_is_stopped_at_its_time_limit(tmp_path):
    started = time.monotonic()
    words = [sys.executable, "-c", "import time; time.sleep(100)"]
    with pytest.raises(EngineError, match="time limit"):
        run_program(words, directory=tmp_path, output="out", timeout=0.5)
    assert time.monotonic() - started < 60


def test_a_full_disk_is_told_from_a_failed_program(tmp_path):
    with pytest.raises(OutputError, match="is full"):
        check_disk(tmp_path, needed_mb=1e12)


def test_a_worker_ends_its_programs_when_its_parent_dies(tmp_path):
    """As after a SIGKILL of the build: nobody is left to clean up but the worker itself."""
    worker = (
        "from pathlib import Path\n"
        "from ase_elf.reference.program import end_with_parent, run_program\n"
        "end_with_parent(interval=0.1)\n"
        "run_program(['sh', '-c', 'echo $$ > pid; exec sleep 300'],"
        f" directory=Path({str(tmp_path)!r}), output='out')\n"
    )
    (tmp_path / "worker.py").write_text(worker)
    parent = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, {str(tmp_path / 'worker.py')!r}])\n"
        "time.sleep(300)\n"
    )
    import subprocess

    root = str(ROOT)
    environment = {**os.environ, "PYTHONPATH": root}
    process = subprocess.Popen([sys.executable, "-c", parent], env=environment)
    pid = _wait_for(tmp_path / "pid")
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _wait_for(path):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.is_file() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_an_engine_serves_as_an_ase_calculator():
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=[3, 3, 3], pbc=True)
    atoms.calc = EngineCalculator(get_engine(ENGINE))
    assert atoms.get_potential_energy() == -1.0
    assert atoms.get_forces().shape == (2, 3)
    assert atoms.calc.get_elf(atoms).shape == (8, 8, 8)
