"""Settings of a run are one value, and quantities are described once."""

import json
import re
from dataclasses import fields

import pytest
import yaml
from places import ROOT

from ase_elf.analysis import AnalysisSettings, Recorder, quantities
from ase_elf.analysis.scalars import SCALARS
from ase_elf.analysis.screening import VALUES
from ase_elf.errors import InputError
from ase_elf.geometry.pairs import by_name, by_pair, name_of, pair_of, pairs_among
from ase_elf.mda import follow, to_universe
from ase_elf.report.results import SERIES
from ase_elf.report.screening import COLUMNS as SCREENING_COLUMNS
from ase_elf.report.tables import BOND_COLUMNS, FRAME_COLUMNS
from ase_elf.testing import GaussianDomain, molecular_fluid

CHOSEN = AnalysisSettings(
    bonds={("H", "H"): 1.0, ("Au", "S"): 2.7},
    isovalue=0.7,
    r_max=4.0,
    spacing=0.2,
    shape=(8, 9, 10),
    r_bin=0.05,
    n_elf=20,
    elements=("Au", "H", "S"),
    rulers=True,
    max_lag=7,
)


def test_settings_survive_yaml_and_json():
    plain = CHOSEN.to_dict()
    assert set(plain) == {f.name for f in fields(AnalysisSettings)}
    for stored in (yaml.safe_load(yaml.safe_dump(plain)), json.loads(json.dumps(plain))):
        assert AnalysisSettings.from_dict(stored) == CHOSEN


def test_a_setting_that_is_none_is_refused_with_the_near_miss():
    atoms = molecular_fluid(4, 1, length=3.0)[0]
    for ask in (
        lambda: AnalysisSettings.from_dict(CHOSEN.to_dict() | {"isovalu": 0.7}),
        lambda: AnalysisSettings.for_atoms(atoms, GaussianDomain(), isovalu=0.7),
        lambda: Recorder.starting_with(atoms, domain=GaussianDomain(), isovalu=0.7),
        lambda: next(follow(to_universe(atoms), domain=GaussianDomain(), isovalu=0.7)),
    ):
        with pytest.raises(InputError, match=r"setting 'isovalu' is not known; did you mean 'isovalue'\?"):
            ask()


@pytest.mark.parametrize(
    "wrong", [{"isovalue": 1.2}, {"r_bin": 0}, {"n_elf": 0}, {"max_lag": 0}, {"shape": (8, 8)}]
)
def test_a_value_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        AnalysisSettings(bonds={}, **wrong)


def test_a_pair_of_elements_has_one_name():
    assert pair_of("Au-S") == ("Au", "S") and name_of(("Au", "S")) == "Au-S"
    assert by_pair(by_name(CHOSEN.bonds)) == CHOSEN.bonds
    assert pairs_among("AB") == (("A", "A"), ("A", "B"), ("B", "B"))
    for wrong in ("H", "H-", "-H", "H-H-H", "", "H2"):
        with pytest.raises(InputError, match="not a pair of elements"):
            pair_of(wrong)


def test_tables_hold_the_quantities_and_plots_have_their_labels():
    names = quantities.names_of(quantities.FRAMES)
    assert len(set(names)) == len(names)
    assert FRAME_COLUMNS[2:-1] == names and set(SCALARS) < set(names)
    assert set(VALUES) - set(names) == {"elf_phi_star_uncertainty"}
    assert set(quantities.names_of(quantities.TC)) < set(SCREENING_COLUMNS)
    assert set(quantities.names_of(quantities.BONDS)) < set(BOND_COLUMNS)
    for _, drawn in SERIES.values():
        assert all(quantity.label for quantity in quantities.named(*drawn))


@pytest.mark.parametrize("table", ["frames", "bonds"])
def test_the_documentation_shows_the_table_of_quantities(table):
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    shown = re.search(rf"<!-- {table} -->\n(.*?)<!-- end -->", page, re.DOTALL)[1]
    expected = quantities.markdown(getattr(quantities, table.upper()))
    assert shown == expected, f"replace the table by:\n{expected}"
