"""Dialects of grid files: packed, as Fortran writes numbers, in other units, windows, several grids."""

import bz2
import gzip
import lzma
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr
from command import call
from elf_files import CELL, field

from ase_elf import read_elf, write_elf
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.formats import detect, holds_elf
from ase_elf.formats.doubts import refuse_density
from ase_elf.formats.numbers import number
from ase_elf.formats.species import element_of
from ase_elf.grid import ELFGrid

PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
NAMES = ("ELFCAR", "elf.cube", "elf.xsf")


@pytest.fixture
def grid():
    """A hydrogen molecule in an oblique cell."""
    positions = [(0.2, 0.3, 0.4), (0.2, 0.3, 1.14)]
    atoms = Atoms("H2", positions, cell=CELL, pbc=True)
    return ELFGrid(field((12, 10, 14), positions, CELL), atoms)


# Packed files


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", [*NAMES, "frame.h5"])
def test_packed_files_read_as_unpacked_ones(tmp_path, grid, name, suffix):
    write_elf(tmp_path / name, grid)
    packed = tmp_path / "packed" / (name + suffix)
    packed.parent.mkdir()
    packed.write_bytes(PACKERS[suffix]((tmp_path / name).read_bytes()))
    assert detect(packed) == detect(tmp_path / name) and holds_elf(packed)
    np.testing.assert_array_equal(read_elf(packed).values, read_elf(tmp_path / name).values)


