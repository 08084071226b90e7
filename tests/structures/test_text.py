"""Text of trajectories: what is cut is found, what is whole is read, in any compression."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from ase_elf.errors import FormatError, InputError
from ase_elf.structures.endings import is_cut_short
from ase_elf.structures.trajectory import Trajectory

PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}

N_FRAMES, N_ATOMS = 4, 8


def positions(frame):
    return np.random.default_rng(frame).uniform(0.1, 2.7, (N_ATOMS, 3))


def extxyz(label="H"):
    rows = []
    for k in range(N_FRAMES):
        rows.append(f'{N_ATOMS}\nLattice="2.8 0 0 0.2 2.7 0 -0.3 0.25 2.9" Properties=species:S:1:pos:R:3')
        rows += [f"{label} {x:.8f} {y:.8f} {z:.8f}" for x, y, z in positions(k)]
    return "\n".join(rows) + "\n"


def dump(columns="element x y z", label="H", steps=range(0, 40, 10), bounds="xy xz yz pp pp pp"):
    rows = []
    for k, step in enumerate(steps):
        rows += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(N_ATOMS)]
        rows += [f"ITEM: BOX BOUNDS {bounds}", "-0.3 3.0 0.2", "0.0 2.95 -0.3", "0.0 2.9 0.25"]
        rows.append(f"ITEM: ATOMS id {columns}")
        rows += [f"{n + 1} {label} {x:.6g} {y:.6g} {z:.6g}" for n, (x, y, z) in enumerate(positions(k))]
    return "\n".join(rows) + "\n"


def xdatcar(names=" H ", *, variable=True, row="  {:.8f}  {:.8f}  {:.8f}"):
    rows = []
    for k in range(N_FRAMES):
        if variable or k == 0:
            size = 1 + 0.01 * k
            rows += [
                "title",
                " 1.0",
                f"{2.8 * size} 0 0",
                f"{0.2 * size} {2.7 * size} 0",
                f"0 0 {2.9 * size}",
            ]
            rows += [names, f"  {N_ATOMS}"]
        rows.append(f"Direct configuration= {k + 1:5d}")
        rows += [row.format(*point) for point in positions(k) / 4]
    return "\n".join(rows) + "\n"


def vasprun(*, label="H "):
    atoms = "".join(f"<rc><c>{label}</c><c> 1</c></rc>" for _ in range(N_ATOMS))
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
    text += f'<atominfo><array name="atoms"><set>{atoms}</set></array></atominfo>\n'
    for k in range(N_FRAMES):
        rows = "\n".join(f"<v> {x:.8f} {y:.8f} {z:.8f} </v>" for x, y, z in positions(k) / 4)
        text += (
            '<calculation>\n<structure><crystal><varray name="basis"><v> 2.8 0 0 </v><v> 0.2 2.7 0 </v><v> 0 0 2.9 </v>'
            f'</varray></crystal>\n<varray name="positions">\n{rows}\n</varray></structure>\n'
            '<energy><i name="e_fr_energy"> -1.0 </i></energy>\n</calculation>\n'
        )
    return text + "</modeling>\n"


def pdb():
    rows = ["CRYST1    2.800    2.700    2.900  90.00  90.00  90.00 P 1"]
    for k in range(N_FRAMES):
        rows.append(f"MODEL     {k + 1}")
        rows += [
            f"ATOM  {n + 1:5d}  H   MOL     1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           H  "
            for n, (x, y, z) in enumerate(positions(k))
        ]
        rows.append("ENDMDL")
    return "\n".join(rows) + "\n"


TEXTS = {
    "run.extxyz": extxyz,
    "run.lammpstrj": dump,
    "XDATCAR": xdatcar,
    "XDATCAR_fixed": lambda: xdatcar(variable=False),
    "vasprun.xml": vasprun,
    "run.pdb": pdb,
}


def read(path, **options):
    """Frames before the damage, and the message of what stopped them."""
    frames = []
    try:
        for frame in Trajectory(path, **options):
            frames.append(frame)  # noqa: PERF402 - those before the error
    except FormatError as error:
        return frames, str(error)
    return frames, ""


def pack(path, text, suffix):
    path = path.with_name(path.name + suffix)
    path.write_bytes(PACK[suffix](text.encode()))
    return path


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", TEXTS)
def test_whole_files_are_read_in_any_compression_and_with_any_line_ends(tmp_path, name, suffix):
    text = TEXTS[name]()
    texts = [text, text.replace("\n", "\r\n"), text + "\n  \n", text.rstrip("\n")]
    for whole in texts if name != "vasprun.xml" else texts[:2]:
        frames, message = read(pack(tmp_path / name, whole, suffix))
        assert (len(frames), message) == (N_FRAMES, "")
        assert frames[-1].atoms.get_chemical_formula() == f"H{N_ATOMS}" and frames[-1].atoms.pbc.all()


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("cut", ["digits", "row", "rows"])
def test_frames_before_a_cut_are_kept_and_the_message_names_the_frame(tmp_path, name, suffix, cut):
    text = TEXTS[name]().rstrip("\n")
    if name in ("vasprun.xml", "run.pdb"):
        text = text[: text.rindex("\n", 0, text.rindex("</modeling>") if "xml" in name else None)]
        text = text.removesuffix("</calculation>").rstrip("\n")
    text = {"digits": text[:-4], "row": text[:-20], "rows": text[:-70]}[cut]
    frames, message = read(pack(tmp_path / name, text, suffix))
    assert len(frames) == N_FRAMES - 1
    assert f"frame {N_FRAMES - 1}" in message and name in message


def test_a_last_number_cut_to_its_point_is_no_number(tmp_path):
    text = xdatcar().rstrip("\n")
    path = tmp_path / "XDATCAR"
    path.write_text(text[: text.rindex(".") + 1])
    frames, message = read(path)
    assert len(frames) == 3 and "ends within frame 3" in message


@pytest.mark.parametrize("name", ["run.extxyz.gz", "XDATCAR.gz", "run.lammpstrj.xz", "run.extxyz.xz"])
def test_an_archive_that_was_cut_yields_the_frames_it_still_holds(tmp_path, name):
    stem, _, suffix = name.rpartition(".")
    packed = PACK[f".{suffix}"](TEXTS[stem]().encode())
    (tmp_path / name).write_bytes(packed[: int(0.8 * len(packed))])
    frames, message = read(tmp_path / name)
    assert 1 <= len(frames) < N_FRAMES
    assert f"at frame {len(frames)}" in message and "ended before" in message


def test_an_archive_of_which_nothing_is_left_says_so(tmp_path):
    packed = bz2.compress(dump().encode())
    (tmp_path / "run.lammpstrj.bz2").write_bytes(packed[: len(packed) // 2])
    frames, message = read(tmp_path / "run.lammpstrj.bz2")
    assert not frames and "ended before" in message


@pytest.mark.parametrize(
    ("rows", "cut"),
    [
        (["H 0.123 0.123\n", "H 0.123 0.123"], False),
        (["H 0.123 0.123\n", "H 0.123 10.12"], True),  # all have three decimals
        (["H 1.59522 0.619157\n", "H 3.41672 12.3456"], False),  # %g: six digits
        (["H 1.59522 0.619157\n", "H 3.41672 12.345"], True),
        (["H 1.0e-05 2.50e-05\n", "H 1.0e-05 2.50e-0"], True),
        (["H 0 0 0\n", "H 0 0 1"], False),
        (["H 0 0 0\n", "H 0 0 0.74"], False),
        (["H 0 0 0.74\n", "H 0 0 0"], True),
        (["H 0 0\n", "H 0"], True),
        (["0.5 0.5 0.5 Au\n", "0.5 0.5 0.5 A"], True),
        (["H 0.12345 0.12345 0.12"], True),  # one atom: as its other coordinates
        (["H 0.12345 0.12345 0.12\n"], False),
    ],
)
def test_a_row_without_its_end_is_complete_if_it_has_the_digits_of_the_others(rows, cut):
    assert is_cut_short(rows) == cut


@pytest.mark.parametrize("name", ["run.extxyz", "run.lammpstrj"])
def test_a_frame_cut_by_a_restart_is_named(tmp_path, name):
    text = TEXTS[name]()
    frame = len(text) // N_FRAMES
    for length in range(frame + 20, 2 * frame - 20, 31):
        (tmp_path / name).write_text(text[:length] + text)
        frames, message = read(tmp_path / name)
        assert len(frames) == 1 and "frame 1" in message


def test_a_dump_names_what_a_frame_lacks(tmp_path):
    path = tmp_path / "run.lammpstrj"
    for text, message in [
        (dump("element x y zs"), "columns id element x y zs hold no positions; accepted are x y z; xs ys zs"),
        (dump().replace("ITEM: NUMBER OF ATOMS\n8\n", ""), "NUMBER OF ATOMS' is missing"),
        (dump().replace(f"ATOMS\n{N_ATOMS}", "ATOMS\n9"), "holds 8 of 9 declared atoms"),
    ]:
        path.write_text(text)
        assert message in read(path)[1] and "frame 0" in read(path)[1]


@pytest.mark.parametrize(
    "text",
    [
        xdatcar(" H/ "),
        xdatcar(" H/3f1c9a2b7d8e "),
        xdatcar(row=" {:.8f}  {:.8f}  {:.8f} H"),
        xdatcar().replace("Direct", "\nDirect"),
        xdatcar(" D "),
        xdatcar(" H_h", variable=False),
    ],
)
def test_dialects_of_xdatcar_are_read(tmp_path, text):
    (tmp_path / "XDATCAR").write_text(text)
    frames, message = read(tmp_path / "XDATCAR")
    assert not message
    for frame in frames:
        assert frame.atoms.get_chemical_formula() == "H8"
        np.testing.assert_allclose(frame.atoms.get_scaled_positions(), positions(frame.index) / 4, atol=1e-8)


@pytest.mark.parametrize("variable", [True, False])
def test_numbers_glued_by_their_signs_are_three(tmp_path, variable):
    text = xdatcar(variable=variable, row=" -1{:.8f}-1{:.8f}-1{:.8f}")
    (tmp_path / "XDATCAR").write_text(text)
    frames, message = read(tmp_path / "XDATCAR")
    assert len(frames) == N_FRAMES and not message
    np.testing.assert_allclose(
        frames[1].atoms.get_scaled_positions(wrap=False), -10 - positions(1) / 4, atol=1e-8
    )
    (tmp_path / "XDATCAR").write_text(text.replace("-1", "1"))  # where one number ends nobody can tell
    assert "holds no three coordinates" in read(tmp_path / "XDATCAR")[1]


def test_a_negative_scale_is_the_volume(tmp_path):
    (tmp_path / "XDATCAR").write_text(xdatcar().replace(" 1.0\n", " -20\n"))
    assert [round(f.atoms.get_volume(), 6) for f in Trajectory(tmp_path / "XDATCAR")] == [20.0] * N_FRAMES


POSCAR = """{title}
 1.0
 2.2 0.0 0.0
 0.3 2.0 0.0
 0.1 0.2 2.4
{names} 1 1
Direct
 0.10 0.10 0.10
 0.50 0.50 0.50
