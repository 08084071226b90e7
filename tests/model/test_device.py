"""No array leaves the device within a frame, shown without a GPU."""

import json
import os
import subprocess
import sys

import pytest
from places import ROOT, TESTS

pytestmark = pytest.mark.ci

MOST_CONSTANTS = 30
"""Small arrays that a frame brings to the device: atoms, neighbours, frequencies."""


@pytest.fixture(scope="module")
def traffic():
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TESTS / "fake_device.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_what_is_counted_can_be_seen(traffic):
    assert traffic["a copy"] == {"to the host": 1, "numbers": 0}
    assert traffic["two devices"] == "FakeTensorDeviceMismatchError"


@pytest.mark.parametrize("frame", ["fluid", "supercell", "points"])
def test_a_frame_stays_on_its_device_until_it_is_done(traffic, frame):
    found = traffic[frame]
    assert found.get("to the host", 0) == 0
    assert found["numbers"] == 0
    assert 0 < found["to the device"] <= MOST_CONSTANTS
    assert found["results"] == ["gpu"] * 3  # z, log σ, distance
