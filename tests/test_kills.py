"""SIGKILL at random moments: two of each kind here, forty by `make test-long`."""

import shutil

import pytest

from kills import CASES, run_case


@pytest.mark.parametrize("name", CASES)
def test_what_was_killed_ends_where_it_would_have(name, tmp_path):
    _killed(name, 2, tmp_path)


def _killed(name, kills, folder):
    case = CASES[name]
    if case.needs and not shutil.which(case.needs):
        pytest.skip(f"{case.needs} is not installed")
    assert run_case(case, kills, folder / "x", seed=1).kills >= kills
