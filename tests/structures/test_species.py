"""Elements: isotopes are their element, types are never guessed, what is given holds."""

import json

import h5py
import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner

from ase_elf.cli import main
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.structures.species import Species, element_of
from ase_elf.structures.trajectory import Trajectory

HEAD = '2\nLattice="3 0 0 0 3 0 0 0 3" '
DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 3
0 3
0 3
ITEM: ATOMS id {columns} x y z
1 {first} 0.1 0.1 0.1
2 {second} 0.1 0.1 1.1
"""
XSF = "CRYSTAL\nPRIMVEC\n 3 0 0\n 0 3 0\n 0 0 3\nPRIMCOORD\n2 1\n {0} 0.1 0.1 0.1\n {0} 0.1 0.1 1.1\n"
RES = """TITL x
CELL 1.5 3 3 3 90 90 90
{latt}
SFAC D
{0} 1 0.1000 0.1000 0.1000 {occ}
{0} 1 0.1000 0.1000 0.4000 {occ}
END
"""
PDB = """CRYST1    3.000    3.000    3.000  90.00  90.00  90.00 P 1
ATOM      1 {0:4s} MOL     1       0.100   0.100   0.100  {occ}  0.00          {1:>2s}
ATOM      2 {0:4s} MOL     1       0.100   0.100   1.100  {occ}  0.00          {1:>2s}
END
"""
CIF = """data_x
_cell_length_a 3
_cell_length_b 3
_cell_length_c 3
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{0}1 {0} 0.1 0.1 0.1 {occ}
{0}2 {0} 0.1 0.1 0.4 {occ}
"""
XDATCAR = "x\n1\n3 0 0\n0 3 0\n0 0 3\n{0}\n2\nDirect configuration= 1\n 0.1 0.1 0.1\n 0.1 0.1 0.4\n"
VASPRUN = (
    '<modeling><atominfo><array name="atoms"><set><rc><c>{0} </c></rc><rc><c>{0} </c></rc></set></array></atominfo>'
    '<calculation><structure><crystal><varray name="basis"><v>3 0 0</v><v>0 3 0</v><v>0 0 3</v></varray></crystal>'
    '<varray name="positions"><v>.1 .1 .1</v><v>.1 .1 .4</v></varray></structure></calculation></modeling>'
)


def one(tmp_path, name, text, **options):
    path = tmp_path / name
    path.write_text(text)
    (frame,) = Trajectory(path, **options)
    return frame.atoms


@pytest.mark.parametrize("label", ["D", "T", "H1", "H2", "H"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.extxyz", HEAD + "Properties=species:S:1:pos:R:3\n{0} 0.1 0.1 0.1\n{0} 0.1 0.1 1.1\n"),
        ("a.xyz", HEAD + "\n{0} 0.1 0.1 0.1\n{0} 0.1 0.1 1.1\n"),
        ("a.lammpstrj", DUMP.format(columns="type element", first="1 {0}", second="1 {0}")),
        ("a.xsf", XSF),
        ("a.res", RES.format("{0}", latt="LATT -1", occ="1.0")),
        ("a.pdb", PDB.replace("{1:", "{0:").replace("{occ}", "1.00")),
        ("a.cif", CIF.replace("{occ}", "1.0")),
        ("XDATCAR", XDATCAR),
        ("POSCAR", XDATCAR.replace("Direct configuration= 1", "Direct")),
        ("vasprun.xml", VASPRUN),
    ],
)
def test_isotopes_are_hydrogen_in_every_format(tmp_path, name, text, label):
    atoms = one(tmp_path, name, text.format(label))
    assert atoms.get_chemical_symbols() == ["H", "H"]
    assert atoms.get_distance(0, 1) == pytest.approx(1.0 if "1.1" in text else 0.9, abs=2e-3)


def test_ase_forgets_the_isotopes_it_was_told(tmp_path):
    one(tmp_path, "a.xyz", HEAD + "\nD 0 0 0\nD 0 0 1\n")
    with pytest.raises(KeyError):
        Atoms("D2")


@pytest.mark.parametrize(
    ("label", "symbol"),
    [
        ("H", "H"), ("h", "H"), ("AU", "Au"), ("D", "H"), ("t", "H"), ("2H", "H"), ("2h", "H"), ("H-2", "H"),
        ("H12", "H"),
        ("O2-", "O"), ("Na+", "Na"), ("Na_pv", "Na"), ("H_AE", "H"), ("H/3f1c", "H"), ("Na_pv/6a2f546d", "Na"),
        ("H1.25", None), ("H.5", None), ("1", None), ("Hw", None), ("HW", None), ("OW1", None), ("X", None), ("", None),
    ],
)  # fmt: skip
def test_a_label_names_an_element_or_none(label, symbol):
    assert element_of(label) == symbol


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", HEAD + "Properties=species:S:1:pos:R:3\n1 0.1 0.1 0.1\n2 0.1 0.1 1.1\n"),
        ("b.xyz", HEAD + "Properties=species:I:1:pos:R:3\n1 0.1 0.1 0.1\n2 0.1 0.1 1.1\n"),
        ("c.xyz", HEAD + "Properties=id:I:1:type:I:1:pos:R:3\n1 1 0.1 0.1 0.1\n2 2 0.1 0.1 1.1\n"),
        ("d.xyz", "2\nno properties\n1 0.1 0.1 0.1\n2 0.1 0.1 1.1\n"),
        ("a.lammpstrj", DUMP.format(columns="type", first="1", second="2")),
        ("dump.any", DUMP.format(columns="type q mol", first="1 .5 x", second="2 .5 x")),
        ("a.data", ("t\n\n2 atoms\n2 atom types\n0 3 xlo xhi\n0 3 ylo yhi\n0 3 zlo zhi\n\n"
                   "Atoms # atomic\n\n1 1 .1 .1 .1\n2 2 .1 .1 1.1\n")),
    ],
)  # fmt: skip
def test_types_are_refused_without_elements_and_take_those_given(tmp_path, name, text):
    with pytest.raises(InputError, match=rf"{name}.*type.*elements=") as caught:
        one(tmp_path, name, text)
    assert "--" not in str(caught.value)
    for elements in (("H", "Au"), ("D", "Au"), ("2=Au", "1=H")):
        assert one(tmp_path, name, text, elements=elements).get_chemical_symbols() == ["H", "Au"]
    with pytest.raises(InputError, match="of type 2, and no element is named for it"):
        one(tmp_path, name, text, elements=("H",))


def test_elements_that_no_type_asks_for_are_refused(tmp_path):
    for name, text in [
        ("a.xyz", HEAD + "\nH 0 0 0\nD 0 0 1\n"),
        ("a.lammpstrj", DUMP.format(columns="element", first="H", second="H")),
        ("XDATCAR", XDATCAR.format("H")),
    ]:
        with pytest.raises(InputError, match=r"names its own \(H\).*leave out elements="):
            one(tmp_path, name, text, elements=("Au",))


def test_elements_given_for_types_come_before_those_of_a_dump(tmp_path):
    text = DUMP.format(
        columns="type element", first="1 C", second="2 C"
    )  # LAMMPS writes C for what it is not told
    assert one(tmp_path, "a.lammpstrj", text, elements=("H", "Au")).get_chemical_symbols() == ["H", "Au"]


def test_labels_of_force_fields_take_elements(tmp_path):
    text = HEAD + "\nHW 0 0 0\nOW 0 0 1\n"
    with pytest.raises(InputError, match="'Hw' is no chemical symbol.*label=symbol"):
        one(tmp_path, "a.xyz", text)
    assert one(tmp_path, "a.xyz", text, elements=("HW=D", "OW=O")).get_chemical_symbols() == ["H", "O"]


@pytest.mark.parametrize("elements", [("Xx",), ("",), ("=H",), ("1=Q",), ("H", "1=Au")])
def test_elements_that_cannot_be_meant(tmp_path, elements):
    with pytest.raises(InputError, match="elements: "):
        one(tmp_path, "a.xyz", HEAD + "\n1 0 0 0\n1 0 0 1\n", elements=elements)


def test_masses_name_elements_only_where_they_are_theirs_and_that_is_said(tmp_path):
    text = DUMP.format(columns="type mass", first="1 2.014", second="2 196.97")
    with pytest.warns(ElfWarning, match="follow from masses: 196.97 is Au, 2.014 is H"):
        assert one(tmp_path, "a.lammpstrj", text).get_chemical_symbols() == ["H", "Au"]
    for mass in ("3.0", "100", "3.016"):  # heavy hydrogen for long time steps, coarse grains, T or He-3
        with pytest.raises(InputError, match=f"a mass of {mass} is not that of one element"):
            one(tmp_path, "a.lammpstrj", text.replace("2.014", mass))
    assert one(tmp_path, "a.lammpstrj", text, elements=("Li", "Au")).get_chemical_symbols() == ["Li", "Au"]


def test_names_of_atoms_in_a_pdb_file_count_where_they_are_beyond_doubt(tmp_path):
    assert one(tmp_path, "a.pdb", PDB.format(" H1", "", occ="1.00")).get_chemical_formula() == "H2"
    with pytest.raises(InputError, match="CA"):
        one(tmp_path, "a.pdb", PDB.format(" CA", "", occ="1.00"))
    assert (
        one(tmp_path, "a.pdb", PDB.format(" CA", "", occ="1.00"), elements=("CA=C",)).get_chemical_formula()
        == "C2"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.cif", CIF.format("H", occ="0.5")),
        ("a.cif", CIF.format("H", occ="0.75(2)")),
        ("a.res", RES.format("H", latt="LATT -1", occ="0.5")),
        ("a.res", RES.format("H", latt="LATT -1", occ="10.5")),
        ("a.pdb", PDB.format(" H", "H", occ="0.50")),
    ],
)
def test_sites_that_are_occupied_in_part_are_refused(tmp_path, name, text):
    with pytest.raises(InputError, match=f"{name}.*occupied.*arrangement"):
        one(tmp_path, name, text)


def test_full_sites_are_read_however_that_is_written(tmp_path):
    for name, text in [
        ("a.cif", CIF.format("H", occ="1.0")),
        ("a.cif", CIF.format("H", occ="1.0(1)")),
        ("a.res", RES.format("H", latt="LATT -1", occ="11.0")),
        ("a.pdb", PDB.format(" H", "H", occ="0.00")),  # programs without occupancies
    ]:
        assert len(one(tmp_path, name, text)) == 2


def test_a_site_of_two_elements_is_refused(tmp_path):
    text = CIF.format("H", occ="0.5") + "C1 C 0.1 0.1 0.1 0.5\n"
    with pytest.raises(InputError, match="H by 0.5.*arrangement"):
        one(tmp_path, "a.cif", text)


def test_symmetry_of_shelx_is_refused_rather_than_left_out(tmp_path):
    for latt in ("LATT 1", "LATT -1\nSYMM -X, -Y, Z"):
        with pytest.raises(InputError, match="asks for symmetry"):
            one(tmp_path, "a.res", RES.format("H", latt=latt, occ="1.0"))


def vaspout(path, *, steps=3, label=b"H_h/3f1c9a2b7d8e", scale=1.0, leave_out=()):
    """Groups and names as in py4vasp's definition of the file."""
    cell, points = np.diag([3.0, 3.0, 3.0]), np.array([[0.1, 0.1, 0.1], [0.1, 0.1, 0.4]])
    with h5py.File(path, "w") as file:
        final = file.create_group("results/positions")
        final["ion_types"], final["number_ion_types"] = np.array([label], "S16"), np.array([2])
        final["scale"], final["lattice_vectors"], final["position_ions"] = scale, cell, points
        if steps:
            run = file.create_group("intermediate/ion_dynamics")
            run["scale"] = scale
            run["lattice_vectors"] = np.array([cell * (1 + 0.1 * k) for k in range(steps)])
            run["position_ions"] = np.array([points + 0.01 * k for k in range(steps)])
        for name in leave_out:
            del file[name]
    return path


