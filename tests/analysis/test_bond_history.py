"""Bonds through time: series, changes of type, outliers and correlations whose answers are known."""

import numpy as np
import pytest
from ase import Atoms

from ase_elf.analysis.bond_frames import BondFrame, not_covered
from ase_elf.analysis.bond_history import BondHistory
from ase_elf.errors import FormatError
from ase_elf.ruler.table import SURVEY_COLUMNS

SYMBOLS = ["Au"] * 4 + ["S"] * 4


def frame_of(number, deviations, labels=("core",) * 4, lengths=(2.4,) * 4, **more):
    rows = np.zeros(4, SURVEY_COLUMNS)
    rows["frame"], rows["i"], rows["j"] = number, range(4), range(4, 8)
    rows["label"], rows["length"], rows["deviation"] = labels, lengths, deviations
    rows["ruler_length"] = rows["length"] - rows["deviation"]
    rows["mode"], rows["mode_confidence"], rows["mode_agreement"] = (
        "S side",
        (0.9, 0.5, 0.9, 0.7),
        (1, 1, 0.5, 0.75),
    )
    kept = rows[rows["label"] != ""]
    more = {"positions": np.zeros((8, 3)), "coordination": np.arange(8)} | more
    return BondFrame(frame=number, time_fs=5.0 * number, rows=kept, **more)


def test_a_record_comes_back_from_its_line():
    rows = frame_of(3, (0.1, np.nan, 0.3, 0.0), motifs={"ring-4": 1}, outside=("far",), geometry=7)
    again = BondFrame.from_json(rows.to_json().encode())
    for name in SURVEY_COLUMNS.names:
        np.testing.assert_array_equal(again.rows[name], rows.rows[name])
    assert (again.frame, again.time_fs, again.motifs, again.outside) == (3, 15.0, {"ring-4": 1}, ("far",))
    assert np.isnan(BondFrame.from_json(frame_of(0, (0,) * 4).to_json().replace("0.0,", "null,", 1)).time_fs)
    for line in ('{"rows": 3}', "[]", '{"frame": 1, "rows": {"i": [0]}}', "no"):
        with pytest.raises(FormatError, match="not a record of bonds"):
            BondFrame.from_json(line)


def test_series_are_means_over_the_bonds_of_a_type():
    frames = [frame_of(n, (0.1 * n, 0.3 * n, np.nan, 1.0), ("a", "a", "a", "b")) for n in range(5)]
    history = BondHistory(frames, SYMBOLS)
    np.testing.assert_allclose(history.series("a", "deviation"), [0.0, 0.2, 0.4, 0.6, 0.8])
    assert history.averages["a"]["deviation"].mean == pytest.approx(0.4)
    assert history.averages["b"]["deviation"].constant
    with_gap = BondHistory([*frames, frame_of(5, (np.nan,) * 4, ("a",) * 4)], SYMBOLS)
    assert with_gap.averages["b"]["deviation"].mean == 1.0 and with_gap.averages["b"]["deviation"].too_short
    modes = history.summary()["types"]["a"]["modes"]
    assert modes == {"S side": {"bonds": 15, "sure": 5}}  # (0.9, 1) is sure; (0.5, 1) and (0.9, 0.5) are not


def test_bonds_that_change_their_type_are_found_and_no_others():
    labels = [
        ("core", "core", "core", "mu3"),
        ("core", "", "core", "mu3"),
        ("core", "core", "elongated", "mu3"),
    ]
    history = BondHistory([frame_of(n, (0,) * 4, labels[n]) for n in range(3)], SYMBOLS)
    found = {(one.i, one.j): (one.frames, one.changes) for one in history.type_changes()}
    assert found == {(1, 5): ({"core": 2, "": 1}, 2), (2, 6): ({"core": 2, "elongated": 1}, 1)}
    assert [one.changes for one in history.type_changes()] == [2, 1]


def test_an_outlier_stands_out_of_its_own_type():
    rng = np.random.default_rng(0)
    frames = [frame_of(n, rng.normal(scale=0.01, size=4), ("a", "a", "b", "b")) for n in range(50)]
    frames[20].rows["deviation"][1] = 0.2
    outliers, far = BondHistory(frames, SYMBOLS).outliers()
    assert outliers[0] == 4 * 20 + 1 and far[0] == pytest.approx(20, rel=0.3) and (far[1:] < 5).all()


def test_deviations_go_with_strain_between_bonds_or_in_time_and_not_both():
    rng = np.random.default_rng(1)
    steady, moving = np.array([0.0, 0.1, 0.2, 0.3]), rng.normal(scale=0.001, size=(80, 4))
    frames = [frame_of(n, steady - moving[n], lengths=2.4 + steady + moving[n]) for n in range(80)]
    found = {c.quantity: c for c in BondHistory(frames, SYMBOLS).correlations()}
    assert found["strain"].between == pytest.approx(1.0) and found["strain"].within < -0.99
    assert found["coordination of Au"].between == pytest.approx(1.0) and found["coordination of Au"].n == 4
    assert np.isnan(found["coordination of S"].within)  # it never varies
    assert {c.pair for c in found.values()} == {"Au-S"}


def test_contacts_without_a_ruler_are_named_and_bonds_that_were_marked_are_not():
    atoms = Atoms("Au2SP", [(0, 0, 0), (2.8, 0, 0), (0, 2.4, 0), (2.8, 2.3, 0)])
    rows = np.zeros(1, SURVEY_COLUMNS)
    rows["i"], rows["j"], rows["ruler_length"] = 0, 2, np.nan
    assert not_covered(atoms, rows) == {"Au-Au": 1, "Au-P": 1, "Au-S": 1}
    rows["outside"] = True
    assert not_covered(atoms, rows) == {"Au-Au": 1, "Au-P": 1}
