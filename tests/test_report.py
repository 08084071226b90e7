"""The report: escaped, self-contained, and alive in a real browser."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ase_elf.analysis import analyze, settings_for
from ase_elf.journal import Journal
from ase_elf.report import plots
from ase_elf.report.html import script_json
from ase_elf.report.results import write_results
from ase_elf.report.snapshots import CAPACITY, Snapshot, stride_after
from ase_elf.statistics import RunStatistics
from ase_elf.testing import GaussianDomain, molecular_fluid
from ase_elf.trajectory import Frame

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
    with Journal(folder / "journal.jsonl") as journal:
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
    body = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.search(r'(src|href)="(?!data:|https://doi\.org/)', body)
    assert body.count("<figure") == 12


def test_warnings_come_before_any_number(run):
    text = (run[0] / "report.html").read_text()
    assert text.index("Read this first") < text.index("<h2>Averages")


def test_json_in_the_page_cannot_end_its_element():
    text = script_json({"a": "</script><!--"})
    assert "<" not in text and ">" not in text


def test_every_result_draws_itself(run):
    for name, result in run[1].results.items():
        if name != "series":
            assert result.plot().figure is not None, name
    ax = plots.new_axis(None)
    assert run[1].results["rdf"].plot(ax) is ax


def test_plots_leave_no_state_behind(run):
    import matplotlib

    before = dict(matplotlib.rcParams)
    run[1].results["percolation"].plot()
    assert dict(matplotlib.rcParams) == before


def test_statistics_of_the_journal_are_those_of_the_frames(run):
    folder, results = run
    again = RunStatistics(results.statistics.plan)
    for frame in Journal(folder / "journal.jsonl"):
        again.update(frame)
    for name, array in again.state().items():
        np.testing.assert_array_equal(results.statistics.state()[name], array)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100, 12345])
def test_snapshots_are_few_and_were_all_taken_when_they_came(n):
    kept = range(0, n, stride_after(n))
    assert len(kept) <= CAPACITY and (n < CAPACITY or len(kept) > CAPACITY / 2)
    assert all(k % stride_after(k + 1) == 0 for k in kept)


PROBE = """
<script>
window.addEventListener("load", function () {
  var view = document.getElementById("network"), say = [];
  function seen() { return view.data.map(function (t) { return t.visible ? 1 : 0; }).join(""); }
  setTimeout(function () {
    say.push(seen());
    var end = view.layout.sliders[0].steps.length - 1;
    Plotly.restyle(view, "visible", view.layout.sliders[0].steps[end].args[1]).then(function () {
      say.push(seen());
      say.push(view.querySelectorAll("canvas").length);
      say.push(view.querySelectorAll(".slider-container").length);
      document.title = "PROBE " + say.join(" ");
    });
  }, 3000);
});
</script></body>"""


@pytest.mark.browser
def test_the_3d_view_works_in_a_browser(run, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to open the report with")
    page = tmp_path / "report.html"
    text = (run[0] / "report.html").read_text()
    page.write_text(text.replace("</body>", PROBE))
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--use-gl=angle",
         "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
         Path(page).as_uri()],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    title = re.search(r"<title>PROBE (\d+) (\d+) (\d+) (\d+)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    before, after, canvases, sliders = title.groups()
    assert before == "111111000000" and after == "000000111111"  # the slider changes frames
    assert int(canvases) >= 1 and int(sliders) == 1
    assert not re.search(r"CONSOLE.*(Uncaught|Error)", done.stderr), done.stderr
