"""The report: escaped, self-contained, and alive in a real browser."""

import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import probed

from ase_elf.analysis.frame import analyze, settings_for
from ase_elf.formats.collection import Collection
from ase_elf.plotting.figure import new_axis
from ase_elf.report.html import Arrays, packed
from ase_elf.report.run import write_results
from ase_elf.report.snapshots import CAPACITY, Snapshot, stride_after
from ase_elf.runs.screening import Screener, ScreeningRun
from ase_elf.statistics import FrameResult, RunStatistics
from ase_elf.storage.journal import Journal
from ase_elf.structures.trajectory import Frame
from ase_elf.testing import GaussianDomain, molecular_fluid

EVIL = "<script>alert('x')</script> & \"quotes\""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two frames in a directory, with a failure whose text is markup."""
    folder = tmp_path_factory.mktemp("report")
    images = molecular_fluid(8, 2, dt=2.0, length=3.6)
    domain = GaussianDomain()
    settings = settings_for(images[0], domain)
    frames = [Frame(k, 2.0 * k, atoms) for k, atoms in enumerate(images)]
    (folder / "snapshots").mkdir()
    with Journal(folder / "journal.jsonl", FrameResult) as journal:
        for group in analyze(frames, domain, settings):
            for k, (result, grid, network) in enumerate(group):
                snapshot = Snapshot.of(result.frame, result.time_fs, grid, network)
                snapshot.write(folder / "snapshots" / f"{k:09d}.npz")
                journal.append([result])
        results = write_results(
            folder, journal, settings.plan(), settings=settings, domain=domain,
            symbols=images[0].get_chemical_symbols(), failure=EVIL,
        )  # fmt: skip
    return folder, results


def test_text_is_escaped_and_nothing_is_fetched(run):
    text = (run[0] / "report.html").read_text()
    assert EVIL not in text and "&lt;script&gt;alert(" in text
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:|https://doi\.org/)', body)
    assert body.count("<figure") == 16


def test_warnings_come_before_any_number_and_name_quantities_in_words(run):
    text = (run[0] / "report.html").read_text()
    warnings = " ".join(run[1].warnings())
    assert "Too short for an error bar of" in warnings and "elf_" not in warnings
    assert text.index("Read this first") < text.index('class="phi"') < text.index("<h2>Averages")


def test_a_grid_too_coarse_for_its_elf_is_named(run):
    results = run[1]
    assert "too coarse" not in " ".join(results.warnings())
    results = replace(results, series={**results.series, "elf_phi_star": [0.9, 1.05]})
    results.conclude()
    assert "φ* exceeds 1 in 1 of" in " ".join(results.warnings())


def test_what_is_packed_cannot_end_its_element_and_is_the_same_each_time():
    text = packed(b"</script><!--")
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", text) and text == packed(b"</script><!--")
    assert gzip.decompress(base64.b64decode(text)) == b"</script><!--"


def test_arrays_come_back_as_the_page_unpacks_them():
    rng = np.random.default_rng(3)
    x, faces = rng.normal(size=500).astype(np.float32), rng.integers(0, 2**16, 700).astype(np.uint16)
    arrays = Arrays()
    taken = arrays.take({"a": [{"x": x}], "i": faces})
    words = np.frombuffer(arrays.bytes(), "<u2")
    for found, wanted, most in ((taken["a"][0]["x"], x, np.ptp(x) / 2**13), (taken["i"], faces, 0)):
        at, n, start, step = found["packed"]
        out = start + step * (np.cumsum(words[at : at + n].astype(int)) % 2**16)
        assert np.abs(out - wanted).max() <= most


def test_every_result_draws_itself(run):
    for name, result in run[1].results.items():
        if name != "series":
            assert result.plot().figure is not None, name
    ax = new_axis(None)
    assert run[1].results["rdf"].plot(ax) is ax


def test_plots_leave_no_state_behind(run):
    import matplotlib

    before = dict(matplotlib.rcParams)
    run[1].results["percolation"].plot()
    assert dict(matplotlib.rcParams) == before


def test_statistics_of_the_journal_are_those_of_the_frames(run):
    folder, results = run
    again = RunStatistics(results.statistics.plan)
    for frame in Journal(folder / "journal.jsonl", FrameResult):
        again.update(frame)
    for name, array in again.state().items():
        np.testing.assert_array_equal(results.statistics.state()[name], array)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100, 12345])
def test_snapshots_are_few_and_were_all_taken_when_they_came(n):
    kept = range(0, n, stride_after(n))
    assert len(kept) <= CAPACITY and (n < CAPACITY or len(kept) > CAPACITY / 2)
    assert all(k % stride_after(k + 1) == 0 for k in kept)


SLIDE = """
var view;
function seen() { return view.data.map(function (t) { return t.visible ? 1 : 0; }).join(""); }
function wait(then) { setTimeout(then, 3000); }
wait(function () {
  view = document.querySelector("#network .view");
  var before = seen(), rail = view.querySelector(".slider-rail-touch-rect");
  rail.scrollIntoView();
  var box = rail.getBoundingClientRect(), at = {
    bubbles: true, cancelable: true, view: window,
    clientX: box.right - 2, clientY: box.top + box.height / 2};
  rail.dispatchEvent(new MouseEvent("mousedown", at));
  document.dispatchEvent(new MouseEvent("mouseup", at));
  wait(function () {
    say([before, seen(), view.querySelectorAll("canvas").length,
         view.querySelector(".slider-current-value, .slider-label").textContent].join("|"));
  });
});
"""


@pytest.mark.ci
@pytest.mark.browser
def test_the_slider_of_the_3d_view_is_moved_by_the_mouse(run, tmp_path):
    said = probed(run[0] / "report.html", SLIDE, tmp_path / "profile").split("|")
    assert said[0] == "111111000000" and said[1] == "000000111111"
    assert int(said[2]) >= 1 and "frame 1" in said[3]


@pytest.mark.browser
def test_a_picture_stands_in_where_there_is_no_webgl(run, tmp_path):
    ask = """setTimeout(function () {
        var image = document.querySelector("#network img");
        say([image.naturalWidth > 300 && image.offsetHeight > 100, document.querySelector(".view"),
             document.getElementById("why-picture").textContent].join("|"));
    }, 2000);"""
    said = probed(run[0] / "report.html", ask, tmp_path / "profile", webgl=False).split("|")
    assert said[0] == "true" and said[1] == "" and "no WebGL" in said[2]


@pytest.mark.browser
def test_the_first_screen_is_the_result_and_nothing_is_wider_than_a_telephone(run, tmp_path):
    ask = """var phi = document.querySelector(".phi"), widest = 0;
        document.querySelectorAll("h1, p, dl, figure, .wide, .warnings").forEach(function (each) {
            widest = Math.max(widest, each.getBoundingClientRect().right); });
        say([phi.getBoundingClientRect().bottom < 900, widest <= window.innerWidth, window.innerWidth,
             phi.textContent].join("|"));"""
    said = probed(run[0] / "report.html", ask, tmp_path / "profile", width=390).split("|")
    assert said[:2] == ["true", "true"] and int(said[2]) < 520 and said[3].startswith("φ = 0.")


@pytest.fixture(scope="module")
def screening(tmp_path_factory):
    """The page of three structures of different density."""
    folder = tmp_path_factory.mktemp("screening") / "in"
    folder.mkdir()
    for k, length in enumerate((3.0, 3.4, 3.2)):
        molecular_fluid(4, 1, length=length)[0].write(folder / f"{k}<script>.xyz", format="extxyz")
    ScreeningRun(Collection(folder), folder.parent / "out", Screener(GaussianDomain())).execute()
    return folder.parent / "out" / "report.html"


@pytest.mark.ci
@pytest.mark.browser
def test_the_page_of_a_screening_opens_and_slides(screening, tmp_path):
    said = probed(screening, SLIDE, tmp_path / "profile").split("|")
    assert said[0] == "1" * 6 + "0" * 12 and said[1] == "0" * 12 + "1" * 6
    assert "3. " in said[3]


@pytest.mark.browser
def test_the_ranking_is_sorted_and_filtered(screening, tmp_path):
    ask = """
        function rows() { return Array.from(document.querySelectorAll("#ranking tr")).slice(1); }
        function places() { return rows().filter(function (r) { return !r.hidden; })
            .map(function (r) { return r.cells[0].textContent; }).join(""); }
        var heads = Array.from(document.querySelectorAll("#ranking th"));
        var before = places(), name = heads.find(function (h) { return h.textContent === "structure"; });
        name.click();
        var sorted = rows().map(function (r) { return r.cells[1].textContent[0]; }).join("");
        heads[0].click();
        function filtered(id, value) {
            document.getElementById(id).value = value;
            document.getElementById(id).dispatchEvent(new Event("input", {bubbles: true}));
            return places() + " " + document.getElementById("count").textContent;
        }
        say([before, sorted, places(), filtered("text", "<script>").slice(4),
             filtered("text", "0<").slice(2), filtered("low", 1).slice(1)].join("|"));"""
    said = probed(screening, ask, tmp_path / "profile").split("|")
    assert said == ["123", "012", "123", "3 of 3", "1 of 3", "0 of 3"]


def test_a_ranking_has_no_empty_columns_or_sections(screening):
    text = screening.read_text()
    heads = re.findall(r"<th>(.*?)</th>", text)
    assert "φ" in heads and not {"Tc / K", "notes"} & set(heads)
    assert "Not analysed" not in text
    assert re.findall(r'<figure id="(.*?)"', text) == ["uncertainty", "density", "molecularity"]


@pytest.mark.parametrize(("n", "most"), [(40, 4e6), pytest.param(10_000, 20e6, marks=pytest.mark.ci)])
def test_the_report_of_many_frames_stays_small(n, most, tmp_path):
    """Records repeated from a few analysed frames, at the size of a real snapshot."""
    images = molecular_fluid(64, 4, dt=2.0, length=6.3)
    domain = GaussianDomain()
    settings = settings_for(images[0], domain, shape=(48, 48, 48))
    frames = [Frame(k, 2.0 * k, atoms) for k, atoms in enumerate(images)]
    found = [group for batch in analyze(frames, domain, settings) for group in batch]
    (tmp_path / "snapshots").mkdir()
    for k in range(0, n, stride_after(n)):
        _result, grid, network = found[k % 4]
        snapshot = Snapshot.of(k, 2.0 * k, grid, network)
        snapshot.write(tmp_path / "snapshots" / f"{k:09d}.npz")
    with Journal(tmp_path / "journal.jsonl", FrameResult) as journal:
        for start in range(0, n, 1000):
            journal.append(
                replace(found[k % 4][0], frame=k, time_fs=2.0 * k) for k in range(start, min(n, start + 1000))
            )
        write_results(
            tmp_path, journal, settings.plan(), settings=settings, domain=domain,
            symbols=images[0].get_chemical_symbols(),
        )  # fmt: skip
    assert (tmp_path / "report.html").stat().st_size < most
    assert json.loads((tmp_path / "summary.json").read_text())["frames"] == n
