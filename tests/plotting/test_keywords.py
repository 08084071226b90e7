"""Every plot takes axes, figsize, a style sheet, a color map and units, and hands on what artists take."""

import ast
import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from places import ROOT

from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid
from ase_elf.plotting import curves, fields
from ase_elf.plotting.figure import palette, panels
from ase_elf.report import accuracy_plots, ruler_plots, screening
from ase_elf.ruler import measure_bonds
from ase_elf.statistics import ScalarAverage
from ase_elf.testing import GaussianModel, molecular_fluid
from ase_elf.training.evaluate import compare_grids

X = np.linspace(0.0, 1.0, 9)
CURVES = {"one": (X, 0.1 * X), "two": (1 - X, 0.1 * X)}
MEANS = dict.fromkeys(CURVES, (0.5, 0.1, "0.5(1)"))
LABELS = {"x_label": "r / Å", "y_label": "y"}
PLANE = np.stack(np.meshgrid(X, X), axis=-1)

SURVEY_ROWS = np.array(
    [("a", 2.0 + 0.01 * k, 2.0 + 0.02 * k, 0.01, 0.01 * k) for k in range(9)]
    + [("b", 3.0, 3.0, 0.01, 0.0)],
    dtype=[("label", "U8"), ("length", float), ("ruler_length", float), ("uncertainty", float),
           ("deviation", float)],
)  # fmt: skip


class History:
    """What plots of a history read."""

    rows = SURVEY_ROWS
    times = X
    labels = ("a", "b")
    motifs = {"staple": np.arange(9)}
    averages = {
        name: dict.fromkeys(("length", "deviation"), ScalarAverage(2.0, 0.1, 0.1, 1.0, 9, False))
        for name in "ab"
    }

    def series(self, label, measure):
        return X

    def motif_averages(self):
        return {"staple": ScalarAverage(4.0, 0.1, 0.1, 1.0, 9, False)}


def example():
    spec = SimpleNamespace(planes=(0.0, 90.0), half_width=1.0, blank=np.zeros((9, 9), bool), reference=2.0)
    row = np.zeros(1, dtype=[*SURVEY_ROWS.dtype.descr, ("mode", "U8"), ("mode_confidence", float),
                             ("mode_agreement", float)])[0]  # fmt: skip
    row["uncertainty"] = 0.01
    image = np.stack([PLANE[..., 0]] * 2)
    return SimpleNamespace(spec=spec, row=row, image=image, attribution=image - 0.5, pair=("Au", "S"))


def ranked():
    values = {"elf_phi": 0.5, "elf_phi_uncertainty": 0.1, "r_s_bohr": 1.5, "elf_phi_star": 0.6}
    row = SimpleNamespace(values=values, outside=(), from_file=False, error=None, name="x")
    return [row, SimpleNamespace(**{**vars(row), "outside": ("far",)})]


@pytest.fixture(scope="module")
def scores():
    atoms = molecular_fluid(8, 1, length=3.6)[0]
    prediction = GaussianModel().predict([atoms], [(20, 20, 20)])[0]
    grid = ELFGrid(prediction.values, atoms, {}, prediction.sigma)
    off = ELFGrid(np.clip(grid.values + 0.01 * np.cos(np.arange(20)), 0, 1), atoms, {}, grid.sigma)
    return [compare_grids(grid, off)]


@pytest.fixture(scope="module")
def bonds():
    atoms = molecular_fluid(8, 1, length=3.6)[0]
    values = GaussianModel().predict([atoms], [(20, 20, 20)])[0].values
    return measure_bonds(atoms, ELFGrid(values, atoms), cutoffs={("H", "H"): 1.2})


PLOTS = {
    "curves.plot_series": lambda **k: curves.plot_series(X, dict.fromkeys(CURVES, X), MEANS, **LABELS, **k),
    "curves.plot_mean": lambda **k: curves.plot_mean(0.5, 0.1, "mean", **k),
    "curves.plot_curves": lambda **k: curves.plot_curves(X, CURVES, y_limits=(0, 1), **LABELS, **k),
    "curves.plot_radial": lambda **k: curves.plot_radial(np.linspace(0, 1, 10), CURVES, [0.5, None], X, **k),
    "curves.plot_layers": lambda **k: curves.plot_layers(
        np.linspace(0, 1, 10), np.stack([X, X]), "ab", "t", **k
    ),
    "curves.plot_bars": lambda **k: curves.plot_bars(np.arange(10) - 0.5, X, X, **LABELS, **k),
    "curves.plot_profile": lambda **k: curves.plot_profile(X, X, X, X, **LABELS, **k),
    "curves.plot_message": lambda **k: curves.plot_message("nothing", **k),
    "fields.plot_plane": lambda **k: fields.plot_plane(
        PLANE, PLANE[..., 0], X[:4].reshape(2, 2), x_label="a / Å", title="t", **k
    ),
    "fields.plot_network": lambda **k: fields.plot_network(X, X, X, {"φ": 0.4}, **k),
    "fields.plot_kinds": lambda **k: fields.plot_kinds({"a": X, "b": X}, title="t", **k),
    "fields.plot_bonds": lambda **k: fields.plot_bonds({"a": (X, X, X), "b": (X, X, X)}, **k),
    "ruler_plots.plot_readings": lambda **k: ruler_plots.plot_readings(History(), **k),
    "ruler_plots.plot_deviations": lambda **k: ruler_plots.plot_deviations(History(), **k),
    "ruler_plots.plot_strain": lambda **k: ruler_plots.plot_strain(History(), **k),
    "ruler_plots.plot_history": lambda **k: ruler_plots.plot_history(History(), "deviation", **k),
    "ruler_plots.plot_motifs": lambda **k: ruler_plots.plot_motifs(History(), **k),
    "ruler_plots.plot_example": lambda **k: ruler_plots.plot_example(example(), **k),
    "screening.plot_uncertainty": lambda **k: screening.plot_uncertainty(ranked(), **k),
    "screening.plot_density": lambda **k: screening.plot_density(ranked(), **k),
    "screening.plot_molecularity": lambda **k: screening.plot_molecularity(ranked(), **k),
}
"""One call of each function; those of :data:`ACCURACY` are there once for all."""

