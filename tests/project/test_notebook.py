"""The example notebook runs from the first cell to the last, and what it shows opens in a browser."""

import json
import re

import pytest
from browser import probed
from places import ROOT

pytestmark = pytest.mark.ci

NOTEBOOK = ROOT / "examples" / "hydrogen_network.ipynb"

LOOK = """
setTimeout(function () {
  var view = document.querySelector(".plotly-graph-div");
  say([view.data.length, view.querySelectorAll("canvas").length,
       document.querySelectorAll("img").length].join(" "));
}, 4000);
"""


def numbers(cell):
    """Numbers with decimals that a cell prints."""
    texts = ("".join(output.get("text", "")) for output in cell.get("outputs", ()))
    return [float(number) for text in texts for number in re.findall(r"\d+\.\d+", text)]


def stored_numbers():
    return [said for cell in json.loads(NOTEBOOK.read_text())["cells"] for said in numbers(cell)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    nbformat = pytest.importorskip("nbformat", reason="the extra [test] is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra [test] is not installed")
    nbconvert = pytest.importorskip("nbconvert", reason="the extra [test] is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLOTLY_RENDERER", "notebook")  # HTML, where JupyterLab would get data
        patch.setenv("PYTHONPATH", str(ROOT))
        nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(ROOT / "examples")}}
        ).execute()
    found = [said for cell in notebook.cells for said in numbers(cell)]
    assert found == pytest.approx(stored_numbers(), abs=0.003)  # other processors round otherwise
    path = tmp_path_factory.mktemp("notebook") / "notebook.html"
    path.write_text(nbconvert.HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.browser
def test_the_notebook_runs_and_its_3d_view_shows(page, tmp_path):
    traces, canvases, pictures = map(int, probed(page, LOOK, tmp_path / "profile").split())
    assert traces == 36 and canvases >= 1 and pictures >= 2


def test_it_is_stored_with_what_it_prints_and_draws():
    """By ``python tests/tools/notebooks.py``, again after every change of a cell."""
    assert NOTEBOOK.stat().st_size < 300_000
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells[:-1]) and not cells[-1]["outputs"]
    kinds = [kind for cell in cells for output in cell["outputs"] for kind in output.get("data", ())]
    assert kinds.count("image/png") == 2
    assert len(stored_numbers()) == 18  # of six frames: φ, its error, φ*
