"""Bad input, reference files with published values, and the command."""

import csv
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner
from fields import NAMED

from ase_elf import ELFGrid, read_elf, write_elf
from ase_elf.cli import main
from ase_elf.cli.topology import command
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.topology import critical_points, networking, read_density, rescaled
from ase_elf.topology.record import basin_rows

H = Atoms("H", cell=[3, 3, 3], pbc=True)


def loose(values):
    """Something shaped like an ELFGrid that has not been checked."""
    return SimpleNamespace(values=values, atoms=H, cell=H.cell.array, info={}, sigma=None)


WAVE = NAMED["aniscos"].grid(8).values
BAD = {
    "constant": (np.full((8, 8, 8), 0.5), "constant"),
    "nan": (np.where(WAVE > 0.9, np.nan, WAVE), "NaN"),
    "density": (WAVE * 30, r"\[0, 1\]"),
    "flat direction": (WAVE[:, :, :1], "shape"),
    "two-dimensional": (WAVE[0], "shape"),
}


@pytest.mark.parametrize("read", [networking, critical_points])
@pytest.mark.parametrize("case", BAD)
def test_fields_without_topology_are_refused_with_the_reason(read, case):
    values, reason = BAD[case]
    with pytest.raises(InputError, match=reason):
        read(loose(values))


def test_a_cell_without_volume_is_refused():
    grid = loose(WAVE)
    grid.cell = np.zeros((3, 3))
    with pytest.raises(InputError, match="volume"):
        networking(grid)


def test_vacuum_is_reported_and_does_not_stop_the_search():
    axis = np.arange(40) * 0.3
    xyz = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    values = np.exp(-0.5 * ((xyz - 6.05) ** 2).sum(-1) / 0.7**2)
    grid = ELFGrid(
        np.where(values < 1e-6, 0, values), Atoms("H", positions=[[6.05] * 3], cell=[12] * 3, pbc=True)
    )
    points = critical_points(grid)
    assert points.empty > 0.5
    assert points.counts.attractor == 1
    assert networking(grid).phi == 0


def test_vacuum_cut_off_sharply_does_not_send_the_networking_value_below_the_field(tmp_path):
    values = NAMED["aniscos"].grid(12).values.copy()
    values[6:] = 0
    write_elf(tmp_path / "slab.cube", ELFGrid(values, H))
    assert networking(ELFGrid(values, H)).phi == 0
    result = CliRunner().invoke(main, ["topology", str(tmp_path / "slab.cube")])
    assert result.exit_code == 0, result.output


TABLE = {
    "H3S-qe.cube": (0.71, 0.71, 0.71, 0.71),
    "CaYH18-qe.cube": (0.63, 0.63, 0.60, 0.79),
    "CaYH20-vasp.ELFCAR": (0.63, 0.63, 0.55, 0.72),
}


@pytest.mark.parametrize("name", TABLE)
def test_published_networking_values(shared_data, name):
    net = networking(read_elf(shared_data / "tcestime" / name))
    found = (net.phi1, net.phi2, net.phi3, net.phi_star)
    assert found == pytest.approx(TABLE[name], abs=0.01)


def test_the_unscaled_file_is_detected_and_corrected(shared_data):
    grid = read_elf(shared_data / "tcestime" / "CaYH18-qe-unscaled.cube")
    with pytest.warns(ElfWarning, match="mean ELF is 0.625"):
        networking(grid)
    right = read_elf(shared_data / "tcestime" / "CaYH18-qe.cube")
    # Two runs, each printed with six digits: they differ by 7.3e-5 at most.
    assert rescaled(grid.values) == pytest.approx(right.values, abs=1e-4)
    fixed = networking(ELFGrid(rescaled(grid.values), grid.atoms))
    assert fixed.phi == pytest.approx(0.60, abs=0.01)


def test_critical_points_of_a_coarse_vasp_file(shared_data):
    grid = read_elf(shared_data / "tcestime" / "CaYH20-vasp.ELFCAR")
    # What critic2 finds with its deepest seeding (SEED WS DEPTH 3) and no seeding short of it.
    points = critical_points(grid, persistence=0)
    assert points.counts == (22, 88, 112, 46)
    assert points.euler == 0


def test_hydrogen_fluid_has_an_attractor_per_atom_and_morse_sum_zero(shared_data):
    from ase.units import Bohr

    path = shared_data / "hydrogen" / "labels" / "fluid-hpl-67.npz"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the labels")
    with np.load(path) as label:
        atoms = Atoms(
            f"H{len(label['pos'])}", positions=label["pos"] * Bohr, cell=label["cell"] * Bohr, pbc=True
        )
        grid = ELFGrid(label["elf"] / np.float32(65535), atoms)
    net = networking(grid)
    points = critical_points(grid)
    assert points.counts.attractor == len(net.basins) == 128
    assert points.euler == 0
    assert sorted(net.of_atom) == list(range(128))


@pytest.fixture
def elf_file(tmp_path):
    path = tmp_path / "lattice.cube"
    write_elf(path, NAMED["slanted"].grid(24))
    return path


