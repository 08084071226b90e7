"""Weights: safetensors with an architecture in their header."""

import json
import struct

import torch

from ase_elf.model import Architecture
from ase_elf.model.network import FieldNetwork
from ase_elf.model.weights import load_network, save_network
from fuzz.sound import written
from fuzz.target import Target

ARCH = Architecture(
    (1,), n_radial=2, channels=(2, 1), point_channels=(2, 1, 1), n_updates=1, hidden=2
)


def make():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FieldNetwork(ARCH)
    sound = written("w.safetensors", lambda path: save_network(path, network))
    return [sound, _greedy(sound, n_radial=10**9), _greedy(sound, hidden=10**6),
            _greedy(sound, n_updates=10**9), _greedy(sound, channels=[10**6, 10**6])]  # fmt: skip


def _greedy(sound, **changes):
    """The same tensors under an architecture that asks for more."""
    size = struct.unpack("<Q", sound[:8])[0]
    header = json.loads(sound[8 : 8 + size])
    architecture = json.loads(header["__metadata__"]["architecture"]) | changes
    header["__metadata__"]["architecture"] = json.dumps(architecture)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + sound[8 + size :]


TARGET = Target(
    "weights", "w.safetensors", make, load_network, multiple=500,
    tokens=(b"__metadata__", b"architecture", b'"F32"', b'"I64"', b"data_offsets", b"n_radial",
            b"channels", b"hidden", b"999999999", b"null", b"[]", b"-1", b"1e999", b"NaN"),
)  # fmt: skip
