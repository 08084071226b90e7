"""SIGKILL at random moments: two of each kind here, forty by `make test-long`."""

import shutil

import pytest
from kills import CASES, rounds


@pytest.mark.ci
@pytest.mark.parametrize("name", CASES)
def test_what_was_killed_ends_where_it_would_have(name, tmp_path):
    case = CASES[name]
    if case.needs and not shutil.which(case.needs):
        pytest.skip(f"{case.needs} is not installed")
    assert sum(made.kills for made in rounds(case, tmp_path / "x", seed=1, kills=2)) == 2
