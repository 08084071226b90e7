"""ELFCAR, cube and XSF: round trips, other readers' opinion, and broken files."""

import contextlib
import gzip
import os
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ase_elf import read_elf, write_elf
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.formats import detect
from ase_elf.grid import ELFGrid

TEXT_NAMES = ["ELFCAR", "run1.ELFCAR", "elf.cube", "elf.xsf"]


@pytest.fixture
def grid():
    """Triclinic, three unequal axes, several elements in mixed order, saturated values."""
    cell = [[3.0, 0.2, -0.1], [1.1, 4.0, 0.3], [-0.7, 0.9, 5.3]]
    atoms = Atoms("HOHH", cell=cell, pbc=True)
    atoms.set_scaled_positions([(0.1, 0.2, 0.3), (0.5, 0.5, 0.5), (0.9, 0.1, 0.2), (0.4, 0, 0.7)])
    values = np.random.default_rng(1).random((4, 5, 7)).astype(np.float32)
    values.flat[:3] = 0.0, 1.0, 1e-7
    return ELFGrid(values, atoms)


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_text_formats_return_every_bit_of_the_values(tmp_path, grid, name):
    path = tmp_path / name
    write_elf(path, grid)
    back = read_elf(path)
    np.testing.assert_array_equal(back.values, grid.values)
    np.testing.assert_allclose(back.cell, grid.cell, atol=1e-8)
    np.testing.assert_allclose(back.atoms.positions, grid.atoms.positions, atol=1e-8)
    assert back.atoms.get_chemical_symbols() == grid.atoms.get_chemical_symbols()
    assert back.atoms.pbc.all()
    assert back.info["source"] == str(path)
    assert os.listdir(tmp_path) == [name]  # no temporary file stays


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_structures_of_a_simulation_leave_velocities_and_constraints_behind(tmp_path, grid, name):
    moving = grid.atoms.copy()
    moving.set_velocities(np.ones((4, 3)))
    moving.set_constraint(FixAtoms([0]))
    write_elf(tmp_path / name, ELFGrid(grid.values, moving))
    still = tmp_path / "still" / name
    still.parent.mkdir()
    write_elf(still, grid)
    assert (tmp_path / name).read_bytes() == still.read_bytes()


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_content_decides_not_the_name(tmp_path, grid, name):
    write_elf(tmp_path / name, grid)
    (tmp_path / name).rename(tmp_path / "field.dat")
    np.testing.assert_array_equal(read_elf(tmp_path / "field.dat").values, grid.values)


def test_ase_reads_our_cube_and_we_read_that_of_ase(tmp_path, grid):
    from ase.io.cube import read_cube, write_cube

    write_elf(tmp_path / "ours.cube", grid)
    with open(tmp_path / "ours.cube") as fd:
        theirs = read_cube(fd)
    np.testing.assert_allclose(theirs["data"], grid.values, rtol=1e-7)
    np.testing.assert_allclose(theirs["atoms"].positions, grid.atoms.positions, atol=1e-8)
    np.testing.assert_allclose(theirs["atoms"].cell[:], grid.cell, atol=1e-8)
    with open(tmp_path / "ase.cube", "w") as fd:
        write_cube(fd, grid.atoms, data=grid.values)
    back = read_elf(tmp_path / "ase.cube")
    np.testing.assert_allclose(back.values, grid.values, atol=1e-6)  # ASE prints %e
    np.testing.assert_allclose(back.cell, grid.cell, atol=1e-5)  # 1e-6 bohr per voxel


def test_ase_reads_the_grid_of_our_xsf_with_its_repeated_plane(tmp_path, grid):
    from ase.io.xsf import read_xsf

    write_elf(tmp_path / "elf.xsf", grid)
    with open(tmp_path / "elf.xsf") as fd:
        data, origin, span, atoms = read_xsf(fd, read_data=True)
    np.testing.assert_allclose(data[:-1, :-1, :-1], grid.values, rtol=1e-7)
    np.testing.assert_allclose(data[-1, :-1, :-1], grid.values[0], rtol=1e-7)
    np.testing.assert_allclose(span, grid.cell, atol=1e-12)
    np.testing.assert_allclose(atoms.positions, grid.atoms.positions, atol=1e-12)
    assert not np.any(origin)


