"""The periodic table of the front page: every element at its place, and what the cards say."""

import re
import sys

import pytest
from places import ROOT

from ase_elf.domains import installed

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import coverage_table as coverage


@pytest.mark.parametrize(
    ("number", "where"),
    [(1, (1, 1)), (2, (1, 18)), (5, (2, 13)), (18, (3, 18)), (21, (4, 3)), (31, (4, 13)), (54, (5, 18)),
     (55, (6, 1)), (57, (8, 3)), (71, (8, 17)), (72, (6, 4)), (86, (6, 18)), (88, (7, 2)), (103, (9, 17))],
)  # fmt: skip
def test_elements_stand_where_chemists_look_for_them(number, where):
    assert coverage.place(number) == where


def test_no_two_elements_share_a_place():
    places = [coverage.place(number) for number in range(1, 104)]
    assert len(set(places)) == 103


def test_cells_say_what_the_cards_say():
    text = coverage.table()
    assert len(re.findall(r'class="element[ "]', text)) == 103 + len(coverage.CLASSES) + 1
    card = installed()["many-elements"].card
    for symbol, row in card["accuracy_by_element"].items():
        if "r2" in row:
            told = f"many-elements: R² {row['r2']:.4f}, median of {row['structures']} held-out"
            cell = re.search(rf">{symbol}</a>", text)
            assert told in text[: cell.start()].rpartition("<a ")[2]
    unknown = set(re.findall(r'"[^"]*: not known">(\w+)<', text))
    known = {symbol for pack in installed().values() for symbol in pack.card["elements"]}
    assert not unknown & known and "U" in unknown - known
