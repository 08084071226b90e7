"""A prediction on a device that is not there: what leaves it, without a GPU.

    python tests/fake_device.py

Tensors of PyTorch's FakeTensorMode have shapes, types and devices, and no numbers: operations on two devices at
once and numbers that would be waited for raise, copies to the CPU pass, and are counted here. The device is a
stand-in backend, since a PyTorch without CUDA does not let fake ones be indexed. Prints the counts as JSON. A program
of its own, since a backend is registered once and for all.
"""

from __future__ import annotations

import collections
import json
import warnings
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from ase_elf.domains import get_domain
from ase_elf.errors import ElfWarning
from ase_elf.model import FieldModel, field_model

_setup_privateuseone_for_python_backend("gpu")
DEVICE = torch.device("gpu", 0)

OBLIQUE = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])


class Traffic(TorchDispatchMode):
    """Counts copies between devices, and numbers that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten._to_copy.default and args[0].device != out.device:
            self.seen[f"to the {'host' if out.device.type == 'cpu' else 'device'}"] += 1
        self.seen["numbers"] += operation is torch.ops.aten._local_scalar_dense.default
        return out


def on_device(model: FieldModel) -> FieldModel:
    """The same with parameters that have no values."""
    for module in model.network.modules():
        for kind in (module._parameters, module._buffers):
            for name, value in kind.items():
                if value is not None:
                    kind[name] = torch.empty(value.shape, dtype=value.dtype, device=DEVICE)
    known = model.novelty
    model.novelty = replace(
        known,
        **{k: torch.empty(getattr(known, k).shape, device=DEVICE) for k in ("mean", "whiten", "unit")},
    )
    model.device = DEVICE
    model._waves.clear()
    model._spare.clear()
    return model


def main() -> None:
    warnings.simplefilter("ignore", ElfWarning)
    cell = 4.3 * np.eye(3)
    fluid = Atoms("H16", np.random.default_rng(0).random((16, 3)) @ cell, cell=cell, pbc=True)
    crystal = Atoms("H", cell=1.5 * np.eye(3), pbc=True).repeat((3, 3, 2))
    crystal.set_cell(OBLIQUE @ crystal.cell.array)
    model, seen = get_domain("dense-hydrogen").load(device="cpu"), {}
    # Tables that belong to weights are made once, on the host.
    model.predict([fluid], [(20, 20, 20)])
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = on_device(model)
        field_model._prediction = lambda *results: [one.device.type for one in results]
        for name, atoms in (("fluid", fluid), ("supercell", crystal)):
            with Traffic() as traffic:
                (devices,) = model.predict([atoms], [(30, 31, 32)])
            seen[name] = dict(traffic.seen) | {"results": devices}
        with Traffic() as traffic:
            devices = model.predict_points(fluid, np.random.default_rng(1).random((50, 3)))
        seen["points"] = dict(traffic.seen) | {"results": devices}
        with Traffic() as traffic:  # what is counted is there to be counted
            torch.empty(3, device=DEVICE).cpu()
        seen["a copy"] = dict(traffic.seen)
        try:
            torch.empty(3, device=DEVICE) + torch.empty(3)
        except RuntimeError as error:
            seen["two devices"] = type(error).__name__
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
