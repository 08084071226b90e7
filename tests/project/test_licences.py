"""What is required: under a free licence, and in a version that is pinned; and what travels."""

import configparser
import re
from importlib.metadata import metadata

import pytest
from packaging.requirements import Requirement
from places import ROOT

SETUP = ROOT / "setup.cfg"

FREE = re.compile(r"MIT|BSD|Apache|GPL|PSF|Python Software Foundation|MPL", re.IGNORECASE)
"""All of them may be used by, and installed beside, a program under the LGPL 2.1 or later."""


def required():
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    lines = setup["options"]["install_requires"].split()
    return sorted(re.split(r"[<>=;]", line)[0] for line in lines)


def named():
    """Every requirement of the package and of its extras, without what it is for."""
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    extras = setup["options.extras_require"].values()
    lines = "\n".join([setup["options"]["install_requires"], *extras]).splitlines()
    return sorted({line.split(";")[0].strip() for line in lines if line})


@pytest.mark.parametrize("requirement", named())
def test_the_pinned_version_is_one_that_is_allowed(requirement):
    lines = (SETUP.parent / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    asked = Requirement(requirement)
    assert asked.name.lower() in pinned, "constraints.txt does not name it"
    assert asked.specifier.contains(pinned[asked.name.lower()])


def licence(name):
    """What the metadata of a distribution say, by whichever of three ways they say it."""
    found = metadata(name)
    classifiers = [c for c in found.get_all("Classifier") or () if c.startswith("License")]
    # Not by index: a backport that another package brings raises where the original returns None.
    return found.get("License-Expression") or " ".join(classifiers) or found.get("License", "")[:200]


@pytest.mark.parametrize("name", required())
def test_a_required_package_has_a_free_licence(name):
    assert FREE.search(licence(name)), (name, licence(name))


def test_the_script_inside_every_report_keeps_its_notice():
    from plotly.offline import get_plotlyjs

    assert re.search(
        r"plotly\.js v[\d.]+\s.*?Licensed under the MIT license", get_plotlyjs()[:600], re.DOTALL
    )