def test_the_command_prints_the_networking_value(elf_file):
    result = CliRunner().invoke(command, [str(elf_file)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "phi3 0.4444" in result.output
    assert "1 attractor, 3 bond, 3 ring, 1 cage; Morse sum 0" in result.output
    assert "critical temperature" not in result.output


def test_the_command_writes_json_graph_and_points(elf_file, tmp_path):
    graph, points = tmp_path / "net.json", tmp_path / "points.csv"
    arguments = [
        str(elf_file),
        "--json",
        "--isovalue",
        "0.5",
        "--graph",
        str(graph),
        "--points",
        str(points),
        "--h-dos",
        "0.5",
    ]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    record = json.loads(result.output)
    assert record["phi"] == pytest.approx(4 / 9, abs=1e-3)
    assert set(record["tc_kelvin"]) == {"leastsq", "SR2", "SR4", "SR5"}
    assert len(json.loads(graph.read_text())["edges"]) == 2
    assert points.read_text().count("\n") == 9


@pytest.fixture
def density_file(elf_file, tmp_path):
    """A cube of two electrons spread evenly over twice the points of the ELF."""
    from ase.io.cube import write_cube
    from ase.units import Bohr

    grid = read_elf(elf_file)
    even = np.full([2 * n for n in grid.shape], 2 / grid.atoms.get_volume() * Bohr**3)
    path = tmp_path / "density.cube"
    with path.open("w") as file:
        write_cube(file, grid.atoms, even)
    return path


def test_the_command_writes_basins_with_populations(elf_file, density_file, tmp_path):
    table = tmp_path / "basins.csv"
    arguments = [str(elf_file), "--basins", str(table), "--density", str(density_file)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    with table.open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["population"]) == pytest.approx(2, rel=1e-4)
    assert float(row["volume"]) == pytest.approx(read_elf(elf_file).atoms.get_volume(), rel=1e-6)
    assert (row["label"], row["joins"]) == ("hydrogen", "")


def test_a_basin_names_the_one_it_joins():
    net = networking(NAMED["index2"].grid(16))
    first, second = basin_rows(net)
    assert first["joins"] == "" and second["joins"] == 0
    assert second["joins_at"] == net.tree.merges[0].value


def test_basins_of_slight_attractors_count_with_the_one_above():
    net = networking(NAMED["index2"].grid(16))
    (row,) = basin_rows(net, np.ones(net.basins.labels.shape), persistence=1.0)
    volume = net.basins.volumes.sum()
    assert (row["volume"], row["population"]) == pytest.approx((volume, volume))


def test_a_chgcar_is_a_density(tmp_path):
    from ase.calculators.vasp import VaspChargeDensity

    charge = VaspChargeDensity(None)
    charge.atoms, charge.chg = [H], [np.full((4, 6, 8), 1 / 27)]
    charge.write(str(tmp_path / "CHGCAR"))
    density = read_density(tmp_path / "CHGCAR", H.cell.array)
    assert density.shape == (4, 6, 8)
    assert density.mean() * H.get_volume() == pytest.approx(1)


def test_densities_that_do_not_belong_are_refused(elf_file, density_file, tmp_path):
    cell = read_elf(elf_file).cell
    with pytest.raises(InputError, match="same run"):
        read_density(density_file, cell * 1.1)
    with pytest.raises(InputError, match="does not exist"):
        read_density(tmp_path / "no.cube", cell)
    text = density_file.read_text()
    density_file.write_text(text[: len(text) // 2])
    with pytest.raises(FormatError):
        read_density(density_file, cell)


def test_the_command_says_what_it_cannot_do(elf_file, density_file, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(main, ["topology", str(elf_file), *map(str, arguments)])

    persistence = run("--persistence", "nan")
    assert persistence.exit_code == 1 and "persistence = nan" in persistence.output
    usage = run("--density", density_file)
    assert usage.exit_code == 2 and "--basins" in usage.output
    spin = run("--spin", "up")
    assert spin.exit_code == 1 and "spin" in spin.output
    nowhere = run("--points", tmp_path / "no" / "points.csv")
    assert nowhere.exit_code == 1 and "cannot write" in nowhere.output
    assert "should not happen" not in usage.output + spin.output + nowhere.output


def test_the_command_takes_several_files_and_stores(elf_file, tmp_path):
    from ase_elf.formats.store import ELFStore

    store = tmp_path / "run.elfstore"
    write_elf(store, NAMED["index2"].grid(16))
    ELFStore(store).append(NAMED["aniscos"].grid(16))
    result = CliRunner().invoke(command, [str(elf_file), str(store), "--json"], catch_exceptions=False)
    records = [json.loads(line) for line in result.output.splitlines()]
    assert [r["critical_points"]["attractor"] for r in records] == [1, 2, 1]


def test_values_beside_the_unit_interval_warn_only():
    with pytest.warns(ElfWarning, match="slightly"):
        networking(loose(WAVE * 1.01))


def test_nothing_is_printed(capsys):
    with warnings.catch_warnings():
        networking(NAMED["aniscos"].grid(16))
        critical_points(NAMED["aniscos"].grid(16))
    assert capsys.readouterr() == ("", "")
