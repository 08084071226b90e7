"""The structures that come with the package, from Python and for the command line."""

import subprocess
import sys

import numpy as np
import pytest
from ase.io import read
from places import ROOT

from ase_elf import examples
from ase_elf.errors import InputError
from ase_elf.structures.trajectory import Trajectory


def test_the_examples_are_those_of_the_repository():
    run = read(ROOT / "examples" / "dense-hydrogen.extxyz", index=":40")
    for ours, theirs in zip(examples.hydrogen(), run, strict=True):
        assert ours.info["time_fs"] == pytest.approx(theirs.info["time_fs"], abs=1e-3)
        np.testing.assert_allclose(ours.positions, theirs.positions, atol=6e-6)
        np.testing.assert_allclose(ours.cell.array, theirs.cell.array, atol=1e-6)


def test_they_are_written_for_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ase_elf.examples", tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / f"{name}.extxyz") for name in examples.NAMES]
    times = [frame.time_fs for frame in Trajectory(tmp_path / "hydrogen.extxyz")]
    assert times == [2.0 * k for k in range(40)]


def test_an_unknown_example_is_told():
    with pytest.raises(InputError, match="hydrogen, au25"):
        examples.path("gold")
