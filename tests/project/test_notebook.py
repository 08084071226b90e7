"""The example notebook runs from the first cell to the last, and what it shows opens in a browser."""

import pytest
from browser import probed
from places import ROOT

pytestmark = pytest.mark.ci

LOOK = """
setTimeout(function () {
  var view = document.querySelector(".plotly-graph-div");
  say([view.data.length, view.querySelectorAll("canvas").length,
       document.querySelectorAll("img").length].join(" "));
}, 4000);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    nbformat = pytest.importorskip("nbformat", reason="the extra [test] is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra [test] is not installed")
    nbconvert = pytest.importorskip("nbconvert", reason="the extra [test] is not installed")
    notebook = nbformat.read(ROOT / "examples" / "hydrogen_network.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept without results
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLOTLY_RENDERER", "notebook")  # HTML, where JupyterLab would get data
        patch.setenv("PYTHONPATH", str(ROOT))
        nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(ROOT / "examples")}}
        ).execute()
    path = tmp_path_factory.mktemp("notebook") / "notebook.html"
    path.write_text(nbconvert.HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.browser
def test_the_notebook_runs_and_its_3d_view_shows(page, tmp_path):
    traces, canvases, pictures = map(int, probed(page, LOOK, tmp_path / "profile").split())
    assert traces == 36 and canvases >= 1 and pictures >= 1
