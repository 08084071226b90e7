"""What observers should have written into frames, computed again from their positions."""

import pytest

from ase_elf import ELFCalculator
from ase_elf.analysis.scalars import structure_scalars
from ase_elf.testing import GaussianDomain


class CoarseDomain(GaussianDomain):
    def __init__(self):
        super().__init__(("H", "Al"))
        self.card.update(spacing=0.5, trained_range={})


def expected_mean(frame):
    return structure_scalars(ELFCalculator(domain=CoarseDomain()).get_elf(frame), ["elf_mean"])["elf_mean"]


def check_frames(frames, due):
    """Frames that are due hold the value of their own positions, the others hold none."""
    for number, frame in enumerate(frames):
        if number in due:
            assert frame.info["elf_mean"] == pytest.approx(expected_mean(frame), rel=1e-5)
        else:
            assert not [key for key in frame.info if key.startswith("elf_")], number
            assert not frame.has("elf_nearest")
