"""Fixtures shared by all tests."""

from pathlib import Path

import pytest
import torch

# These import functions of ase_elf.domains by name. A test that replaces those would, were it the first
# to need one of these modules, replace them there for ever.
from ase_elf import potential, prediction  # noqa: F401
from ase_elf.analysis import recorder  # noqa: F401
from ase_elf.runs import merge  # noqa: F401

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def two_threads():
    """With one thread before and after, a function that leaves one thread behind is not found out."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shared_data() -> Path:
    """Folder of reference data beside the repository; the test skips where it is absent."""
    if not _SHARED.is_dir():
        pytest.skip("no reference data: the folder ../shared/data does not exist")
    return _SHARED
