"""Nothing needs a network at run time: the program, and all other tests, with none there."""

import re
import shutil
import subprocess
import sys

import pytest
from places import ROOT


def without_network(*command):
    """The command line that runs ``command`` where only the loopback device exists."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    inside = 'ip link set lo up 2>/dev/null; exec "$@"'
    words = ["unshare", "--map-root-user", "--net", "sh", "-c", inside, "sh", *map(str, command)]
    probe = [*words[:-len(command)], sys.executable, "-c",
             "import socket; socket.create_connection(('192.0.2.1', 9), timeout=3)"]  # fmt: skip
    tried = subprocess.run(probe, capture_output=True, text=True)
    if "unreachable" not in tried.stderr:
        pytest.skip(f"no network namespace can be made here: {tried.stderr[-200:]}")
    return words


@pytest.mark.ci
def test_the_main_job_runs_with_the_network_cut_off(tmp_path):
    trajectory = ROOT / "examples" / "dense-hydrogen.extxyz"
    words = without_network(sys.executable, "-c", "from ase_elf.cli import main; main()", "analyze",
                            trajectory, "--stop", "1", "--shape", "16", "16", "16", "-o",
                            tmp_path / "out")  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 1e6


@pytest.mark.long
def test_all_tests_pass_with_the_network_cut_off():
    words = without_network(sys.executable, "-m", "pytest", "-q", "-m", "not long", "-p",
                            "no:cacheprovider")  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]


def test_no_module_of_ours_speaks_http():
    spoken = re.compile(r"^\s*(?:import|from)\s+(urllib|http|requests|httpx|aiohttp|ftplib)\b", re.MULTILINE)
    for path in [*ROOT.glob("ase_elf/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        assert not spoken.search(path.read_text(encoding="utf-8")), path