def test_pymatgen_reads_our_elfcar_as_we_do(tmp_path, grid):
    vasp = pytest.importorskip("pymatgen.io.vasp.outputs", reason="pymatgen is not installed")
    write_elf(tmp_path / "ELFCAR", grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen renames its keys with a warning
        theirs = vasp.Elfcar.from_file(str(tmp_path / "ELFCAR"))
    (values,) = theirs.data.values()
    np.testing.assert_allclose(values, grid.values, rtol=1e-7)
    np.testing.assert_allclose(theirs.structure.lattice.matrix, grid.cell, atol=1e-10)
    np.testing.assert_allclose(theirs.structure.frac_coords, grid.atoms.get_scaled_positions(), atol=1e-10)


def test_pymatgen_reads_our_cube_and_the_structure_of_our_xsf(tmp_path, grid):
    common = pytest.importorskip("pymatgen.io.common", reason="pymatgen is not installed")
    from pymatgen.io.xcrysden import XSF

    write_elf(tmp_path / "elf.cube", grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cube = common.VolumetricData.from_cube(tmp_path / "elf.cube")
    np.testing.assert_allclose(cube.data["total"], grid.values, rtol=1e-7)
    np.testing.assert_allclose(cube.structure.lattice.matrix, grid.cell, atol=1e-6)
    np.testing.assert_allclose(cube.structure.cart_coords, grid.atoms.positions, atol=1e-6)
    write_elf(tmp_path / "elf.xsf", grid)
    structure = XSF.from_str((tmp_path / "elf.xsf").read_text()).structure
    np.testing.assert_allclose(structure.lattice.matrix, grid.cell, atol=1e-8)
    np.testing.assert_allclose(structure.cart_coords, grid.atoms.positions, atol=1e-8)


def test_ase_reads_our_elfcar_as_it_reads_charge_densities(tmp_path, grid):
    from ase.calculators.vasp import VaspChargeDensity

    write_elf(tmp_path / "ELFCAR", grid)
    theirs = VaspChargeDensity(str(tmp_path / "ELFCAR"))
    (values,) = theirs.chg  # divided by the volume, as a charge density is
    np.testing.assert_allclose(values * grid.atoms.get_volume(), grid.values, rtol=1e-6)
    np.testing.assert_allclose(theirs.atoms[0].cell[:], grid.cell, atol=1e-8)


def test_both_spin_blocks_of_an_elfcar_are_kept_apart(tmp_path, grid):
    down = ELFGrid(1 - grid.values, grid.atoms)
    path = tmp_path / "ELFCAR"
    write_elf(path, grid, spin_down=down)
    np.testing.assert_array_equal(read_elf(path, spin="up").values, grid.values)
    np.testing.assert_array_equal(read_elf(path, spin="down").values, down.values)
    assert read_elf(path, spin="down").info["spin"] == "down"
    with pytest.warns(ElfWarning, match="differ; up is read"):
        assert read_elf(path).info["spin"] == "up"
    with pytest.raises(InputError, match="spin = 'left'"):
        read_elf(path, spin="left")


def test_equal_spin_blocks_need_no_choice(tmp_path, grid):
    write_elf(tmp_path / "ELFCAR", grid, spin_down=grid)
    np.testing.assert_array_equal(read_elf(tmp_path / "ELFCAR").values, grid.values)


def test_pymatgen_agrees_on_two_spin_blocks(tmp_path, grid):
    vasp = pytest.importorskip("pymatgen.io.vasp.outputs", reason="pymatgen is not installed")
    write_elf(tmp_path / "ELFCAR", grid, spin_down=ELFGrid(1 - grid.values, grid.atoms))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        up, down = vasp.Elfcar.from_file(str(tmp_path / "ELFCAR")).data.values()
    np.testing.assert_allclose(up, grid.values, rtol=1e-7)
    np.testing.assert_allclose(down, 1 - grid.values, atol=1e-7)


def test_augmentation_lines_between_blocks_are_not_grid_values(tmp_path, grid):
    path = tmp_path / "ELFCAR"
    write_elf(path, grid, spin_down=grid)
    dims = "    4     5     7\n"
    head, first, second = path.read_text().split(dims)
    extra = "augmentation occupancies   1   3\n  0.1 0.2 0.3\n  0.0 0.0\n"
    path.write_text(head + dims + first + extra + dims + second)
    np.testing.assert_array_equal(read_elf(path).values, grid.values)


def test_poscar_variants_of_the_header(tmp_path):
    body = "\n  2 2 2\n" + "0.1 0.2 0.3 0.4 0.5\n0.6 0.7 0.8\n"
    lattice = "1 0 0\n0 2 0\n0 0 3\n"
    headers = {
        "vasp4": f"H\n 2.0\n{lattice}1\nDirect\n0.5 0.5 0.5\n",
        "vasp5": f"comment\n 2.0\n{lattice}H\n1\nDirect\n0.5 0.5 0.5\n",
        "cartesian": f"comment\n 2.0\n{lattice}H\n1\nCartesian\n0.5 1.0 1.5\n",
        "volume": f"comment\n -48.0\n{lattice}H\n1\nDirect\n0.5 0.5 0.5\n",
        "selective": f"c\n 2.0\n{lattice}H\n1\nSelective dynamics\nDirect\n.5 .5 .5 T T F\n",
    }
    for name, header in headers.items():
        (tmp_path / f"{name}.ELFCAR").write_text(header + body)
        grid = read_elf(tmp_path / f"{name}.ELFCAR")
        np.testing.assert_allclose(grid.cell, np.diag([2.0, 4.0, 6.0]), err_msg=name)
        np.testing.assert_allclose(grid.atoms.positions, [[1.0, 2.0, 3.0]], err_msg=name)
        # x runs fastest
        np.testing.assert_allclose(grid.values[:, 0, 0], [0.1, 0.2], rtol=1e-6, err_msg=name)


def test_a_cube_origin_is_moved_to_zero_and_noted(tmp_path, grid):
    write_elf(tmp_path / "elf.cube", grid)
    lines = (tmp_path / "elf.cube").read_text().splitlines()
    lines[2] = "    4  1.0  0.0  0.0"
    (tmp_path / "elf.cube").write_text("\n".join(lines))
    moved = read_elf(tmp_path / "elf.cube")
    from ase.units import Bohr

    np.testing.assert_allclose(moved.atoms.positions, grid.atoms.positions - [Bohr, 0, 0], atol=1e-8)
    assert moved.info["origin"] == pytest.approx([Bohr, 0, 0])


def test_cubes_in_angstrom_or_with_a_labelled_field_are_understood(tmp_path):
    body = "   2   0.5 0 0\n   2   0 1.0 0\n  -2   0 0 1.5\n"
    text = "c\nc\n  -1 0 0 0\n" + body + " 1 0.0 0.1 0.2 0.3\n 1 7\n" + "0.5 " * 8
    (tmp_path / "a.cube").write_text(text)
    with pytest.warns(ElfWarning, match="negative .2 2 -2.: .*atoms in bohr"):
        grid = read_elf(tmp_path / "a.cube")
    from ase.units import Bohr

    np.testing.assert_allclose(np.diag(grid.cell), [Bohr, 2 * Bohr, 3.0])
    (tmp_path / "b.cube").write_text(text.replace(" 1 7\n", " 2 7 8\n"))
    with pytest.raises(FormatError, match="2 values per grid point"):
        read_elf(tmp_path / "b.cube")


def test_a_repeated_end_plane_is_noticed_and_dropped_on_request(tmp_path, grid):
    closed = ELFGrid(np.pad(grid.values, (0, 1), mode="wrap"), grid.atoms)
    # The file of a writer whose voxels are 1/n, not 1/(n + 1), of the cell
    stretched = closed.atoms.copy()
    stretched.set_cell(closed.cell * (np.array(closed.shape) / grid.shape)[:, None])
    path = tmp_path / "elf.cube"
    write_elf(path, ELFGrid(closed.values, stretched))
    with pytest.warns(ElfWarning, match="repeats the end plane"):
        assert read_elf(path).shape == closed.shape
    assert read_elf(path, repeated_end_plane=False).shape == closed.shape
    dropped = read_elf(path, repeated_end_plane=True)
    np.testing.assert_array_equal(dropped.values, grid.values)
    np.testing.assert_allclose(dropped.cell, grid.cell, atol=1e-8)
    path.write_text(path.read_text().replace("written by ase_elf", "castep2cube"))
    assert read_elf(path).shape == grid.shape


def test_an_xsf_that_is_not_periodic_or_not_over_the_cell_is_refused(tmp_path, grid):
    path = tmp_path / "elf.xsf"
    write_elf(path, grid)
    text = path.read_text()
    head, last, tail = text.rpartition(text.splitlines()[-3])
    path.write_text(head + last.rsplit(maxsplit=1)[0] + " 0.123456" + tail)
    with pytest.raises(FormatError, match="last grid plane differs"):
        read_elf(path)
    path.write_text(text.replace("PRIMVEC\n 3.0", "PRIMVEC\n 6.0"))
    with pytest.raises(FormatError, match="spans"):
        read_elf(path)


def test_an_xsf_of_a_molecule_takes_the_cell_from_its_grid(tmp_path):
    rows = "\n".join(["0.5 0.5 0.5"] * 9)
    (tmp_path / "m.xsf").write_text(
        "# water\nATOMS\nO 0 0 0\n1 0.0 0.8 0.6\nBEGIN_BLOCK_DATAGRID_3D\n elf\n"
        f" BEGIN_DATAGRID_3D_elf\n 3 3 3\n -1 -1 -1\n 4 0 0\n 0 4 0\n 0 0 4\n{rows}\n"
        " END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n"
    )
    grid = read_elf(tmp_path / "m.xsf")
    assert grid.atoms.get_chemical_formula() == "HO"
    assert grid.shape == (2, 2, 2)
    np.testing.assert_allclose(grid.atoms.positions[0], [1, 1, 1])


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_a_text_file_cut_anywhere_is_an_error_never_a_grid(tmp_path, grid, name):
    path = tmp_path / name
    write_elf(path, grid)
    whole = path.read_bytes()
    # The last number of ELFCAR and cube may lose digits or its newline and still be one.
    end = whole.rstrip().rfind(b" ") if name != "elf.xsf" else whole.find(b"END_DATAGRID")
    for cut in range(0, end, 23):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError, match=name):
            read_elf(path)


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_declared_sizes_are_not_believed(tmp_path, grid, name):
    path = tmp_path / name
    write_elf(path, grid)
    text = path.read_text()
    huge = {
        "    4     5     7": " 400000 500000 700000",
        "5 6 8\n": "500000 600000 800000\n",
        "    7 ": "700000000 ",
    }
    for old, new in huge.items():
        if old in text:
            path.write_text(text.replace(old, new))
            with pytest.raises(FormatError, match="values|truncated|sizes"):
                read_elf(path)
    for old, new in ((" 1 1 2\n", " 1 1 2000000000\n"), (" 4 1\n", " 4000000000 1\n")):
        if old in text:
            path.write_text(text.replace(old, new))
            with pytest.raises(FormatError, match="declared atoms"):
                read_elf(path)


@pytest.mark.parametrize(
    ("name", "sound", "unsound"),
    [
        ("ELFCAR", "0.9000000000000000  0.1", "nan  0.1"),
        ("elf.cube", "    8    8.000000", "  119    8.000000"),
        ("elf.cube", "8.000000    ", "8.000000 nan "),
        ("elf.cube", "    4    0.0000000000", "    4    nan"),
        ("elf.xsf", "\n  8  ", "\n  999  "),
        ("elf.xsf", "\n  8  ", "\n  8 inf "),
        ("elf.xsf", "\n0.0 0.0 0.0\n", "\n0.0 nan 0.0\n"),
    ],
)
def test_unsound_atoms_are_refused(tmp_path, grid, name, sound, unsound):
    path = tmp_path / name
    write_elf(path, grid)
    text = path.read_text()
    assert sound in text
    path.write_text(text.replace(sound, unsound, 1))
    with pytest.raises(FormatError, match="NaN|atomic numbers"):
        read_elf(path)


@pytest.mark.parametrize("name", TEXT_NAMES)
@pytest.mark.parametrize("junk", ["*****", "0.12-10", "1_000", "abc", "\x00"])
def test_something_that_is_no_number_is_named(tmp_path, grid, name, junk):
    path = tmp_path / name
    write_elf(path, grid)
    number = path.read_text().split("\n")[-6 if name != "elf.xsf" else -8].split()[0]
    path.write_text(path.read_text().replace(number, junk))
    with pytest.raises(FormatError, match="number should|values|well-formed"):
        read_elf(path)


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"hello world\n", b"\x89PNG\r\n", b"{}" * 99])
def test_files_of_another_kind_are_refused(tmp_path, content):
    path = tmp_path / "something"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="readable are"):
        detect(path)
    compressed = tmp_path / "ELFCAR.gz"
    compressed.write_bytes(gzip.compress(b"x"))
    with pytest.raises(FormatError):
        read_elf(compressed)


