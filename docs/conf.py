"""Sphinx configuration: `make docs`. Warnings are errors there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from ase_elf import __version__ as release

project = "ase_elf"
author = "The ase_elf developers"
copyright = author  # noqa: A001 - the name Sphinx reads
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "model_cards",
    "coverage_table",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "mdakit"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["front.css"]
html_title = f"ase_elf {release}"

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "none"  # the docstrings say types, shapes and units
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
# Entry points bring these; names such as Atoms stand in docstrings for what users know.
suppress_warnings = ["ref.python"]
