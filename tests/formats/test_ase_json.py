"""ASE's JSON: arrays have the values their shape declares, or their file is refused."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms, FixedPlane
from ase.db import connect
from ase.io.jsonio import encode
from ase.io.trajectory import Trajectory as Traj

from ase_elf.errors import FormatError
from ase_elf.formats.collection import Collection
from ase_elf.structures.ase_json import check_arrays
from ase_elf.structures.trajectory import Trajectory

HOLLOW = '{"__ndarray__": [[1000, 3], "float64", [0.0]]}'


def fixed():
    """Atoms with arrays in every place where ASE writes them as JSON."""
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.8)], cell=[3] * 3, pbc=True)
    atoms.set_constraint([FixAtoms([0]), FixedPlane([1], (0, 0, 1))])
    atoms.info["vector"] = {"of": np.arange(6.0).reshape(2, 3), "note": "[no JSON"}
    return atoms


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3)), np.array(1.5), np.zeros((0, 3)), np.array([True]), np.arange(3) * 1j,
        np.array(["a", "longer"]), np.zeros(2, np.longdouble),
    ],
)  # fmt: skip
def test_what_ase_writes_is_accepted(array):
    check_arrays(encode({"a": array, "within": encode([{"b": array}]), "text": "{no JSON"}))


@pytest.mark.parametrize(
    "text",
    [
        HOLLOW,
        json.dumps({"constraints": HOLLOW}),
        json.dumps(json.dumps(HOLLOW)),
        HOLLOW.replace("_", "\\u005f"),
        '[{"__ndarray__": [[1], "<U1000000", ["a"]]}]',
        '[{"__ndarray__": [[1], "(1000,)f8", [1.0]]}]',
    ],
)
def test_more_than_there_is_is_refused_wherever_it_stands(text):
    with pytest.raises(FormatError, match="declares the shape"):
        check_arrays(text)


def test_a_trajectory_is_looked_through_frame_by_frame(tmp_path):
    path = tmp_path / "run.traj"
    with Traj(str(path), "w") as traj:
        for _ in range(3):
            traj.write(fixed())
    assert [len(frame.atoms.constraints) for frame in Trajectory(path)] == [2] * 3
    whole = path.read_bytes()
    honest = encode(fixed().info["vector"]["of"]).encode()
    places = [i for i in range(len(whole)) if whole.startswith(honest, i)]
    assert len(places) == 3
    for frame, place in enumerate(places):
        hollow = HOLLOW.encode().ljust(len(honest))[: len(honest)]
        path.write_bytes(whole[:place] + hollow + whole[place + len(honest) :])
        got = []
        with pytest.raises(FormatError, match="declares the shape"):
            got += (found.index for found in Trajectory(path))
        assert Trajectory(path).count() == (3 if frame else None)


@pytest.mark.parametrize("read", [Trajectory, Collection])
def test_a_json_database_is_looked_through_first(tmp_path, read):
    path = tmp_path / "some.json"
    with connect(path) as database:
        database.write(fixed())
    (found,) = read(path)
    assert len(found.atoms.constraints) == 2
    row = json.loads(path.read_text())
    row["1"]["positions"] = json.loads(HOLLOW)
    path.write_text(json.dumps(row))
    with pytest.raises(FormatError, match="declares the shape"):
        list(read(path))


@pytest.mark.parametrize("column", ["constraints", "calculator_parameters", "key_value_pairs"])
@pytest.mark.parametrize("read", [Trajectory, Collection])
def test_so_is_the_json_within_sqlite(tmp_path, read, column):
    path = tmp_path / "some.db"
    with connect(path) as database:
        database.write(fixed(), note="an honest one", data={"a": np.zeros(3)})
    (found,) = read(path)
    assert len(found.atoms.constraints) == 2
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE systems SET {column} = ?", [f'{{"a": {HOLLOW}}}'])
        database.commit()
    with pytest.raises(FormatError, match="declares the shape"):
        list(read(path))
