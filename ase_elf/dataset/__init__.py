"""Label sets: geometries in, reference ELF out, stored compactly and checked.

:class:`LabelStore` reads and writes them, :func:`read_labels` reads any folder of labels, :func:`build`
makes them with a reference engine, :func:`check` looks for what would spoil a training, and
:func:`select_frames` picks what is worth labelling next.
"""

from importlib import import_module

_LAZY = {
    "BuildConfig": "ase_elf.dataset.config",
    "Label": "ase_elf.dataset.label",
    "LabelStore": "ase_elf.dataset.store",
    "LabelSource": "ase_elf.dataset.source",
    "build": "ase_elf.dataset.builder",
    "check": "ase_elf.dataset.audit",
    "read_labels": "ase_elf.dataset.source",
    "select_frames": "ase_elf.dataset.selection",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ase_elf.dataset' has no attribute {name!r}")
