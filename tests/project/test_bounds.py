"""What CI makes of a registry that does not answer, of a version of Python that is missing, and of a real failure."""

import subprocess
import sys

import bounds
import pytest
from places import ROOT


@pytest.fixture
def pip(tmp_path):
    """An environment whose pip installs nothing, and fetches a package or does not."""

    def made(fetches):
        program = tmp_path / "python"
        program.write_text(
            f'#!/bin/sh\ncase "$*" in *download*) exit {0 if fetches else 1};; *) exit 1;; esac\n'
        )
        program.chmod(0o755)
        return {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    return made


def test_a_registry_that_does_not_answer_is_no_failure(pip):
    assert not bounds.install(["click"], pip(fetches=False))


def test_what_cannot_be_installed_is_a_failure_where_the_registry_answers(pip):
    with pytest.raises(subprocess.CalledProcessError):
        bounds.install(["click"], pip(fetches=True))


def test_a_version_of_python_that_is_missing_is_said_to_be_skipped():
    tool = ROOT / "tests" / "tools" / "bounds.py"
    done = subprocess.run(
        [sys.executable, tool, "newest", "--python", "3.99"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("SKIPPED: newest versions of dependencies: Python 3.99 is not present")
