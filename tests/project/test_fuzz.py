"""Hostile and broken files: a few hundred mutations of every format; hours of it by `make test-long`."""

import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from fuzz import FORMATS
from fuzz.target import ALLOWANCE, Broken, ceiling, target
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from places import TESTS


@pytest.fixture(scope="module", params=FORMATS)
def wanted(request, tmp_path_factory):
    """A target whose reader has loaded the libraries it needs, which takes time and memory."""
    found = target(request.param)
    for data in found.seeds:
        with suppress(Broken):
            found.attempt(data, tmp_path_factory.mktemp("first"))
    return found


def mutated(draw, target):
    """Sound files with bytes exchanged, cut out, repeated, or replaced by words of the format."""
    content = bytearray(draw(st.sampled_from(target.seeds)))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 16)))
        with_ = draw(
            st.binary(max_size=8)
            | st.sampled_from(target.tokens)
            | st.just(bytes(content[start:stop]) * 3)
            | st.sampled_from([b"-1", b"999999999999", b"nan", b"1e400", b"\n", b"0", b"\x00"])
        )
        content[start:stop] = with_
    return bytes(content[: draw(st.none() | st.integers(0, len(content)))])


def test_sound_files_and_prepared_attacks_are_handled(wanted, tmp_path):
    with ceiling():
        for number, data in enumerate(wanted.seeds):
            wanted.attempt(data, tmp_path / str(number), trace=True)


def test_mangled_files_give_a_value_or_an_error_of_ours(wanted):
    @settings(
        max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        derandomize=True, phases=(Phase.generate,),
    )  # fmt: skip
    @given(data=st.data())
    def check(data):
        content = mutated(data.draw, wanted)
        with tempfile.TemporaryDirectory() as folder:
            wanted.attempt(content, Path(folder) / "x", trace=True)

    with ceiling():
        check()


def test_the_modules_that_guide_the_search_exist(wanted):
    for name in wanted.instrument:
        import_module(name)


def test_the_watch_notices_what_it_is_there_for(tmp_path):
    from fuzz.target import Target

    def reading(read):
        return Target("x", "x", lambda: [b""], read, multiple=1, instrument=())

    for read, message in (
        (lambda path: open("/etc/hostname").close(), "opens /etc/hostname"),
        (lambda path: path.parent.with_name("beside").mkdir(), "os.mkdir"),
        (lambda path: bytearray(2 * ALLOWANCE), "bytes of memory"),
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: subprocess.run(["true"], check=True), "subprocess"),
        (lambda path: sys.exit(0), "SystemExit"),
    ):
        with pytest.raises(Broken, match=message):
            reading(read).attempt(b"", tmp_path, trace=True)


def test_what_was_found_once_is_handled(tmp_path):
    for path in sorted((TESTS / "tools" / "fuzz" / "found").iterdir()):
        target(path.name.partition("-")[0]).attempt(path.read_bytes(), tmp_path / path.name)
