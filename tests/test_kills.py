"""SIGKILL at random moments: a few here, forty and more of each kind by `make test-long`."""

import shutil

import pytest

from kills import CASES, run_case


@pytest.mark.parametrize("name", CASES)
def test_what_was_killed_ends_where_it_would_have(name, tmp_path):
    _killed(name, 2, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_forty_kills(name, tmp_path):
    _killed(name, 40, tmp_path)


def _killed(name, kills, folder):
    case = CASES[name]
    if case.needs and not shutil.which(case.needs):
        pytest.skip(f"{case.needs} is not installed")
    assert run_case(case, kills, folder / "x", seed=1).kills >= kills
