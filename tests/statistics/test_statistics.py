"""Statistics against analytic answers, brute force, and themselves in parts."""

import itertools
import re

import numpy as np
import pytest

from ase_elf.errors import InputError
from ase_elf.statistics import (
    Blocking,
    BondLifetime,
    FrameResult,
    PartnerChanges,
    RatioBlocking,
    RunStatistics,
    TimeSeries,
    vibration_period,
)
from ase_elf.statistics.percolation import THRESHOLDS
from ase_elf.statistics.rdf import first_minimum
from ase_elf.statistics.rounding import with_error
from ase_elf.statistics.run import StatisticsPlan

MASSES = {"X": 1.008}


def frame_with(index, pairs=(), time_fs=None, n_atoms=20, scalars=None, rng=None):
    """A frame with the given molecules; counts are random but fit together."""
    rng = rng or np.random.default_rng(index)
    pairs = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    n = len(pairs)
    orientation = rng.integers(0, 5, (2, 4)).astype(float)
    return FrameResult(
        frame=index,
        time_fs=2.0 * index if time_fs is None else time_fs,
        volume=30.0 + rng.random(),
        scalars={f"elf_{name}": rng.random() for name in THRESHOLDS} | (scalars or {}),
        outside=("dense",) if index % 7 == 0 else (),
        bonds={
            "i": pairs[:, 0],
            "j": pairs[:, 1],
            "length": rng.uniform(0.7, 1.2, n),
            "elf_mid": rng.random(n),
            "elf_min": rng.random(n),
            "elf_point": np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
            "mutual": np.ones(n, dtype=bool),
        },
        rdf_counts=rng.integers(0, 9, (1, 10)),
        resolved_counts=rng.integers(0, 9, (1, 4, 5)),
        composition={"X": n_atoms},
        cluster_sizes=rng.integers(1, 30, 6),
        degrees=rng.integers(0, 4, n_atoms),
        largest_fraction=rng.random(3),
        elf_histogram=rng.random(5),
        orientation=orientation,
        geometry=index,
    )


def plan(step=1):
    return StatisticsPlan(
        names=("elf_phi",),
        pairs=("X-X",),
        r_edges=np.linspace(0, 3, 11),
        bonding_pairs=("X-X",),
        resolved_edges=np.linspace(0, 3, 6),
        elf_edges=np.linspace(0, 1, 5),
        orientation_edges=np.linspace(0, 4, 5),
        length_edges=np.linspace(0.6, 1.3, 8),
        isovalues=np.array([0.3, 0.5, 0.7]),
        n_elf=5,
        masses=MASSES,
        max_lag=6,
        step=step,
    )


def random_run(n, *, n_atoms=20, stay=0.8, seed=1, step=1, start=0):
    """Frames in which a fixed list of pairs blinks as a Markov chain."""
    rng = np.random.default_rng(seed)
    candidates = [(i, i + 1) for i in range(0, n_atoms, 2)]
    on = rng.random(len(candidates)) < 0.5
    frames = []
    for k in range(n):
        flip = rng.random(len(candidates)) > stay
        on = on ^ flip
        pairs = [pair for pair, bound in zip(candidates, on, strict=True) if bound]
        frames.append(frame_with(start + k * step, pairs, rng=rng, n_atoms=n_atoms))
    return frames