def test_a_density_in_place_of_an_elf_is_refused_with_the_file_named(tmp_path):
    from ase.io.cube import write_cube

    with open(tmp_path / "rho.cube", "w") as fd:
        write_cube(fd, Atoms("H", cell=np.eye(3), pbc=True), data=np.full((2, 2, 2), 7.0))
    with pytest.raises(InputError, match="rho.cube.*not an ELF"):
        read_elf(tmp_path / "rho.cube")


def test_options_of_another_format_and_unknown_names_are_refused(tmp_path, grid):
    write_elf(tmp_path / "a.cube", grid)
    with pytest.raises(InputError, match="spin= applies to"):
        read_elf(tmp_path / "a.cube", spin="up")
    with pytest.raises(InputError, match="format 'vtk'"):
        read_elf(tmp_path / "a.cube", format="vtk")
    with pytest.raises(InputError, match="says no format"):
        write_elf(tmp_path / "a.vtk", grid)
    with pytest.raises(InputError, match="spin_down"):
        write_elf(tmp_path / "b.cube", grid, spin_down=grid)
    with pytest.raises(FileNotFoundError):
        read_elf(tmp_path / "missing.cube")


def test_a_failed_write_leaves_the_old_file(tmp_path, grid):
    path = tmp_path / "ELFCAR"
    write_elf(path, grid)
    before = path.read_bytes()
    other = ELFGrid(grid.values[:2], grid.atoms)
    with pytest.raises(InputError, match="does not belong"):
        write_elf(path, grid, spin_down=other)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["ELFCAR"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mangled_files_give_a_grid_or_an_error_of_ours(tmp_path_factory, data):
    cell = [[3.0, 0.2, -0.1], [1.1, 4.0, 0.3], [-0.7, 0.9, 5.3]]
    grid = ELFGrid(np.full((2, 3, 2), 0.25), Atoms("HO", cell=cell, pbc=True))
    path = tmp_path_factory.mktemp("mangled") / data.draw(st.sampled_from(TEXT_NAMES))
    write_elf(path, grid)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        stop = start + data.draw(st.integers(0, 12))
        content[start:stop] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"-1", b" 999999999999 ", b"nan", b"1e400", b"\n", b"0"])
        )
        if not content:
            break
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(FormatError, InputError):
            assert isinstance(read_elf(path), ELFGrid)


def test_published_files_of_qe_and_vasp_are_read(shared_data):
    folder = shared_data / "tcestime"
    h3s = read_elf(folder / "H3S-qe.cube")
    assert h3s.shape == (45, 45, 45)
    assert h3s.atoms.get_chemical_formula() == "H3S"
    # bcc sulphur: the ELF is close to 1 at every proton
    protons = h3s.atoms.positions[h3s.atoms.numbers == 1]
    assert h3s.sample(protons).min() > 0.98
    cayh = read_elf(folder / "CaYH20-vasp.ELFCAR")
    assert cayh.shape == (28, 28, 36)
    assert cayh.atoms.get_chemical_formula() == "H20CaY"
    hydrogens = cayh.atoms.positions[cayh.atoms.numbers == 1]
    assert cayh.sample(hydrogens).min() > 0.8
