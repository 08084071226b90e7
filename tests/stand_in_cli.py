"""``ase-elf`` with the stand-in pack for every chemistry; run as a script or imported."""

import os
import time

import ase_elf.domains
from ase_elf.testing import GaussianDomain, GaussianModel


class SlowModel(GaussianModel):
    """Waits in every prediction, so that a test can kill in the middle."""

    def predict(self, structures, shapes, *, sigma=True):
        time.sleep(float(os.environ.get("STAND_IN_DELAY", "0")))
        return super().predict(structures, shapes, sigma=sigma)


class SlowDomain(GaussianDomain):
    def load(self, device=None, dtype="float32"):
        return SlowModel()


def stand_in(*_):
    return SlowDomain()


if __name__ == "__main__":
    ase_elf.domains.domain_for = ase_elf.domains.get_domain = stand_in
    from ase_elf.cli import main

    main(prog_name="ase-elf")