@pytest.mark.parametrize("suffix", PACKERS)
def test_the_content_says_how_a_file_is_packed_not_its_name(tmp_path, grid, suffix):
    write_elf(tmp_path / "elf.cube", grid)
    path = tmp_path / "field.dat"
    path.write_bytes(PACKERS[suffix]((tmp_path / "elf.cube").read_bytes()))
    np.testing.assert_array_equal(read_elf(path).values, read_elf(tmp_path / "elf.cube").values)


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", [*NAMES, "frame.h5"])
def test_a_packed_file_cut_anywhere_is_an_error(tmp_path, grid, name, suffix):
    write_elf(tmp_path / name, grid)
    whole = PACKERS[suffix]((tmp_path / name).read_bytes())
    path = tmp_path / (name + suffix)
    for cut in range(0, len(whole) - 20, len(whole) // 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError, match=name):
            read_elf(path)


def test_other_packers_are_named(tmp_path):
    (tmp_path / "ELFCAR.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 40)
    with pytest.raises(FormatError, match="packed with zstd; read are .* gzip, bzip2 and xz"):
        read_elf(tmp_path / "ELFCAR.zst")


def test_a_packed_file_that_unpacks_without_end_is_refused(tmp_path):
    head = b"\x89HDF\r\n\x1a\n" + bytes(200 * 2**20)
    (tmp_path / "frame.h5.xz").write_bytes(lzma.compress(head, preset=0))
    with pytest.raises(FormatError, match="unpacks to more than"):
        read_elf(tmp_path / "frame.h5.xz")


# Numbers of Fortran


@pytest.mark.parametrize(
    ("word", "value"),
    [("9.0D-01", 0.9), ("9.0d-01", 0.9), ("0.33004-101", 0.33004e-101), ("1.5+101", 1.5e101),
     ("1.D0", 1), ("5.Q-1", 0.5), ("-1.0-300", -1e-300), (".5D+0", 0.5), ("7", 7)],
)  # fmt: skip
def test_numbers_as_fortran_writes_them(word, value):
    assert number(word) == pytest.approx(value, rel=1e-12, abs=0)


@pytest.mark.parametrize("word", ["****", "1_0", "0.5-0.25", "1.0-10", "D", "1E", "", "0.5-1000", "x"])
def test_what_is_no_number_is_no_number(word):
    with pytest.raises(ValueError):
        number(word)


@pytest.mark.parametrize("name", NAMES)
def test_other_letters_and_lost_ones_in_a_grid(tmp_path, grid, name):
    values = grid.values.copy()
    values[0, 0, 0] = values[-1, -1, -1] = 3e-12  # rewritten below
    write_elf(tmp_path / name, ELFGrid(values, grid.atoms))
    text = (tmp_path / name).read_text()
    assert "2.99999999E-12" in text or "3.00000001E-12" in text
    for small in ("2.99999999E-12", "3.00000001E-12"):
        text = text.replace(small, "0.33004-101")
    (tmp_path / name).write_text(text.replace("E-01", "D-01").replace("E-02", "d-02"))
    back = read_elf(tmp_path / name).values
    assert back[0, 0, 0] == back[-1, -1, -1] == 0
    inner = (slice(1, -1),) * 3
    np.testing.assert_array_equal(back[inner], values[inner])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("junk", ["************", "NaN", "Infinity", "1.0+300", "0,5", "0.5-0.25"])
def test_what_is_no_number_is_named_with_its_place(tmp_path, grid, name, junk):
    write_elf(tmp_path / name, grid)
    lines = (tmp_path / name).read_text().split("\n")
    at = next(k for k, line in enumerate(lines) if k > 30 and len(line.split()) > 3)
    lines[at] = lines[at].replace(lines[at].split()[2], junk)
    (tmp_path / name).write_text("\n".join(lines))
    import re

    with pytest.raises(
        FormatError, match=rf"{name}: '{re.escape(junk)}' .* value \d+ of \d+, line {at + 1}\b"
    ):
        read_elf(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_headers_may_have_fortran_numbers_and_windows_line_ends(tmp_path, grid, name):
    write_elf(tmp_path / name, grid)
    text = (tmp_path / name).read_text().replace("1.0000000000000000", "0.1D+01", 1)
    (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode())
    back = read_elf(tmp_path / name)
    np.testing.assert_array_equal(back.values, grid.values)
    np.testing.assert_allclose(back.cell, grid.cell, atol=1e-8)


@pytest.mark.parametrize("name", ["ELFCAR", "elf.cube"])
def test_a_last_number_that_was_cut_is_not_a_number(tmp_path, grid, name):
    write_elf(tmp_path / name, grid)
    whole = (tmp_path / name).read_text().rstrip()
    (tmp_path / name).write_text(whole)  # no end of line, but whole
    np.testing.assert_array_equal(read_elf(tmp_path / name).values, grid.values)
    for digits in range(1, len(whole.split()[-1])):
        (tmp_path / name).write_text(whole[:-digits])
        with pytest.raises(FormatError, match="within the last of 1680 values|no number|where a number"):
            read_elf(tmp_path / name)


# Units and windows of cube files


def cube_text(values, cell, atoms, *, scale=1 / Bohr, negative=False, origin=(0, 0, 0), title="t"):
    """A cube file whose lengths are Å times ``scale``."""
    lines = [title, "ELF", "{:5d} {:.8f} {:.8f} {:.8f}".format(len(atoms), *np.array(origin) * scale)]
    for n, vector in zip(values.shape, cell, strict=True):
        lines.append(f"{-n if negative else n:5d} " + " ".join(f"{x:.10f}" for x in vector / n * scale))
    for z, xyz in zip(atoms.numbers, atoms.positions, strict=True):
        lines.append(f"{z} {z}.0 " + " ".join(f"{x:.10f}" for x in xyz * scale))
    for column in values.reshape(-1, values.shape[2]):
        lines.append(" ".join(f"{x:.6E}" for x in column))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("origin", [(0, 0, 0), (-1.0, -0.5, 0.2)])
def test_negative_counts_mean_lengths_in_angstrom_and_are_said(tmp_path, grid, origin):
    path = tmp_path / "neg.cube"
    moved = grid.atoms.copy()
    moved.translate(origin)
    path.write_text(cube_text(grid.values, CELL, moved, scale=1, negative=True, origin=origin))
    with pytest.warns(ElfWarning, match="negative .*origin and atoms in Å"):
        back = read_elf(path)
    np.testing.assert_allclose(back.atoms.positions, grid.atoms.positions, atol=1e-6)
    np.testing.assert_allclose(back.cell, CELL, atol=1e-6)
    path.write_text(cube_text(grid.values, CELL, moved, origin=origin))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(read_elf(path).atoms.positions, grid.atoms.positions, atol=1e-6)


def test_atoms_stay_in_bohr_where_only_that_fits_the_box(tmp_path, grid):
    text = cube_text(grid.values, CELL, grid.atoms, scale=1, negative=True).splitlines()
    for k, xyz in zip((6, 7), ([1.0, 3.5, 4.0], [1.0, 3.5, 4.4]), strict=True):  # bohr
        text[k] = "1 1.0 " + " ".join(map(str, xyz))
    (tmp_path / "mixed.cube").write_text("\n".join(text))
    with pytest.warns(ElfWarning, match="atoms in bohr"):
        back = read_elf(tmp_path / "mixed.cube")
    np.testing.assert_allclose(back.atoms.positions[0], np.array([1.0, 3.5, 4.0]) * Bohr, atol=1e-6)


def test_a_window_of_a_molecule_is_no_cell(tmp_path):
    cell = np.diag([6.0, 6.0, 6.0])
    positions = np.array([(2.5, 3, 3), (3.5, 3, 3), (4.6, 3, 3)])
    whole = field((40, 40, 40), positions, cell, width=0.5)
    window = whole[8:24, 12:30, 12:30]
    atoms = Atoms("H3", positions)
    path = tmp_path / "window.cube"
    span = np.diag([2.4, 2.7, 2.7])
    path.write_text(cube_text(window, span, atoms, origin=(1.2, 1.8, 1.8)))
    with pytest.warns(
        ElfWarning, match="no cell but a window.* 1 of 3 atoms lie outside of it and are left out"
    ):
        back = read_elf(path)
    assert len(back.atoms) == 2  # the third is not folded in
    output = call("topology", path)
    assert "no cell but a window" in output and str(path) in output


def test_atoms_outside_of_a_box_are_said_unless_the_writer_is_known(tmp_path, grid):
    outside = grid.atoms.copy()
    outside.positions[1] -= CELL[2]
    path = tmp_path / "a.cube"
    path.write_text(cube_text(grid.values, CELL, outside, title="by somebody"))
    with pytest.warns(ElfWarning, match="taken for a cell; 1 of 2 atoms lie outside"):
        assert len(read_elf(path).atoms) == 2
    path.write_text(cube_text(grid.values, CELL, outside, title="Cubfile created from PWScf calculation"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_elf(path)


@pytest.mark.parametrize("roll", range(0, 14, 3))
def test_a_periodic_field_is_no_window_wherever_it_begins(tmp_path, grid, roll):
    rolled = np.roll(grid.values, (roll, roll, roll), (0, 1, 2))
    (tmp_path / "a.cube").write_text(cube_text(rolled, CELL, grid.atoms))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_elf(tmp_path / "a.cube")


def test_the_command_drops_repeated_end_planes_as_its_warning_says(tmp_path, grid):
    closed = np.pad(grid.values, (0, 1), mode="wrap")
    cell = CELL * (np.array(closed.shape) / grid.shape)[:, None]
    path = tmp_path / "closed.cube"
    path.write_text(cube_text(closed, cell, grid.atoms))
    output = call("topology", path)
    assert "--end-plane drop" in output and "repeated_end_plane" not in output
    assert "13 x 11 x 15" in output
    dropped = call("topology", path, "--end-plane", "drop")
    assert "12 x 10 x 14" in dropped and "--end-plane" not in dropped
    with pytest.warns(ElfWarning, match="repeated_end_plane=True") as said:
        read_elf(path)
    assert "--" not in str(said[0].message)


# Several grids, several values per point


def several(tmp_path, grid, *names):
    """An XSF file of as many grids, the ELF being the last."""
    write_elf(tmp_path / "one.xsf", grid)
    head, rest = (tmp_path / "one.xsf").read_text().split("BEGIN_DATAGRID_3D_ELF\n")
    body, tail = rest.split("END_DATAGRID_3D\n")
    other = body.replace("E-01", "E-02")
    text = head + "".join(f"DATAGRID_3D_{name}\n{other}END_DATAGRID_3D\n" for name in names[:-1])
    path = tmp_path / "several.xsf"
    path.write_text(text + f"BEGIN_DATAGRID_3D_{names[-1]}\n{body}END_DATAGRID_3D\n" + tail)
    return path


def test_of_several_grids_the_elf_is_read_and_said(tmp_path, grid):
    path = several(tmp_path, grid, "density", "elf")
    with pytest.warns(ElfWarning, match="2 data grids .1: density, 2: elf.; elf is read. Choose with grid="):
        back = read_elf(path)
    np.testing.assert_array_equal(back.values, grid.values)
    for choice in ("elf", "ELF", 2, "2"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(read_elf(path, grid=choice).values, grid.values)
    other = read_elf(path, grid="density")
    assert other.info["grid"] == "density" and other.values.max() < 0.2
    with pytest.raises(InputError, match="grid = 'spin'; the file holds 1: density, 2: elf"):
        read_elf(path, grid="spin")


@pytest.mark.parametrize(("names", "read"), [(("up", "down"), "up"), (("rho", "x"), "x"), (("a", "b"), "a")])
def test_what_is_read_without_a_grid_called_elf(tmp_path, grid, names, read):
    path = several(tmp_path, grid, *names)
    output = call("topology", path)
    assert f"{read} is read. Choose with --grid" in output and "grid=" not in output
    assert "Choose with --grid" not in call("topology", path, "--grid", names[1])


def test_values_at_a_point_of_a_cube_are_chosen_by_name_or_number(tmp_path, grid):
    lines = cube_text(grid.values, CELL, grid.atoms).splitlines()
    lines[2] = "-" + lines[2].lstrip()
    both = np.stack([grid.values * 0.5, grid.values], -1).reshape(-1)
    text = "\n".join([*lines[:8], "2 17", "18", *(f"{x:.6E}" for x in both)])
    path = tmp_path / "two.cube"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"2 values per grid point \(17, 18\)"):
        read_elf(path)
    for choice in (2, "18"):
        np.testing.assert_allclose(read_elf(path, grid=choice).values, grid.values, atol=1e-6)
    assert "--grid" in call("topology", path, code=1)
    with pytest.raises(InputError, match="holds 17, 18"):
        read_elf(path, grid=3)


def test_an_animation_with_a_grid_does_not_say_whose_it_is(tmp_path, grid):
    write_elf(tmp_path / "one.xsf", grid)
    text = (tmp_path / "one.xsf").read_text()
    (tmp_path / "one.xsf").write_text("ANIMSTEPS 3\n" + text)
    with pytest.raises(FormatError, match="3 structures .ANIMSTEPS."):
        read_elf(tmp_path / "one.xsf")


@pytest.mark.parametrize("name", ["elf.cube", "elf.xsf"])
def test_more_values_than_declared_are_noticed(tmp_path, grid, name):
    write_elf(tmp_path / name, grid)
    text = (tmp_path / name).read_text()
    text = text.replace("END_DATAGRID_3D", "0.5 0.5\nEND_DATAGRID_3D") if "xsf" in name else text + "0.5\n"
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match="goes on"):
        read_elf(tmp_path / name)


# Elements


@pytest.mark.parametrize(
    ("label", "element"),
    [("H", "H"), ("D", "H"), ("T", "H"), ("H1", "H"), ("H_pv", "H"), ("H/", "H"), ("2H", "H"),
     ("H_h/0fc7481fb069", "H"), ("Ga_d/a60ddf36e", "Ga"), ("la", "La"), ("Na_pv", "Na")],
)  # fmt: skip
def test_labels_of_species(label, element):
    assert element_of(label) == element


@pytest.mark.parametrize("label", ["H.75", "H1.25", "Xx", "PAW_PBE", "12", "", "X"])
def test_labels_that_name_no_element(label):
    with pytest.raises(FormatError, match="is no element"):
        element_of(label)


def elfcar(tmp_path, grid, species, title="H"):
    write_elf(tmp_path / "ELFCAR", grid)
    lines = (tmp_path / "ELFCAR").read_text().splitlines(keepends=True)
    lines[0] = title + "\n"
    lines[5:6] = [species + "\n"] if species is not None else []
    (tmp_path / "ELFCAR").write_text("".join(lines))
    return tmp_path / "ELFCAR"


@pytest.mark.parametrize("species", ["H_h", " D ", "H/3f1c9a2b", "H_pv/0fc7481fb069", "H1"])
def test_species_lines_with_names_of_potentials_and_isotopes(tmp_path, grid, species):
    path = elfcar(tmp_path, grid, species)
    assert read_elf(path).atoms.get_chemical_formula() == "H2"


@pytest.mark.parametrize("title", ["Cs-IV hydrogen", "NPT", "dense hydrogen 500 GPa", "", "H H", "H2"])
def test_a_free_title_names_no_elements(tmp_path, grid, title):
    path = elfcar(tmp_path, grid, None, title)
    with pytest.raises(FormatError, match="names no elements.*elements=") as error:
        read_elf(path)
    assert "--" not in str(error.value)
    output = call("topology", path, code=1)
    assert "--elements" in output and "elements=" not in output
    assert "H2, 12 x 10 x 14" in call("topology", path, "--elements", "D")
    assert read_elf(path, elements=["H"]).atoms.get_chemical_formula() == "H2"
    with pytest.raises(InputError, match="2 elements are given .H, O. for the 1 species"):
        read_elf(path, elements=["H", "O"])


def test_a_title_that_lists_the_elements_does(tmp_path, grid):
    assert read_elf(elfcar(tmp_path, grid, None, "  H  ")).atoms.get_chemical_formula() == "H2"


def test_unequal_numbers_of_species_and_counts_are_refused(tmp_path, grid):
    with pytest.raises(FormatError, match="2 elements .H O. and 1 numbers"):
        read_elf(elfcar(tmp_path, grid, "H O"))


# What is no ELF


def test_a_density_below_one_is_no_elf(tmp_path):
    cell = np.diag([4.0, 4.0, 4.0])
    atoms = Atoms("H2", [(2, 2, 1.63), (2, 2, 2.37)], cell=cell, pbc=True)
    density = field((24, 24, 24), atoms.positions, cell, width=0.5) - 0.02
    density *= 2 / (density.mean() * 64 / Bohr**3)
    assert density.max() < 0.9
    path = tmp_path / "h2.cube"
    path.write_text(cube_text(density, cell, atoms, title="some field"))
    with pytest.raises(InputError, match="add up to 2 electrons .* not an ELF"):
        read_elf(path)
    assert "not an ELF" in call("topology", path, code=1)
    # One whose atoms have more electrons than its pseudopotentials keep says what it is.
    with pytest.raises(InputError, match="a density"):
        refuse_density(density, cell, np.array([1.1, 1.1]), "Total electron density")
    refuse_density(density, cell, np.array([1.1, 1.1]), "ELF of the density")


def test_values_above_one_are_rounding_up_to_a_thousandth(tmp_path, grid):
    values = grid.values.copy()
    values[0, 0, 0] = 0.9999
    write_elf(tmp_path / "ELFCAR", ELFGrid(values, grid.atoms))
    text = (tmp_path / "ELFCAR").read_text()
    (tmp_path / "ELFCAR").write_text(text.replace("9.99899983E-01", "1.00050000E+00"))
    with pytest.warns(ElfWarning, match="ELFCAR: ELF values run .*clipped"):
        assert read_elf(tmp_path / "ELFCAR").values.max() == 1
    (tmp_path / "ELFCAR").write_text(text.replace("9.99899983E-01", "1.20000000E+00"))
    with pytest.raises(InputError, match="ELFCAR: .* not an ELF"):
        read_elf(tmp_path / "ELFCAR")


def test_a_structure_without_a_grid_is_said_to_be_one(tmp_path, grid):
    from ase.io import write

    write(tmp_path / "POSCAR", grid.atoms, format="vasp")
    assert not holds_elf(tmp_path / "POSCAR")
    with pytest.raises(FormatError, match="holds a structure and no grid"):
        read_elf(tmp_path / "POSCAR")
    write(tmp_path / "plain.xsf", grid.atoms)
    assert not holds_elf(tmp_path / "plain.xsf")
    (tmp_path / "other").write_text((tmp_path / "POSCAR").read_text() + "\n 2 2 2\n" + "0.5 " * 8)
    assert holds_elf(tmp_path / "other")
    assert not holds_elf(tmp_path / "nothing") and not holds_elf(tmp_path)


def test_an_xyz_file_of_type_numbers_is_no_cube(tmp_path):
    path = tmp_path / "types.xyz"
    rows = "".join(f"1 {0.1 * k:.6f} 0.5 1.25\n" for k in range(8))
    path.write_text(f'8\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\n{rows}')
    assert not holds_elf(path)
