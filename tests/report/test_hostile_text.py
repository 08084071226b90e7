"""Text from files and packs cannot run a script in the report, in a real browser."""

import json
import os

import pytest
from ase.io import write
from browser import probed
from click.testing import CliRunner

from ase_elf.cli import main
from ase_elf.testing import GaussianDomain, molecular_fluid

MARK = "window.hacked=1"
EVIL = f"</script><script>{MARK}</script><img src=x onerror={MARK}>\"'-->"
ASK = "setTimeout(function () { say(window.hacked ? 'hacked' : 'quiet'); }, 2000);"


class HostileDomain(GaussianDomain):
    """A pack whose every text is markup."""

    @property
    def card(self):
        return super().card | {"name": EVIL, "title": EVIL, "weights": {"file": EVIL, "sha256": EVIL},
                               "where_it_fails": [EVIL]}  # fmt: skip

    def outside(self, atoms, distance=None, near=None, expected_r2=None):
        return [EVIL]


NAME = "<img src=x onerror=window.hacked=1>.extxyz"


def trajectory(folder):
    """With markup in name, comment and error."""
    path = folder / NAME
    frames = molecular_fluid(4, 3, dt=2.0, length=3.6)
    for atoms in frames:
        atoms.info.update({EVIL: EVIL, "comment": EVIL})
    write(path, frames, format="extxyz")
    with path.open("a") as stream:
        stream.write(EVIL + "\n")  # where the next frame should begin: the message quotes it
    return path


def collection(folder):
    """Of files with names of markup, and of bytes that are no text; one cannot be read."""
    (folder / "many").mkdir()
    for name in (NAME, os.fsdecode(b"\xff.extxyz")):
        write(folder / "many" / name, molecular_fluid(4, 1, length=3.6), format="extxyz")
    (folder / "many" / f"broken {NAME}").write_text(f"1\n{EVIL}\nH 0 0\n")
    return folder / "many"


@pytest.fixture(scope="module", params=[trajectory, collection])
def report(request, tmp_path_factory):
    """By a pack of markup."""
    folder = tmp_path_factory.mktemp("hostile")
    path = request.param(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("domain_for", "get_domain"):
            patch.setattr(f"ase_elf.domains.{name}", lambda *_: HostileDomain())
        done = CliRunner().invoke(main, ["analyze", str(path), "-o", str(folder / "out")])
    assert "should not happen" not in done.output, done.output
    return folder / "out" / "report.html"


def test_no_markup_of_others_is_in_the_page(report):
    text = report.read_text(encoding="utf-8")
    assert "&lt;img src=x" in text  # it is shown, as text
    for raw in ("<img src=x", f"<script>{MARK}"):
        assert raw not in text


@pytest.mark.ci
@pytest.mark.browser
def test_nothing_in_the_page_runs_but_the_page(report, tmp_path):
    assert probed(report, ASK, tmp_path / "profile") == "quiet"


@pytest.mark.browser
def test_the_browser_would_have_run_it(report, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(f"<body><script>{MARK}</script></body>", encoding="utf-8")
    assert probed(page, ASK, tmp_path / "profile") == "hacked"


def test_a_card_with_markup_for_an_element_is_no_card(tmp_path):
    from fuzz.card import make

    from ase_elf.domains import Domain
    from ase_elf.errors import FormatError

    card = json.loads(make()[0]) | {"elements": [EVIL]}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(FormatError, match="element"):
        _ = Domain(tmp_path).card


def test_formats_refuse_an_element_of_markup(tmp_path):
    from ase_elf.errors import FormatError
    from ase_elf.structures.trajectory import Trajectory

    path = tmp_path / "run.extxyz"
    path.write_text(f'1\nLattice="3 0 0 0 3 0 0 0 3"\n{EVIL.replace(" ", "")} 0 0 0\n')
    with pytest.raises(FormatError):
        list(Trajectory(path))
