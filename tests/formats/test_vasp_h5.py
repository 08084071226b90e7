"""vaspout.h5 and vaspwave.h5, laid out as py4vasp and pymatgen read them."""

import gzip

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from click.testing import CliRunner
from command import call
from elf_files import CELL, field

from ase_elf import read_elf, write_elf
from ase_elf.cli import main
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.formats import detect, holds_elf
from ase_elf.grid import ELFGrid
from ase_elf.topology import hydrogen_share, read_density

POSITIONS = np.array([(0.2, 0.3, 0.4), (0.2, 0.3, 1.14), (1.2, 1.1, 1.3)])


@pytest.fixture
def grid():
    atoms = Atoms("H2O", POSITIONS, cell=CELL, pbc=True)
    return ELFGrid(field((12, 10, 14), POSITIONS, CELL), atoms)


def vasp_file(path, grid, *, elf="results/elf/values", blocks=None, steps=1, labels=(b"H_h", b"O/1b2c3d4e"),
              group="results/positions"):  # fmt: skip
    """Structure and grids as VASP writes them: Fortran arrays, components slowest."""
    scaled = grid.atoms.get_scaled_positions(wrap=False)
    with h5py.File(path, "w") as file:
        file["version/major"] = 6
        place = file.create_group(group)
        place["ion_types"] = np.array(labels, "S14")
        place["number_ion_types"] = [2, 1]
        place["scale"] = 2.0
        place["lattice_vectors"] = CELL / 2
        place["position_ions"] = scaled
        place["direct_coordinates"] = 1
        if steps:
            run = file.create_group("intermediate/ion_dynamics")
            run["scale"] = 2.0
            run["lattice_vectors"] = np.array(
                [CELL / 2 * (1.1 if k < steps - 1 else 1) for k in range(steps)]
            )
            run["position_ions"] = np.array([scaled + 0.01 * (steps - 1 - k) for k in range(steps)])
        if elf:
            values = np.stack([grid.values] if blocks is None else blocks)
            file[elf] = values.transpose(0, 3, 2, 1).astype("f8")
    return path


@pytest.mark.parametrize(
    "elf", ["results/elf/values", "results/elf", "elf/elf", "charge/elf", "ELF/grid_values"]
)
def test_the_elf_is_found_by_its_name_and_read_as_that_of_an_elfcar(tmp_path, grid, elf):
    path = vasp_file(tmp_path / "vaspout.h5", grid, elf=elf)
    assert detect(path) == "vasp-h5" and holds_elf(path)
    back = read_elf(path)
    np.testing.assert_array_equal(back.values, grid.values)
    np.testing.assert_allclose(back.cell, CELL)
    np.testing.assert_allclose(back.atoms.positions, POSITIONS)
    assert back.atoms.get_chemical_symbols() == ["H", "H", "O"]
    packed = tmp_path / "packed.h5.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_elf(packed).values, grid.values)


@pytest.mark.parametrize(
    "group", ["results/positions", "structure/positions", "locpot/position", "input/poscar"]
)
def test_the_structure_is_that_of_the_last_step(tmp_path, grid, group):
    for steps in (0, 1, 3):
        path = vasp_file(tmp_path / f"vaspwave{steps}.h5", grid, steps=steps, group=group)
        with h5py.File(path, "r+") as file:
            if steps:  # of the step to come, as after one of dynamics
                file[group]["position_ions"][:] += 0.2
        back = read_elf(path)
        np.testing.assert_allclose(back.atoms.positions, POSITIONS)
        np.testing.assert_allclose(back.cell, CELL)


def test_both_spins_are_those_of_an_elfcar(tmp_path, grid):
    down = 1 - grid.values
    path = vasp_file(tmp_path / "vaspout.h5", grid, blocks=[grid.values, down])
    np.testing.assert_array_equal(read_elf(path, spin="down").values, down)
    with pytest.warns(ElfWarning, match="spin up and spin down, which differ; up is read"):
        np.testing.assert_array_equal(read_elf(path).values, grid.values)
    four = vasp_file(tmp_path / "four.h5", grid, blocks=[grid.values] * 4)
    with pytest.raises(FormatError, match="4 components"):
        read_elf(four)


