"""What ASE finds through our entry points, and that ASE stays whole when something is missing."""

import configparser
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from places import ROOT

from ase_elf import ELFCalculator, ELFGrid, write_elf
from ase_elf.errors import InputError
from ase_elf.testing import GaussianDomain
from ase_elf.viewer import view_elf


@pytest.fixture
def python(tmp_path):
    """Run code where this package looks installed, with its entry points from setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    info = tmp_path / "site" / "ase_elf-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ase-elf\nVersion: 0.1.0\n")
    points = config["options.entry_points"]
    text = "".join(f"[{group}]{value}\n\n" for group, value in points.items() if "." in group)
    (info / "entry_points.txt").write_text(text)

    def run(code):
        lines = [f"import sys; sys.path[:0] = [{str(info.parent)!r}, {str(ROOT)!r}]", code]
        return subprocess.run(
            [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", "\n".join(lines)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    return run


@pytest.fixture
def grid():
    atoms = Atoms("HO", [(0, 0, 0), (1, 1, 1)], cell=[3, 3, 4], pbc=True)
    return ELFGrid(np.random.default_rng(1).random((4, 5, 6)), atoms)


def test_ase_reads_and_writes_elfcar_by_name(python, tmp_path, grid):
    write_elf(tmp_path / "ELFCAR_1", grid)
    done = python(
        "from ase.io import read, write\n"
        "from ase_elf import read_elf\n"
        "atoms = read('ELFCAR_1')\n"
        "assert atoms.get_chemical_formula() == 'HO', atoms\n"
        "elf = read_elf('ELFCAR_1')\n"
        "write('copy.ELFCAR', atoms, format='elfcar', elf=elf)\n"
        "assert (read_elf('copy.ELFCAR').values == elf.values).all()\n"
        "atoms, blocks = read('copy.ELFCAR', read_data=True)\n"
        "assert (blocks[0] == elf.values).all()\n"
    )
    assert done.returncode == 0, done.stderr


def test_ase_knows_calculator_and_viewer_and_lists_the_plugins(python):
    done = python(
        "import ase.io, ase.visualize.viewers\n"
        "from ase.calculators.calculator import get_calculator_class\n"
        "from ase_elf import ELFCalculator\n"
        "assert get_calculator_class('elf') is ELFCalculator\n"
        "assert 'elf' in ase.visualize.viewers.VIEWERS\n"
        "try:\n"
        "    from ase._4.plugins import plugins\n"
        "except ImportError:\n"
        "    sys.exit()\n"
        "calcs = [p for p in plugins.calculators if p.name == 'elf']\n"
        "assert calcs[0]() is ELFCalculator\n"
        "assert 'ase_elf' in plugins.display()\n"
    )
    assert done.returncode == 0, done.stderr


def test_ase_io_loads_neither_torch_nor_mdanalysis_nor_h5py(python):
    done = python(
        "import ase.io, ase.visualize\n"
        "slow = {'torch', 'MDAnalysis', 'h5py', 'matplotlib', 'scipy.ndimage', 'numba'} & set(sys.modules)\n"
        "assert 'ase_elf.ase_hooks' in sys.modules and not slow, slow\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["ase._4.plugins.plugin", "ase._4"])
def test_a_missing_part_of_ase_leaves_an_empty_list(python, missing):
    done = python(
        f"sys.modules[{missing!r}] = None\n"
        "import ase_elf.ase_hooks\n"
        "assert ase_elf.ase_hooks.__ase_plugins__ == set()\n"
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_costs_next_to_nothing(python):
    done = python(
        "before = set(sys.modules)\n"
        "import ase_elf\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert not new & {'torch', 'MDAnalysis', 'numpy', 'ase', 'scipy', 'h5py'}, new\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_viewer_draws_three_planes_of_the_elf():
    plt = pytest.importorskip("matplotlib.pyplot")
    domain = GaussianDomain()
    domain.card["trained_range"] = {}
    cell = [[3, 0.2, 0], [1.0, 2.8, 0], [0, 0.5, 3.3]]
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=cell, pbc=True)
    atoms.calc = ELFCalculator(domain=domain)
    figure = view_elf(atoms, at=(0, 0, 0), show=False)
    planes = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title()[:8] for ax in planes] == ["plane bc", "plane ac", "plane ab"]
    drawn = planes[0].collections[0].get_array().reshape(120, 120)
    expected = atoms.calc.get_elf(atoms).sample([0, 0, 0])
    assert drawn[0, 0] == pytest.approx(float(expected))
    with pytest.raises(InputError, match="at ="):
        view_elf(atoms, at=(0, 0))
    plt.close(figure)


def test_ase_view_shows_the_elf_of_a_calculator_or_of_data_repeated_or_not():
    from ase.visualize import view

    plt = pytest.importorskip("matplotlib.pyplot")
    domain = GaussianDomain()
    domain.card["trained_range"] = {}
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=[3, 3, 3.3], pbc=True)
    atoms.calc = ELFCalculator(domain=domain)
    values = atoms.calc.get_elf(atoms).values
    whole = view(atoms, viewer="elf", at=(0, 0, 0), show=False)
    given = view(atoms, data=values, viewer="elf", at=(0, 0, 0), repeat=(2, 1, 1), show=False)

    def plane(figure, number):
        return figure.axes[number].collections[0]

    np.testing.assert_allclose(plane(given, 0).get_array(), plane(whole, 0).get_array(), atol=1e-9)
    assert plane(given, 2).get_coordinates()[..., 0].max() == pytest.approx(6)
    with pytest.raises(InputError, match="not both"):
        view(atoms, data=values, viewer="elf", elf=atoms.calc.get_elf(atoms))
    plt.close("all")
