"""The examples run as they are, and draw what they promise."""

import os
import subprocess
import sys

import pytest
from places import ROOT


@pytest.mark.ci
@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("mdanalysis_network.py", [], "networking value φ"),
        ("live_network.py", ["4"], "4 frames analysed"),
    ],
)
def test_example(script, arguments, says, tmp_path):
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, picture, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.ci
def test_lammps_serves_what_mdanalysis_reads():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "live_lammps.py", "3"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode == 3:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert "3 frames from LAMMPS analysed, [2.] fs apart" in done.stdout