def test_ionic_steps_of_vaspout_are_frames(tmp_path):
    path = vaspout(tmp_path / "vaspout.h5", scale=2.0)
    source = Trajectory(path, 1, None, 1, timestep=0.5)
    frames = list(source)
    assert source.count() == 2 and [frame.index for frame in frames] == [1, 2]
    assert [frame.time_fs for frame in frames] == [0.5, 1.0]
    assert frames[1].atoms.get_chemical_formula() == "H2" and frames[1].atoms.pbc.all()
    np.testing.assert_allclose(frames[1].atoms.cell.lengths(), 2 * 3 * 1.2)
    np.testing.assert_allclose(frames[1].atoms.get_scaled_positions(), [[0.12] * 3, [0.12, 0.12, 0.42]])


def test_vaspout_without_steps_is_one_structure_under_any_name(tmp_path):
    (frame,) = Trajectory(vaspout(tmp_path / "one.hdf5", steps=0, label=b"D"))
    assert frame.atoms.get_chemical_formula() == "H2"
    np.testing.assert_allclose(frame.atoms.get_distance(0, 1), 0.9)


def test_vaspout_that_lacks_something_says_what(tmp_path):
    for missing, message in [
        (["results/positions/ion_types"], "names no elements"),
        (["results/positions/position_ions"], "holds no positions"),
        (["results/positions/lattice_vectors"], "lattice_vectors"),
    ]:
        path = vaspout(tmp_path / "vaspout.h5", steps=0, leave_out=missing)
        with pytest.raises(FormatError, match=f"vaspout.h5.*{message}"):
            list(Trajectory(path))
    path = vaspout(tmp_path / "vaspout.h5")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(FormatError, match="vaspout.h5"):
        list(Trajectory(path))