def ar1(n, phi, seed, size=1):
    """Independent autoregressive series, shape (n, size), started in equilibrium."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, size))
    x[0] /= np.sqrt(1 - phi**2)
    for k in range(1, n):
        x[k] += phi * x[k - 1]
    return x


def blocked(x, first=0):
    x = np.asarray(x).reshape(len(x), -1 if len(x) else 1)
    blocks = Blocking(x.shape[1])
    for k, values in enumerate(x):
        blocks.update(first + k, values)
    return blocks


def test_blocking_finds_the_correlation_time_of_an_autoregressive_series():
    phi = 0.9
    exact = 0.5 * (1 + phi) / (1 - phi)  # 1/2 + sum of phi^k
    times = blocked(ar1(4096, phi, 0, size=50)).result().correlation_time
    # The mean over 50 noisy estimates.
    assert np.mean(times) == pytest.approx(exact, rel=0.2)


def test_blocked_error_covers_the_true_mean():
    result = blocked(ar1(2048, 0.9, 1, size=500)).result()
    stated = ~result.too_short
    hits = np.mean(np.abs(result.mean[stated]) < 2 * result.error[stated])
    assert stated.mean() > 0.95
    assert hits > 0.9  # 0.954 for a perfect error; the plain one would give 0.35


def test_white_noise_has_the_plain_standard_error_and_never_less():
    x = np.random.default_rng(3).normal(size=(1000, 200))
    result = blocked(x).result()
    plain = x.std(0, ddof=1) / np.sqrt(1000)
    stated = ~result.too_short
    assert stated.mean() > 0.95
    assert (result.error[stated] >= plain[stated] * (1 - 1e-12)).all()
    assert np.median(result.error[stated] / plain[stated]) < 1.2


TRIALS = 600
RATES = {3: (0, 0.15), 5: (0, 0.15), 25: (0.6, 1), 50: (0.9, 1), 100: (0.9, 1)}
COVERS = {25: 0.50, 50: 0.60, 100: 0.64}
DOUBT = 1.5  # standard deviations of a share of so many trials; the study in benchmarks has more


@pytest.mark.parametrize("tau", [2, 5, 20])
@pytest.mark.parametrize("span", [3, 5, 25, 50, 100])
def test_errors_of_correlated_series_are_stated_where_they_cover(span, tau):
    x = ar1(span * tau, np.exp(-1 / tau), 10 * span + tau, size=TRIALS)
    result = blocked(x, first=5).result()
    stated = np.isfinite(result.error)
    np.testing.assert_array_equal(stated, ~result.too_short)
    low, high = RATES[span]
    assert low - 0.03 <= stated.mean() <= high
    if span in COVERS:
        covered = np.mean(np.abs(result.mean[stated]) < result.error[stated])
        assert covered > COVERS[span] - DOUBT * 0.5 / np.sqrt(stated.sum())


@pytest.mark.parametrize("n", [12, 60, 500, 3000])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_drifting_series_is_too_short(n, noise):
    drift = np.linspace(0, 3, n)[:, None] + noise * ar1(n, 0.0, n, size=50)
    assert blocked(drift).result().too_short.all()


@pytest.mark.parametrize("value", [0.0, 0.5859, -7e9])
@pytest.mark.parametrize("n", [2, 8, 40, 300])
def test_a_constant_series_has_no_error_and_is_called_constant(n, value):
    result = blocked(np.full(n, value)).result()
    assert result.mean[0] == value and np.isnan(result.error[0])
    assert result.constant[0] and not result.too_short[0]


def test_an_oscillating_series_has_at_least_the_plain_error():
    x = np.tile([1.0, -1.0], 200) + 0.1 * np.random.default_rng(5).normal(size=400)
    result = blocked(x).result()
    assert result.error[0] == pytest.approx(x.std(ddof=1) / 20)


def test_a_ratio_from_few_frames_has_no_error():
    ratios = RatioBlocking(3)  # always, in three frames, the same in all
    rng = np.random.default_rng(2)
    for k in range(200):
        number = np.array([rng.integers(1, 4), k in (20, 90, 150), 1])
        ratios.update(k, number * np.array([rng.normal(0.5, 0.1), rng.random(), 0.25]), number)
    result = ratios.result()
    assert np.isfinite(result.error).tolist() == [True, False, False]
    assert result.too_short.tolist() == [False, True, False]
    assert result.constant.tolist() == [False, False, True]


@pytest.mark.parametrize(("value", "error", "text"), [
    (0.56583, 0.00712, "0.5658 ± 0.0071"), (0.3, 0.0996, "0.30 ± 0.10"), (0.3, 0.0994, "0.300 ± 0.099"),
    (1234.5, 67.8, "1234 ± 68"), (12345, 678, "12340 ± 680"), (5, 12, "5 ± 12"), (-0.2, 0.013, "-0.200 ± 0.013"),
    (0.5859, 0.0, "0.5859"), (0.5859, np.nan, "0.5859"), (np.nan, 0.1, "undefined"),
])  # fmt: skip
def test_values_are_rounded_by_their_error(value, error, text):
    assert with_error(value, error) == text


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_handful_of_frames_is_too_short(n):
    assert blocked(np.arange(float(n))).result().too_short[0]


@pytest.mark.parametrize("cuts", [[1], [3, 4, 9], [16, 32], [7, 8, 40, 63]])
@pytest.mark.parametrize("first", [0, 5])
def test_merged_blocks_are_the_blocks_of_one_pass(cuts, first):
    x = ar1(77, 0.7, 1)
    whole, merged = blocked(x, first), Blocking(1)
    for part, at in zip(np.split(x, cuts), [0, *cuts], strict=True):
        merged.merge(Blocking.from_state(blocked(part, first + at).state()))
    assert [s.shape for s in whole.state().values()] == [s.shape for s in merged.state().values()]
    for name, array in whole.state().items():
        np.testing.assert_allclose(merged.state()[name], array, rtol=1e-12, atol=1e-13)


def test_gaps_and_parts_out_of_order_are_refused():
    blocks = blocked(np.ones(4))
    with pytest.raises(InputError, match="complete"):
        blocks.update(6, np.ones(1))
    with pytest.raises(InputError, match="does not follow"):
        blocks.merge(blocked(np.ones(3), first=9))


def test_ratio_error_matches_the_spread_of_repeated_runs():
    def run(seed):
        rng = np.random.default_rng(seed)
        ratios = RatioBlocking(1)
        for k in range(256):
            b = rng.integers(1, 20)
            ratios.update(k, [b * 0.4 + rng.normal()], [b])
        return ratios.result()

    results = [run(s) for s in range(100)]
    spread = np.std([r.mean[0] for r in results])
    # 100 runs leave 7 % of noise in the spread.
    assert np.mean([r.error[0] for r in results]) == pytest.approx(spread, rel=0.2)


def test_frame_survives_json_bit_for_bit():
    frame = frame_with(3, [(0, 1), (4, 7)], scalars={"elf_phi_star": float("nan")})
    again = FrameResult.from_json(frame.to_json())
    assert again.to_json() == frame.to_json()
    assert again.bonds["length"].tobytes() == frame.bonds["length"].tobytes()
    assert again.bonds["mutual"].dtype == bool
    empty = frame_with(4)
    assert FrameResult.from_json(empty.to_json()).to_json() == empty.to_json()


@pytest.mark.parametrize("cuts", [[1], [2, 3, 4], [10], [5, 6, 25], [20, 39]])
@pytest.mark.parametrize("step", [1, 3])
def test_every_statistic_merges_to_one_pass(cuts, step):
    frames = random_run(40, step=step, start=2)
    whole, merged = RunStatistics(plan(step)), RunStatistics(plan(step))
    for frame in frames:
        whole.update(frame)
    for part in np.split(np.arange(40), cuts):
        piece, restored = RunStatistics(plan(step)), RunStatistics(plan(step))
        for k in part:
            piece.update(frames[k])
        restored.load(piece.state())
        merged.merge(restored)
    for name, array in whole.state().items():
        np.testing.assert_allclose(merged.state()[name], array, rtol=1e-11, atol=1e-12, err_msg=name)


def brute_force_correlations(frames, n_lags):
    """C and S by the definition, pair by pair and origin by origin."""
    sets = [set(map(tuple, frame.molecules().tolist())) for frame in frames]
    again, still, origins = np.zeros((3, n_lags))
    for start, bonded in enumerate(sets):
        for lag in range(min(n_lags, len(sets) - start)):
            origins[lag] += len(bonded)
            again[lag] += len(bonded & sets[start + lag])
            still[lag] += len(bonded.intersection(*sets[start : start + lag + 1]))
    return again / origins, still / origins


def test_bond_correlations_match_brute_force():
    frames = random_run(50, stay=0.85)
    lifetime = BondLifetime(MASSES, max_lag=12)
    for frame in frames:
        lifetime.update(frame)
    result = lifetime.result()
    again, still = brute_force_correlations(frames, 13)
    np.testing.assert_allclose(result.intermittent, again)
    np.testing.assert_allclose(result.continuous, still)


def test_lifetime_of_a_markov_chain_is_recovered():
    frames = random_run(2000, stay=0.9, n_atoms=40)
    lifetime = BondLifetime(MASSES, max_lag=50)
    for frame in frames:
        lifetime.update(frame)
    result = lifetime.result()
    exact = 2.0 / 0.1  # dt / probability of a break per frame
    assert abs(result.lifetime_fs - exact) < 3 * result.lifetime_error_fs
    assert result.lifetime_error_fs < 0.05 * exact
    # C of a two-state chain relaxes to 1/2 with the eigenvalue 2 * 0.9 - 1.
    expected = 0.5 + 0.5 * 0.8 ** (result.lag_fs / 2)
    assert (np.abs(result.intermittent - expected) < 5 * result.intermittent_error + 1e-9).all()


def test_lifetime_is_refused_where_the_vibration_is_not_resolved():
    assert vibration_period(1.008, 1.008) == pytest.approx(7.6, abs=0.1)
    for spacing, reason in [(10.0, "do not resolve"), (np.nan, "unknown"), (2.0, "")]:
        lifetime = BondLifetime(MASSES)
        for k in range(5):
            lifetime.update(frame_with(k, [(0, 1)], time_fs=k * spacing))
        assert reason in lifetime.result().refused
        assert bool(reason) == bool(lifetime.result().refused)


def test_lifetime_is_refused_for_uneven_times():
    lifetime = BondLifetime(MASSES)
    for k, time in enumerate([0.0, 1.0, 2.0, 2.5]):
        lifetime.update(frame_with(k, [(0, 1)], time_fs=time))
    assert "evenly" in lifetime.result().refused


def test_lifetime_is_refused_for_frames_that_do_not_follow_each_other():
    lifetime = BondLifetime(MASSES)
    for k in range(10):
        lifetime.update(frame_with(k, [(k, k + 1), (18 - k, 19)]))
    assert "do not follow each other" in lifetime.result().refused


def test_bonds_that_never_break_give_a_bound_and_say_too_short():
    lifetime = BondLifetime(MASSES)
    for k in range(30):
        lifetime.update(frame_with(k, [(0, 1), (2, 3)]))
    result = lifetime.result()
    assert result.breaks == 0 and result.too_short and np.isnan(result.lifetime_error_fs)
    np.testing.assert_array_equal(result.continuous, 1)


def test_partner_changes_match_brute_force():
    rng = np.random.default_rng(4)
    history = []
    for _ in range(60):
        atoms = rng.permutation(12)
        history.append(atoms[: 2 * rng.integers(0, 7)].reshape(-1, 2))
    changes = 0
    for atom in range(12):
        partners = [int(pair[pair != atom][0]) for pairs in history for pair in pairs if atom in pair]
        changes += sum(a != b for a, b in itertools.pairwise(partners))
    whole, merged = PartnerChanges(), PartnerChanges()
    for part in np.split(np.arange(60), [1, 7, 30]):
        piece = PartnerChanges()
        for k in part:
            whole.update(history[k], 12)
            piece.update(history[k], 12)
        merged.merge(piece)
    assert whole.count == merged.count == changes > 100
    np.testing.assert_array_equal(merged.last, whole.last)


def test_molecules_that_last_are_bonded_ones_that_survive():
    frames = random_run(1200, stay=0.95)
    lifetime = BondLifetime(MASSES, max_lag=60)
    for frame in frames:
        lifetime.update(frame)
    result = lifetime.result()
    bonded = np.mean([2 * len(frame.molecules()) / 20 for frame in frames])
    np.testing.assert_allclose(result.molecular_fraction, bonded * result.continuous)
    assert result.lasting_fs == pytest.approx(76, abs=1)
    at = np.interp(result.lasting_fs, result.lag_fs, result.molecular_fraction)
    assert result.lasting_fraction == pytest.approx(at) and 0 < at < bonded
    # Of a chain that stays with 0.95 per frame of 2 fs, half is on.
    exact = 0.5 * 0.95 ** (result.lasting_fs / 2)
    assert abs(at - exact) < 3 * result.lasting_fraction_error
    # Each atom of this run has one possible partner.
    assert result.exchanges == 0 and result.exchange_rate == 0


def test_molecules_that_never_break_all_last_and_exchange_is_counted_per_atom_and_ps():
    lifetime = BondLifetime(MASSES, max_lag=60)
    for k in range(60):
        pairs = [(0, 1), (2, 3)] if k < 50 else [(0, 2), (1, 3)]
        lifetime.update(frame_with(k, pairs, n_atoms=4))
    result = lifetime.result()
    assert result.exchanges == 4
    assert result.exchange_rate == pytest.approx(4 / 4 / (59 * 2e-3))
    short = BondLifetime(MASSES, max_lag=10)
    for k in range(30):
        short.update(frame_with(k, [(0, 1), (2, 3)], n_atoms=4))
    assert short.result().molecular_fraction.tolist() == [1.0] * 11
    assert np.isnan(short.result().lasting_fraction)  # 20 fs are no ten vibrations


def test_coordination_and_its_error_are_those_of_the_sum_over_bins():
    frames = random_run(64)
    statistics, sums = RunStatistics(plan()), Blocking(10)
    for k, frame in enumerate(frames):
        statistics.update(frame)
        sums.update(k, 2 * np.cumsum(frame.rdf_counts[0]) / frame.n_atoms)
    rdf = statistics.result()["rdf"]
    np.testing.assert_allclose(rdf.coordination[0], sums.result().mean)
    np.testing.assert_allclose(rdf.coordination_error[0], sums.result().error)


def test_resolved_counts_become_parts_of_a_radial_distribution():
    frames = random_run(12)
    statistics = RunStatistics(plan())
    for frame in frames:
        statistics.update(frame)
    resolved = statistics.result()["resolved_rdf"]
    shells = 4 / 3 * np.pi * np.diff(resolved.edges**3)
    expected = np.mean(
        [2 * f.resolved_counts / f.n_atoms / (f.n_atoms / f.volume * shells) for f in frames], axis=0
    )
    np.testing.assert_allclose(resolved.g, expected)
    assert resolved.error.shape == (1, 4, 5) and (resolved.error > 0).any()


def test_spanning_curves_are_shares_of_frames_by_dimension_and_by_axis():
    frames = random_run(20)
    statistics = RunStatistics(plan())
    for frame in frames:
        statistics.update(frame)
    curve = statistics.result()["percolation"]
    rows = np.concatenate([curve.probability, curve.wrapping])
    for name, row in zip(THRESHOLDS, rows, strict=True):
        values = np.array([frame.scalars[f"elf_{name}"] for frame in frames])
        np.testing.assert_allclose(row, [(values >= t).mean() for t in curve.isovalues])


def test_bonds_without_a_critical_point_are_left_out_of_its_average():
    frames = random_run(20)
    statistics = RunStatistics(plan())
    for frame in frames:
        statistics.update(frame)
    found = statistics.result()["bond_point"]
    points = np.concatenate([frame.bonds["elf_point"] for frame in frames])
    lengths = np.concatenate([frame.bonds["length"] for frame in frames])[np.isfinite(points)]
    points = points[np.isfinite(points)]
    number, _ = np.histogram(lengths, found.edges)
    sums, _ = np.histogram(lengths, found.edges, weights=points)
    np.testing.assert_allclose(found.mean[number > 0], sums[number > 0] / number[number > 0])


def test_time_series_prints_too_short_instead_of_an_error():
    series = TimeSeries(["elf_phi"])
    for k in range(40):
        series.update(frame_with(k, scalars={"elf_phi": k / 40}))
    average = series.result()["elf_phi"]
    assert average.too_short and "too short" in str(average)
    assert "undefined" in str(average.__class__(np.nan, np.nan, np.nan, 1.0, 3, True))


@pytest.mark.parametrize("part", [*RunStatistics(plan()).parts.values(), PartnerChanges()],
                         ids=lambda part: type(part).__name__)  # fmt: skip
def test_every_statistic_states_definition_error_and_reference(part):
    doc = " ".join(type(part).__doc__.split())
    for word in ("Definition: ", "rror", "References ----------"):
        assert word in doc, word
    source = doc.partition("References ----------")[2]
    assert re.search(r"doi:10\.|arXiv:\d{4}\.", source)


def test_first_minimum_of_a_smooth_curve():
    r = np.linspace(0.02, 4, 200)
    g = np.exp(-(((r - 0.75) / 0.1) ** 2)) * 3 + 1 / (1 + np.exp(-(r - 1.6) / 0.1))
    assert first_minimum(r, g) == pytest.approx(1.05, abs=0.1)
    assert first_minimum(r, np.zeros_like(r)) is None