def test_a_file_without_an_elf_says_where_vasp_writes_it(tmp_path, grid):
    path = vasp_file(tmp_path / "vaspout.h5", grid, elf=None)
    assert not holds_elf(path)
    with pytest.raises(FormatError, match="holds no ELF. VASP writes it with LELF = .TRUE., into ELFCAR"):
        read_elf(path)
    assert "`ase-elf analyze` predicts" in call("topology", path, code=1)


def test_several_grids_called_elf_are_chosen_from(tmp_path, grid):
    path = vasp_file(tmp_path / "vaspout.h5", grid)
    with h5py.File(path, "r+") as file:
        file["results/elf_smooth"] = np.zeros((14, 10, 12))
    with pytest.raises(InputError, match="results/elf/values, results/elf_smooth. Say which with grid="):
        read_elf(path)
    np.testing.assert_array_equal(read_elf(path, grid="results/elf/values").values, grid.values)


@pytest.mark.parametrize("damage", ["cut", "sizes", "species", "counts", "soft link", "other grid"])
def test_damaged_files_are_errors_that_name_the_file(tmp_path, grid, damage):
    path = vasp_file(tmp_path / "vaspout.h5", grid)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        with h5py.File(path, "r+") as file:
            if damage == "sizes":
                del file["results/elf/values"]
                file.create_dataset("results/elf/values", (10**4,) * 3, "f8", chunks=(100,) * 3)
            elif damage == "species":
                file["results/positions/ion_types"][0] = b"Qq"
            elif damage == "counts":
                file["results/positions/number_ion_types"][0] = 7
            elif damage == "soft link":
                del file["results/positions/lattice_vectors"], file["intermediate"]
                file["results/positions/lattice_vectors"] = h5py.ExternalLink("/etc/passwd", "/x")
            else:
                file["results/elf/grid"] = [12, 10, 15]
    with pytest.raises(FormatError, match="vaspout.h5"):
        read_elf(path)


def test_density_and_density_of_states_are_read(tmp_path, grid):
    path = vasp_file(tmp_path / "vaspwave.h5", grid)
    volume = grid.atoms.get_volume()
    with h5py.File(path, "r+") as file:
        # VASP multiplies densities with the volume; the second component is the magnetization.
        charge = np.stack([np.full((14, 10, 12), 10.0), np.full((14, 10, 12), 3.0)])
        file["charge/charge"] = charge
    density = read_density(path, CELL)
    assert density.shape == (12, 10, 14)
    assert density.mean() * volume == pytest.approx(10)
    with pytest.raises(InputError, match="same run"):
        read_density(path, CELL * 1.1)
    with pytest.raises(FormatError, match="no projected density of states"):
        hydrogen_share(path, ["H", "H", "O"])


@pytest.mark.parametrize("spins", [1, 2, 4])
def test_hydrogens_share_of_states(tmp_path, grid, spins):
    path = vasp_file(tmp_path / "vaspout.h5", grid)
    each = np.array([0.2, 0.3, 1.5]) / (2 if spins == 2 else 1)
    projected = np.zeros((spins, 3, 2, 3))
    projected[: min(spins, 2), :, 0] = each[:, None]
    if spins == 4:
        projected[1:] = 0.7  # magnetization, which is no density
    with h5py.File(path, "r+") as file:
        file["results/electron_dos/energies"] = [-1.0, 0.0, 1.0]
        file["results/electron_dos/efermi"] = 0.5
        file["results/electron_dos/dospar"] = projected
    assert hydrogen_share(path, ["H", "H", "O"]) == pytest.approx(0.25)
    with pytest.raises(InputError, match="projections on 3 atoms, the structure 2"):
        hydrogen_share(path, ["H", "H"])


def test_vasps_files_are_read_and_not_written(tmp_path, grid):
    with pytest.raises(InputError, match="not written"):
        write_elf(tmp_path / "vaspout.h5", grid, format="vasp-h5")


def test_frames_of_a_store_are_not_vasps(tmp_path, grid):
    write_elf(tmp_path / "frame.h5", grid)
    assert detect(tmp_path / "frame.h5") == "hdf5"


def test_analyze_reads_the_elf_of_a_single_step(tmp_path, grid):
    path = vasp_file(tmp_path / "vaspout.h5", grid)
    output = call("analyze", path, "-o", tmp_path / "out", "--no-report")
    assert "1 from files" in output
    assert (tmp_path / "out" / "points.csv").is_file()
    write(tmp_path / "a.cif", grid.atoms)
    assert CliRunner().invoke(main, ["topology", str(tmp_path / "a.cif")]).exit_code == 1
