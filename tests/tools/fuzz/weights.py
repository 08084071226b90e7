"""Weights of fields, potentials and rulers: safetensors with an architecture in their header."""

import json
import struct
from contextlib import suppress

import numpy as np
import torch

from ase_elf.errors import ElfError
from ase_elf.model import Architecture, EnergyNetwork, FieldNetwork
from ase_elf.model.novelty import Novelty
from ase_elf.model.weights import load_network, save_network
from ase_elf.ruler import ImageSpec, ReadingModes, Ruler
from ase_elf.ruler.network import ImageReader, ReaderArchitecture
from fuzz.sound import written
from fuzz.target import Target

ARCH = Architecture((1,), n_radial=2, channels=(2, 1), point_channels=(2, 1, 1), n_updates=1, hidden=2)


def make():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, energy = FieldNetwork(ARCH), EnergyNetwork(ARCH)
        spec = ImageSpec(4, 1.0)
        readers = [ImageReader(ReaderArchitecture((1, 4, 4), (1,), 1, n_types=1)) for _ in range(2)]
    sound = written("w.safetensors", lambda path: save_network(path, network))
    potential = written("w.safetensors", lambda path: save_network(path, energy))
    modes = ReadingModes(("a",), np.ones((1, 1, 4, 4), "f4"), np.ones((1, 4, 4), "f4"), 1.0)
    ruler = Ruler(("H", "H"), spec, readers[:1], 1.0, spec, readers[1:], ("a",), modes)
    known = Novelty(torch.zeros(2), torch.eye(2), torch.ones(()))
    return [sound, potential, written("r.safetensors", ruler.save),
            written("f.safetensors", known.save), _greedy(sound, n_radial=10**9), _greedy(sound, hidden=10**6),
            _greedy(sound, n_updates=10**9), _greedy(sound, channels=[10**6, 10**6])]  # fmt: skip


def _greedy(sound, **changes):
    """The same tensors under an architecture that asks for more."""
    size = struct.unpack("<Q", sound[:8])[0]
    header = json.loads(sound[8 : 8 + size])
    architecture = json.loads(header["__metadata__"]["architecture"]) | changes
    header["__metadata__"]["architecture"] = json.dumps(architecture)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + sound[8 + size :]


def read(path):
    readers = (load_network, lambda path: load_network(path, kind=EnergyNetwork), Ruler.load,
               Novelty.load)  # fmt: skip
    for reader in readers:
        with suppress(ElfError):
            reader(path)


TARGET = Target(
    "weights", "w.safetensors", make, read, multiple=500,
    tokens=(b"__metadata__", b"architecture", b'"F32"', b'"I64"', b"data_offsets", b"n_radial",
            b"ruler", b"networks", b"spec", b"modes", b"channels", b"hidden", b"999999999", b"null", b"[]",
            b"-1", b"1e999", b"NaN"),
    instrument=("ase_elf.model", "ase_elf.ruler"),
)  # fmt: skip
