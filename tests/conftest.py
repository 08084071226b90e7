"""Fixtures shared by all tests."""

import signal
from pathlib import Path

import pytest
import torch
from places import ROOT
from stand_in_cli import stand_in

# These import functions of ase_elf.domains by name. A test that replaces those would, were it the first
# to need one of these modules, replace them there for ever.
from ase_elf import potential, prediction  # noqa: F401
from ase_elf.analysis import recorder  # noqa: F401

_SHARED = ROOT.parent / "shared" / "data"


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


@pytest.fixture
def stand_in_pack(monkeypatch):
    """One pack for every chemistry, and no other installed."""
    monkeypatch.setattr("ase_elf.domains.get_domain", stand_in)
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    monkeypatch.setattr("ase_elf.domains.installed", lambda: {"stand-in": stand_in()})


@pytest.fixture
def own_signals():
    """imdclient takes over the handlers of the process."""
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])
