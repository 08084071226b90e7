"""Every result object draws itself, on an axis of its own or on the one it is given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid
from ase_elf.ruler import measure_bonds
from ase_elf.statistics import ScalarAverage
from ase_elf.testing import GaussianModel, molecular_fluid
from ase_elf.topology import critical_points, networking
from ase_elf.viewer import view_network


@pytest.fixture(scope="module")
def grid():
    atoms = molecular_fluid(8, 1, length=3.6)[0]
    prediction = GaussianModel().predict([atoms], [(20, 20, 20)])[0]
    return ELFGrid(prediction.values, atoms, {}, prediction.sigma)


@pytest.fixture(params=["grid", "networking", "critical points", "bonds", "no bonds", "average", "short"])
def result(request, grid):
    return {
        "grid": lambda: grid,
        "networking": lambda: networking(grid),
        "critical points": lambda: critical_points(grid),
        "bonds": lambda: measure_bonds(grid.atoms, grid, cutoffs={("H", "H"): 1.2}),
        "no bonds": lambda: measure_bonds(grid.atoms, grid, cutoffs={}),
        "average": lambda: ScalarAverage(0.5, 0.01, 0.1, 2.0, 100, False),
        "short": lambda: ScalarAverage(0.5, 0.01, 0.1, 2.0, 4, True),
    }[request.param]()


def test_a_result_draws_itself(result):
    own = Figure().subplots()
    assert result.plot(own) is own
    ax = result.plot()
    assert ax.figure is not own.figure
    ax.figure.canvas.draw()


def test_a_plane_that_is_none_is_refused(grid):
    with pytest.raises(InputError, match="normal = 3"):
        grid.plot(normal=3)


def test_lines_of_a_network_stand_at_its_values(grid):
    network = networking(grid)
    drawn = {round(float(line.get_xdata()[0]), 3) for line in network.plot().lines[1:]}
    assert drawn == {round(v, 3) for v in (network.phi, network.phi1, network.phi2, network.phi_star)}


def test_the_3d_view_is_a_plotly_figure_with_bonds_to_images(grid):
    figure = view_network(grid)
    assert len(figure.data) == 6 and not figure.layout.sliders
    bonds = figure.data[1]
    start, end = (np.array([bonds.x, bonds.y, bonds.z], float)[:, k::3] for k in (0, 1))
    lengths = np.sort(np.linalg.norm(end - start, axis=0))
    table = measure_bonds(grid.atoms, grid)
    np.testing.assert_allclose(lengths, np.sort(table["length"]), atol=2e-3)  # rounded to 0.001


def test_several_grids_get_a_slider(grid):
    assert len(view_network([grid, grid]).layout.sliders[0].steps) == 2
    with pytest.raises(InputError):
        view_network([])
    with pytest.raises(InputError, match="between 0 and 1"):
        view_network(grid, isovalue=1.5)


def test_the_view_becomes_a_notebook_widget(grid):
    pytest.importorskip("anywidget", reason="the extra [notebook] is not installed")
    from plotly.graph_objects import FigureWidget

    widget = FigureWidget(view_network(grid))
    widget.data[0].opacity = 0.5
    assert len(widget.data) == 6
