"""Fuzzing: one module per kind of file this package reads, and what runs them.

``python -m fuzz --minutes 5 cube xsf`` (in ``tests/tools``) adds to the counts of earlier runs; the
short Hypothesis run of the same targets is ``tests/project/test_fuzz.py``.
"""

FORMATS = (
    "elfcar",
    "cube",
    "xsf",
    "store",
    "extxyz",
    "config",
    "weights",
    "labels",
    "journal",
    "manifest",
    "card",
)
"""Names of the modules, each with one ``TARGET``."""
