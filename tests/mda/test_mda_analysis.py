"""Network statistics through MDAnalysis: the same numbers whoever computes them where."""

import os
import pickle

import MDAnalysis as mda
import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from MDAnalysis.analysis.base import AnalysisFromFunction

from ase_elf.analysis.frame import SCALARS
from ase_elf.analysis.recorder import NetworkObserver, Recorder
from ase_elf.analysis.scalars import structure_scalars
from ase_elf.errors import InputError
from ase_elf.mda import (
    BondAnalysis,
    BondLifetimeAnalysis,
    ClusterAnalysis,
    DistributedBackend,
    ELFTransformation,
    MolecularFraction,
    NetworkAnalysis,
    NetworkingValue,
    PairDistribution,
    PercolationAnalysis,
    ResolvedPairDistribution,
    follow,
    to_universe,
)
from ase_elf.structures.trajectory import Trajectory
from ase_elf.testing import GaussianDomain, molecular_fluid

DOMAIN = GaussianDomain()
COARSE = {"domain": DOMAIN, "shape": (14, 14, 14), "r_max": 3.0}
N = 5


@pytest.fixture(scope="module")
def images():
    return molecular_fluid(3, N, length=4.0)


@pytest.fixture(scope="module")
def path(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.extxyz"
    write(path, images)
    return path


@pytest.fixture(scope="module")
def one_pass(path):
    """The statistics without any MDAnalysis."""
    trajectory = Trajectory(path)
    recorder = Recorder.starting_with(next(iter(trajectory)).atoms, **COARSE)
    for frame in trajectory:
        recorder.add(frame)
    recorder.flush()
    return recorder


def assert_same(analysis, recorder):
    """To what single precision of MDAnalysis' coordinates leaves of the numbers."""
    assert set(analysis.results.series) == set(SCALARS)
    for name, values in recorder.series.items():
        np.testing.assert_allclose(analysis.results.series[name], values, atol=2e-5, err_msg=name)
    expected = recorder.statistics.result()
    for name, average in expected["series"].items():
        found = analysis.results.averages[name]
        np.testing.assert_allclose(found.mean, average.mean, atol=2e-5)
        assert found.n == N
    found = analysis.results
    np.testing.assert_allclose(found.rdf.g, expected["rdf"].g, atol=2e-5)
    np.testing.assert_allclose(found.percolation.probability, expected["percolation"].probability, atol=2e-5)
    lifetime = expected["lifetime"]
    assert not found.lifetime.refused and found.lifetime.breaks == lifetime.breaks
    np.testing.assert_allclose(found.lifetime.continuous, lifetime.continuous)


def bitwise(analysis):
    """Everything that was counted, as bytes."""
    state = analysis.results.statistics.state()
    return {name: np.asarray(array) for name, array in state.items()}


def assert_identical(found, serial):
    for name, values in serial.results.series.items():
        np.testing.assert_array_equal(found.results.series[name], values, err_msg=name)
    there = bitwise(found)
    for name, array in bitwise(serial).items():
        # Sums over parts are added in another order: round-off, not more.
        np.testing.assert_allclose(there[name], array, rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_array_equal(found.frames, serial.frames)


@pytest.fixture(scope="module")
def serial(path):
    return NetworkAnalysis(mda.Universe(path), **COARSE, batch=2).run()


def test_the_file_read_by_mdanalysis_gives_what_one_pass_gives(serial, one_pass):
    assert_same(serial, one_pass)
    assert serial.times == pytest.approx(1e-3 * np.array(one_pass.times_fs))


def test_structures_in_memory_give_the_same(images, one_pass):
    assert_same(NetworkAnalysis(to_universe(images), **COARSE).run(), one_pass)


@pytest.mark.parametrize(
    "how",
    [
        {"n_parts": 2},
        {"n_parts": N},  # one frame each
        {"backend": "multiprocessing", "n_workers": 2, "n_parts": 3},
        {"backend": "dask", "n_workers": 2},
    ],
    ids=["serial", "frame-by-frame", "multiprocessing", "dask"],
)
def test_parts_give_what_one_pass_gives(how, path, serial):
    if how.get("backend") == "dask":
        pytest.importorskip("dask")
    # Batches of one: what is predicted beside a frame cannot matter then.
    analysis = NetworkAnalysis(mda.Universe(path), **COARSE, batch=1)
    assert_identical(analysis.run(**how), serial)


def test_every_analysis_runs_in_parts_and_every_result_has_an_aggregator(path, serial):
    universe = mda.Universe(path)
    everything = {
        NetworkingValue: {"phi", "phi1", "phi2", "phi_star", "uncertainty", "averages"},
        MolecularFraction: {"by_cutoff", "by_distance", "by_domain", "averages"},
        BondLifetimeAnalysis: {"lifetime"},
        ClusterAnalysis: {"clusters", "degrees", "singles", "pairs", "triples", "larger"}
        | {"chains", "branched", "rings", "averages"},
        BondAnalysis: {"bonds", "midpoint", "number", "length", "elf", "averages"},
        ResolvedPairDistribution: {"rdf", "resolved_rdf", "midpoint", "bond_point", "orientation"},
        PercolationAnalysis: {"percolation"},
    }
    for kind, names in everything.items():
        assert "multiprocessing" in kind.get_supported_backends()
        results = kind(universe, **COARSE).run(stop=2, n_parts=2).results
        assert set(results) == names | {"statistics"}, kind
        for name in names:
            assert f"results.{name}" in kind.__doc__, (kind, name)
        assert results.statistics.n_frames == 2
    series = serial.results.series
    found = NetworkingValue(universe, **COARSE).run(frames=[0, 3]).results
    np.testing.assert_array_equal(found.phi, series["elf_phi"][[0, 3]])


def test_the_bond_table_has_one_row_per_bond_and_frame(path, serial):
    analysis = BondAnalysis(mda.Universe(path), **COARSE, batch=2).run(start=1, step=2, n_parts=2)
    bonds = analysis.results.bonds
    assert bonds.shape[1] == len(BondAnalysis.COLUMNS)
    assert sorted(set(bonds[:, 0])) == [1, 3] and analysis.frames.tolist() == [1, 3]
    number = serial.results.series["elf_bonds"][[1, 3]]
    np.testing.assert_array_equal(analysis.count_by_time(), number)
    np.testing.assert_array_equal(np.unique(bonds[:, 0], return_counts=True)[1], number)
    length = bonds[bonds[:, 0] == 3, 3].mean()
    assert length == pytest.approx(serial.results.series["elf_bond_length_mean"][3])


def test_no_frames_give_empty_results(path):
    results = NetworkingValue(mda.Universe(path), **COARSE).run(stop=0).results
    assert results.phi.shape == (0,) and results.statistics.n_frames == 0


def test_an_analysis_runs_again_from_the_start(path, serial):
    analysis = NetworkAnalysis(mda.Universe(path), **COARSE, batch=2)
    analysis.run(stop=2)
    assert_identical(analysis.run(), serial)


@pytest.mark.ci  # starts a cluster
def test_a_dask_cluster_computes_it_in_its_own_processes(path, serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        analysis = NetworkAnalysis(mda.Universe(path), **COARSE, batch=1)
        backend = DistributedBackend(client)
        assert backend.n_workers == 2
        analysis.run(backend=backend, n_parts=4, unsupported_backend=True)
        assert_identical(analysis, serial)
        pids = set(backend.apply(_pid, [0, 1, 2, 3]))
        assert pids <= set(client.run(os.getpid).values()) and os.getpid() not in pids
        with pytest.raises(ZeroDivisionError):
            backend.apply(_fail, [1])
        # A worker that is lost with its part is replaced, and the part computed again.
        assert backend.apply(_die_once, [tmp_path / "died", None]) == [True, False]


def _pid(_):
    return os.getpid()


def _die_once(mark):
    if mark is None:
        return False
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return True


def _fail(x):
    return x / 0


def test_a_backend_without_workers_is_refused():
    class Empty:
        map = gather = None

        def nthreads(self):
            return {}

    with pytest.raises(InputError, match="no workers yet"):
        DistributedBackend(Empty())
    with pytest.raises(InputError, match="no dask.distributed Client"):
        DistributedBackend("scheduler:8786")


def test_part_of_the_atoms_and_wrong_options_are_refused(path):
    universe = mda.Universe(path)
    with pytest.raises(InputError, match="4 of 6 atoms"):
        NetworkAnalysis(universe.atoms[:4], **COARSE)
    with pytest.raises(InputError, match="batch = 0"):
        NetworkAnalysis(universe, **COARSE, batch=0)
    with pytest.raises(InputError, match="Au"):
        NetworkAnalysis(to_universe(Atoms("Au", cell=[4] * 3, pbc=True)), **COARSE)
    with pytest.raises(InputError, match="no three-dimensional cell"):
        NetworkAnalysis(to_universe(Atoms("H2", [(0, 0, 0), (0, 0, 0.7)])), **COARSE)


class CountingModel:
    def __init__(self, model):
        self.model = model
        self.calls = 0

    def predict(self, structures, shapes, **options):
        self.calls += len(structures)
        return self.model.predict(structures, shapes, **options)

    def __reduce__(self):
        raise TypeError("a model must not be pickled")


class CountingDomain(GaussianDomain):
    models = []

    def __init__(self):
        super().__init__()
        self.card.update(trained_range={})

    def load(self, device=None, dtype="float32"):
        self.models.append(CountingModel(super().load(device, dtype)))
        return self.models[-1]


def test_the_transformation_gives_each_frame_its_elf_and_computes_it_once(path, images):
    universe = mda.Universe(path)
    CountingDomain.models.clear()
    elf = ELFTransformation(universe, domain=CountingDomain(), shape=(14, 14, 14), keep=N)
    universe.trajectory.add_transformations(elf)
    grids = [ts.data["elf"] for ts in universe.trajectory]
    again = [ts.data["elf"] for ts in universe.trajectory[::-1]][::-1]
    assert all(a is b for a, b in zip(grids, again, strict=True))
    assert sum(model.calls for model in CountingDomain.models) == N
    for ts, atoms in zip(universe.trajectory, images, strict=True):
        assert ts.data["elf"].atoms.positions == pytest.approx(atoms.positions, abs=1e-6)
        expected = structure_scalars(ts.data["elf"])
        assert {name: ts.data[name] for name in expected} == expected


def test_the_transformation_travels_without_its_model(path):
    universe = mda.Universe(path)
    elf = ELFTransformation(universe, domain=CountingDomain(), shape=(14, 14, 14), scalars=["elf_mean"])
    universe.trajectory.add_transformations(elf)
    there = pickle.loads(pickle.dumps(elf))
    assert there._calculator is None and not there._known
    copy = pickle.loads(pickle.dumps(universe))
    assert copy.trajectory[2].data["elf_mean"] == universe.trajectory[2].data["elf_mean"]


def test_analyses_of_others_see_the_elf_in_their_worker_processes(path):
    universe = mda.Universe(path)
    elf = ELFTransformation(universe, domain=CountingDomain(), shape=(14, 14, 14), scalars=["elf_mean"])
    universe.trajectory.add_transformations(elf)
    expected = [ts.data["elf_mean"] for ts in universe.trajectory]
    there = AnalysisFromFunction(_mean_of, universe.trajectory, universe.atoms)
    there.run(backend="multiprocessing", n_workers=2)
    np.testing.assert_allclose(there.results.timeseries, expected, rtol=1e-6)


def _mean_of(atoms):
    return atoms.universe.trajectory.ts.data["elf_mean"]


def test_a_universe_in_memory_cannot_be_transformed(images, path):
    with pytest.raises(InputError, match="universe in memory"):
        ELFTransformation(to_universe(images), domain=DOMAIN)
    universe = mda.Universe(path)
    with pytest.raises(InputError, match="did you mean 'elf_phi'"):
        ELFTransformation(universe, domain=DOMAIN, scalars=["elf_ph"])
    elf = ELFTransformation(universe, domain=DOMAIN)
    other = to_universe(images[0][:4])
    with pytest.raises(InputError, match="has 4 atoms"):
        elf(other.trajectory.ts)


def test_following_a_file_shows_statistics_growing(path, one_pass):
    universe = mda.Universe(path)
    seen = [len(recorder) for recorder in follow(universe, **COARSE, batch=2)]
    assert seen == [2, 4, 5]
    cut = follow(mda.Universe(path), **COARSE, batch=2, stop=3)
    assert [len(recorder) for recorder in cut] == [2, 3]
    *_, recorder = follow(mda.Universe(path), **COARSE, step=2, stop=2)
    np.testing.assert_allclose(recorder.series["elf_phi"], one_pass.series["elf_phi"][[0, 2]])
    assert recorder.frames == [0, 2]


def test_an_observer_of_a_simulation_feeds_the_same_statistics(images, one_pass):
    class Replay:
        """Dynamics that plays a trajectory."""

        atoms, nsteps = images[0].copy(), 0

        def get_time(self):
            from ase.units import fs

            return self.nsteps * fs

    dynamics = Replay()
    observer = NetworkObserver(dynamics, Recorder.starting_with(images[0], **COARSE, batch=1))
    for k, atoms in enumerate(images):
        dynamics.nsteps = k
        dynamics.atoms.positions = atoms.positions
        observer()
    for name, values in one_pass.series.items():
        np.testing.assert_allclose(observer.recorder.series[name], values, atol=1e-5)
    there = observer.recorder.statistics.result()["lifetime"]
    assert there.breaks == one_pass.statistics.result()["lifetime"].breaks
    assert there.spacing_fs == pytest.approx(1.0)


@pytest.mark.parametrize("how", [{}, {"n_parts": 2}])
def test_a_pair_distribution_predicts_nothing_and_is_that_of_the_network_analysis(
    path, serial, monkeypatch, how
):
    def refuse(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(GaussianDomain, "load", refuse)
    coarse = {name: COARSE[name] for name in ("r_max", "r_bin", "domain") if name in COARSE}
    found = PairDistribution(mda.Universe(path), **coarse).run(**how).results
    assert set(found) == {"rdf"}
    expected = serial.results.rdf
    np.testing.assert_allclose(found.rdf.g, expected.g, rtol=1e-12)
    np.testing.assert_allclose(found.rdf.error, expected.error, rtol=1e-9)
    with pytest.raises(TypeError, match="spacing"):
        PairDistribution(mda.Universe(path), spacing=0.2)