ACCURACY = ("against_density", "agreement", "power", "correlation", "parity", "calibration")

PANELS = {"ruler_plots.plot_example": 4, "against_density": 6, "agreement": 6, "parity": 2, "calibration": 2}
NO_UNITS = {
    "curves.plot_mean", "curves.plot_bars", "fields.plot_network",
    "fields.plot_kinds", "ruler_plots.plot_example", "power", "parity",
    "screening.plot_uncertainty", "screening.plot_density", "screening.plot_molecularity",
}  # fmt: skip


@pytest.fixture(params=[*PLOTS, *ACCURACY])
def plot(request, scores):
    name = request.param
    if name in PLOTS:
        return name, PLOTS[name]
    return name, lambda **k: getattr(accuracy_plots, f"plot_{name}")(scores, **k)


def figure_of(drawn):
    return np.ravel(drawn)[0].figure


def test_a_plot_takes_axes_size_style_and_colors(plot):
    name, call = plot
    n = PANELS.get(name, 1)
    own = Figure().subplots(1, n)
    drawn = call(ax=own)
    assert figure_of(drawn) is np.ravel(own)[0].figure
    figure = figure_of(call(figsize=(4, 3), style="dark_background", cmap="magma"))
    assert tuple(figure.get_size_inches()) == (4, 3)
    assert figure.get_facecolor() == to_rgba("black")
    figure.canvas.draw()


def test_a_plot_is_drawn_in_other_units_or_says_that_it_has_none(plot):
    name, call = plot
    if name == "curves.plot_message":
        return  # in place of a plot that has units
    if name in NO_UNITS:
        with pytest.raises(InputError, match=r"units|Å, nm"):
            call(units="nm")
        return
    wrong = "eV"
    with pytest.raises(InputError, match="it takes"):
        call(units=wrong)
    time = name in ("ruler_plots.plot_history", "ruler_plots.plot_motifs")
    wanted = "ps" if time else "pm"
    last = np.ravel(call(units=wanted))[-1]
    assert last.get_xlabel().endswith(f"/ {wanted}")


def test_the_list_has_every_plot_there_is():
    found = set()
    for module in (curves, fields, ruler_plots, screening):
        short = module.__name__.rpartition(".")[2]
        found |= {f"{short}.{n}" for n, f in vars(module).items()
                  if n.startswith("plot_") and inspect.isfunction(f) and f.__module__ == module.__name__}  # fmt: skip
    assert found == set(PLOTS)
    there = {n.removeprefix("plot_") for n in vars(accuracy_plots) if n.startswith("plot_")}
    assert there == set(ACCURACY)


def test_every_plot_of_the_package_takes_axes_and_keywords():
    checked = 0
    for path in sorted((ROOT / "ase_elf").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not (
                node.name == "plot" or node.name.startswith("plot_")
            ):
                continue
            if node.name == "plotly_js":
                continue
            names = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
            assert "ax" in names and node.args.kwarg is not None, f"{path.name}: {node.name}"
            checked += 1
    assert checked > 30


def test_a_color_map_is_spread_over_the_curves_and_many_curves_are_all_drawn():
    many = {str(k): (X, X) for k in range(12)}
    ax = curves.plot_curves(X, many, y_limits=(0, 1), **LABELS)
    assert len({to_rgba(line.get_color()) for line in ax.lines}) == 12
    options = {"cmap": "viridis", "lw": 1}
    one, two = palette(2, options)
    assert to_rgba(one) != to_rgba(two) and options == {"lw": 1}
    with pytest.raises(ValueError, match="nothing"):
        palette(2, {"cmap": "nothing"})


def test_as_many_axes_as_panels():
    with pytest.raises(InputError, match="2 panels"), panels(Figure().subplots(1, 3), (1, 2), (4, 3), {}):
        pass


def test_bonds_of_a_table_are_drawn_in_one_color(bonds):
    ax = bonds.plot(color="red", units="pm")
    assert to_rgba(ax.lines[0].get_color()) == to_rgba("red") and ax.get_xlabel() == "bond length / pm"
