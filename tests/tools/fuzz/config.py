"""YAML: configurations of `dataset build`, `train` and `ruler`, of the command line, of a run."""

from contextlib import suppress

import click

from ase_elf.cli.options import _read_config
from ase_elf.dataset.config import BuildConfig
from ase_elf.errors import ElfError
from ase_elf.runs.provenance import read_provenance
from ase_elf.training.config import TrainConfig
from ase_elf.training.ruler import RulerConfig
from fuzz.target import Target


def make():
    build = b"""structures:
  - {path: a.xyz, index: "::2", split: train, kind: fluid}
  - b.xyz
engine: espresso
output: labels
options: {kspacing: 0.3, pseudopotentials: {H: H.upf}}
points: {count: 10, within: 1.5}
density: true
cluster: {kind: scheduler, address: "tcp://a:1", options: {}}
"""
    train = b"""labels: [labels, {store: b, where: {split: train, kind: [fluid]}, geometries: [a.xyz]}]
output: run
pack: pack
kinds: [fluid]
architecture: {elements: [1], cutoff: 6.0, channels: [8, 4, 2], point_channels: [8, 4], hidden: 16}
recipe: {steps: 10, rate: 1e-3}
"""
    options = b"isovalue: 0.8\nspacing: 0.1\nstop: 10\nbond: [H-H=1.0]\n"
    run = b"stop: 3\nprovenance:\n  identity: {start: 0, bonds: {H-H: 1.0}, batch: 8}\n"
    laughs = b"a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\noutput: *b\nlabels: *b\nisovalue: *b\n"
    ruler = b"""pair: H-H
cutoff: 1.3
pack: .
image: {size: 16, half_width: 0.9, reference: 0.8, planes: [0, 1], cores: [0.1, 0.1]}
labels: {store: labels, where: {batch: bonds}}
types: {a: [x, y]}
recipe: {steps: 10, widths: [4, 4]}
"""
    return [build, train, ruler, options, run, laughs]


def read(path):
    path.with_name("config.yaml").write_bytes(path.read_bytes())
    readers = (
        BuildConfig.read,
        TrainConfig.read,
        RulerConfig.read,
        _options,
        lambda p: read_provenance(p.parent),
    )
    for reader in readers:
        with suppress(ElfError, click.ClickException):
            reader(path)


def _options(path):
    from ase_elf.cli.analyze import command

    _read_config(click.Context(command), None, path)


TARGET = Target(
    "config", "given.yaml", make, read, multiple=3000,
    tokens=(b"&a", b"*a", b"<<: ", b"!!python/object/apply:os.system", b"!!binary", b"!!set",
            b"2001-99-99", b"1e400", b"0x", b"1_0", b"0b", b"1:2:3", b"~", b"? ", b"- ", b"{", b"[",
            b"%YAML 9", b"---", b"engine: ", b"os:system", b":", b"\xef\xbb\xbf"),
    instrument=("ase_elf.storage.configuration", "ase_elf.dataset.config", "ase_elf.training.config",
                "ase_elf.training.ruler", "ase_elf.runs.provenance", "ase_elf.cli.options", "yaml"),
)  # fmt: skip