def analyze(tmp_path, path, *options):
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    done = CliRunner().invoke(main, ["analyze", str(path), "-o", str(out), "--no-report", *options])
    summary = out / "summary.json"
    return done, json.loads(summary.read_text()) if summary.exists() else None


def test_the_command_names_its_options_not_those_of_python(tmp_path):
    path = tmp_path / "a.lammpstrj"
    path.write_text(DUMP.format(columns="type", first="1", second="1"))
    done, summary = analyze(tmp_path, path)
    assert done.exit_code == 1 and summary is None
    assert "--elements" in done.output and "elements=" not in done.output
    done, summary = analyze(tmp_path, path, "--elements", "H")
    assert done.exit_code == 0 and summary["composition"] == {"H": 2}


def test_frames_before_a_cut_are_analysed_and_the_command_fails(tmp_path):
    frames = DUMP.format(columns="element", first="H", second="H")
    path = tmp_path / "run.lammpstrj"
    path.write_text(frames * 2 + frames[:-16])
    done, summary = analyze(tmp_path, path)
    assert done.exit_code == 1 and "frame 2" in done.output
    assert summary["frames"] == 2 and summary["status"] != "complete" and "frame 2" in summary["stopped_by"]


def test_species_is_false_where_nothing_is_given():
    assert not Species() and Species(("H",))