"""


@pytest.mark.parametrize("title", ["Cs-IV hydrogen", "NPT", "H", "He Li", "dense hydrogen 500 GPa", ""])
@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR.gz", "a.vasp"])
def test_a_title_names_no_elements(tmp_path, title, name):
    path = tmp_path / name
    pack(
        tmp_path / name.removesuffix(".gz"),
        POSCAR.format(title=title, names=""),
        ".gz" if "gz" in name else "",
    )
    with pytest.raises(InputError, match=f"{name}.*no line of element names.*elements="):
        list(Trajectory(path))
    (frame,) = Trajectory(path, elements=("H", "Au"))
    assert frame.atoms.get_chemical_symbols() == ["H", "Au"]


def test_a_poscar_that_ends_within_a_number_is_refused(tmp_path):
    text = POSCAR.format(title="t", names="H He\n").rstrip("\n")
    (tmp_path / "POSCAR").write_text(text)
    assert len(list(Trajectory(tmp_path / "POSCAR"))) == 1
    (tmp_path / "POSCAR").write_text(text[:-1])
    assert "ends within the last number" in read(tmp_path / "POSCAR")[1]
    (tmp_path / "POSCAR").write_text(text[:-16])
    assert "has 1 of 2 declared atoms" in read(tmp_path / "POSCAR")[1]


def test_selective_dynamics_and_cartesian_coordinates_of_a_poscar(tmp_path):
    text = POSCAR.format(title="t", names="H He\n").replace("Direct", "Selective dynamics\nCartesian")
    (tmp_path / "POSCAR").write_text(text.replace("0.50\n", "0.50 T T F\n").replace(" 1.0\n", " 2.0\n"))
    (frame,) = Trajectory(tmp_path / "POSCAR")
    np.testing.assert_allclose(frame.atoms.positions, [[0.2] * 3, [1.0] * 3])
    assert frame.atoms.cell[0, 0] == 4.4


def test_reading_a_slice_gives_the_frames_of_the_whole(tmp_path):
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text())
        whole = list(Trajectory(tmp_path / name))
        part = list(Trajectory(tmp_path / name, 1, None, 2))
        assert [frame.index for frame in part] == [1, 3]
        for frame in part:
            np.testing.assert_allclose(frame.atoms.positions, whole[frame.index].atoms.positions)


def test_positions_of_a_dump_are_those_of_its_columns(tmp_path):
    """Scaled or not, unwrapped or not, with text in columns that nobody asked for."""
    cell = np.array([[2.8, 0, 0], [0.2, 2.7, 0], [-0.3, 0.25, 2.9]])
    points = positions(0)
    whole = Atoms("H8", points, cell=cell, pbc=True)
    for columns in ("x y z", "xu yu zu", "xs ys zs", "xsu ysu zsu"):
        values = points if "s" not in columns else whole.get_scaled_positions(wrap=False)
        rows = [f"{n + 1} note H {' '.join(f'{v:.9f}' for v in row)}" for n, row in enumerate(values)]
        text = dump(steps=[0])
        head = text[: text.index("ITEM: ATOMS")]
        table = [f"ITEM: ATOMS id label element {columns}", *rows[::-1], ""]
        (tmp_path / "dump.1").write_text(head + "\n".join(table))
        (frame,) = Trajectory(tmp_path / "dump.1")
        found, wanted = (atoms.get_all_distances(mic=True) for atoms in (frame.atoms, whole))
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_extended_xyz_by_ase_is_read_as_ase_reads_it(tmp_path):
    atoms = Atoms("H8", positions(0), cell=[3, 4, 5], pbc=True)
    atoms.set_velocities(positions(1))
    write(tmp_path / "a.extxyz", atoms)
    (frame,) = Trajectory(tmp_path / "a.extxyz")
    np.testing.assert_allclose(frame.atoms.get_velocities(), positions(1), atol=1e-6)
