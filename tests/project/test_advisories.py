"""The stand-in for a vulnerability database says what the files of its copy say."""

import importlib.util
import json
import subprocess
import sys

import pytest
from advisories import advisories, affects
from packaging.version import Version
from places import TESTS

ENTRY = """\
id: PYSEC-0000-1
affected:
- package: {name: Some_Package, ecosystem: PyPI}
  ranges:
  - {type: GIT, events: [{introduced: "0"}]}
  - {type: ECOSYSTEM, events: [{introduced: "1.2"}, {fixed: "1.4"}, {introduced: "2.0"}, {last_affected: "2.1"}]}
  versions: ["0.9"]
published: "2024-01-02T00:00:00Z"
"""


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "vulns" / "some-package").mkdir(parents=True)
    (tmp_path / "vulns" / "some-package" / "PYSEC-0000-1.yaml").write_text(ENTRY)
    return tmp_path


@pytest.mark.parametrize(("version", "known"), [
    ("0.9", True), ("1.1", False), ("1.2", True), ("1.3.9", True), ("1.4", False),
    ("2.0", True), ("2.1", True), ("2.1.1", False),
])  # fmt: skip
def test_a_version_is_affected_where_it_is_listed_or_within_a_range(copy, version, known):
    (entry,) = advisories(copy)["some-package"]
    assert affects(entry, "some-package", Version(version)) is known


def test_ranges_of_safety_db_are_understood(tmp_path):
    (tmp_path / "data").mkdir()
    known = {"$meta": {"timestamp": 0}, "some-package": ["<1.4", ">=2,<2.1"]}
    (tmp_path / "data" / "insecure.json").write_text(json.dumps(known))
    first, second = advisories(tmp_path)["some-package"]
    assert affects(first, "some-package", Version("1.3.9"))
    assert not affects(first, "some-package", Version("1.4"))
    assert affects(second, "some-package", Version("2.0.1"))


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed")
@pytest.mark.parametrize(("version", "code"), [("1.3", 1), ("1.4", 0)])
def test_pip_audit_asks_the_copy(copy, version, code):
    subprocess.run(f"git -C {copy} init -q && git -C {copy} add . && git -C {copy} -c user.name=a "
                   "-c user.email=a commit -qm a", shell=True, check=True)  # fmt: skip
    needed = copy / "needed.txt"
    needed.write_text(f"some-package=={version}\n")
    words = [sys.executable, TESTS / "tools" / "advisories.py", copy, needed]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert ("PYSEC-0000-1" in done.stdout) is bool(code)
