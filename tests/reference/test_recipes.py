"""Recipes, meshes and pseudopotentials: what a computation starts from is right or refused."""

import shutil

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.data import chemical_symbols

from ase_elf.errors import EngineError, InputError
from ase_elf.plugins import discover
from ase_elf.reference import get_engine

discover("ase_elf.references")

from ase_elf_espresso import pseudodojo  # noqa: E402 - found through discover
from ase_elf_espresso.pseudopotential import digest, find_pseudopotentials  # noqa: E402
from ase_elf_espresso.uniform_gas import smeared_nucleus  # noqa: E402


def write_upf(path, element, functional="PBE", strength=1.0):
    """A small UPF file of a local potential, that of another element or functional by name."""
    text = smeared_nucleus().replace('element="H"', f'element="{element} "')
    text = text.replace('functional="PBE"', f'functional="{functional}"')
    first, _, rest = text.partition("<PP_LOCAL>\n")
    number, _, rest = rest.partition("\n")
    path.write_text(f"{first}<PP_LOCAL>\n{strength * float(number):.15E}\n{rest}")
    return path


# -- unlike functionals --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("functionals", "agree"),
    [
        (("PBE", "PBE"), True),
        (("PBE", "SLA PW PBX PBC"), True),
        (("pbe", " SLA  PW   PBE  PBE"), True),
        (("SLA-PW-PBX-PBC", "PBE"), True),
        (("PZ", "SLA  PZ   NOGX NOGC"), True),
        (("PBE", "PZ"), False),
        (("PBE", "PBESOL"), False),
        (("SLA PW PSX PSC", "SLA PW PBX PBC"), False),
        (("PW91", "PBE"), False),
    ],
)
def test_pseudopotentials_of_unlike_functionals_are_refused(tmp_path, functionals, agree):
    files = {
        symbol: str(write_upf(tmp_path / f"{symbol}.UPF", symbol, functional))
        for symbol, functional in zip(("Li", "Cl"), functionals, strict=True)
    }
    if agree:
        assert set(find_pseudopotentials({"Li", "Cl"}, files)) == {"Li", "Cl"}
        return
    with pytest.raises(InputError, match="unlike functionals") as caught:
        find_pseudopotentials({"Li", "Cl"}, files)
    assert files["Li"] in str(caught.value) and files["Cl"] in str(caught.value)


def test_hydrogens_own_potential_is_one_for_pbe(tmp_path, monkeypatch):
    from ase_elf_espresso import pseudopotential

    own = write_upf(tmp_path / "own.UPF", "H")
    monkeypatch.setattr(pseudopotential, "hydrogen_pseudopotential", lambda command: own)
    lithium = str(write_upf(tmp_path / "Li.UPF", "Li", "PZ"))
    with pytest.raises(InputError, match="hydrogen's own is one for PBE"):
        find_pseudopotentials({"H", "Li"}, {"Li": lithium})


def test_a_file_of_another_element_or_without_a_functional_is_refused(tmp_path):
    other = str(write_upf(tmp_path / "x.UPF", "Na"))
    with pytest.raises(InputError, match="given for Li.*is one of Na"):
        find_pseudopotentials({"Li"}, {"Li": other})
    silent = str(write_upf(tmp_path / "y.UPF", "Li", ""))
    with pytest.raises(InputError, match="does not say which functional"):
        find_pseudopotentials({"Li"}, {"Li": silent})


def test_all_that_is_missing_comes_in_one_message(tmp_path):
    (tmp_path / "C.UPF").write_text("<UPF")
    given = {"C": str(tmp_path / "C.UPF"), "N": "/nowhere/N.UPF"}
    engine = get_engine(
        "espresso", ecutwfc=30, kspacing=0.5, pseudopotentials=given, command="no-pw.x",
        post_command="no-pp.x",
    )  # fmt: skip
    atoms = Atoms("CNOS", np.eye(4, 3) * 2, cell=[5, 5, 5], pbc=True)
    for ask in (lambda: engine.check({"C", "N", "O", "S"}), lambda: engine.compute(atoms)):
        with pytest.raises((InputError, EngineError)) as caught:
            ask()
        message = str(caught.value)
        for piece in ("no-pw.x", "no-pp.x", "C.UPF is no complete", "/nowhere/N.UPF", "for O, S"):
            assert piece in message


# -- meshes --------------------------------------------------------------------------------


def lithium_hydride():
    return bulk("LiH", "rocksalt", a=4.08)


def test_a_crystal_is_never_computed_at_gamma_by_default():
    for ask in (get_engine("pyscf").mesh, get_engine("pyscf", kshift=True).compute):
        with pytest.raises(InputError, match="LiH is periodic, and no k-mesh.*`kspacing`"):
            ask(lithium_hydride())
    assert get_engine("pyscf", kspacing=0.3).mesh(lithium_hydride()) == (5, 5, 5)
    assert get_engine("pyscf", kspacing=0.5).mesh(lithium_hydride()) == (3, 3, 3)
    assert get_engine("pyscf", kpts=(1, 1, 1)).mesh(lithium_hydride()) == (1, 1, 1)
    assert get_engine("pyscf").mesh(molecule("H2O", vacuum=3)) == (1, 1, 1)
    with pytest.raises(InputError, match="no k-mesh is given"):
        get_engine("espresso", ecutwfc=30)
    with pytest.raises(InputError, match="continues across the boundary"):
        get_engine("cp2k").compute(bulk("K", cubic=True), points=np.zeros((1, 3)))
    with pytest.raises(InputError, match="kspacing"):
        get_engine("pyscf", kspacing=0.0).mesh(lithium_hydride())


def test_the_mesh_of_a_spacing_is_stated_in_the_provenance():
    pytest.importorskip("pyscf", reason="PySCF is not installed (pip install ase-elf[pyscf])")
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.75)], cell=[2.2, 2.2, 6.0], pbc=True)
    result = get_engine("pyscf", kspacing=0.8, cutoff_ry=60.0).compute(atoms, points=[[0, 0, 0.4]])
    assert result.provenance.kpts == (2, 2, 1)


# -- the recipe "many-elements" ------------------------------------------------------------


@pytest.fixture
def dojo(tmp_path, monkeypatch):
    """Stand-ins for the files of four elements, with a table of their digests."""
    folder = tmp_path / "dojo"
    folder.mkdir()
    table = {}
    for n, symbol in enumerate(("H", "S", "Fe", "Si")):
        table[symbol] = digest(write_upf(folder / f"{symbol}.upf", symbol, strength=1 + n))
    monkeypatch.setattr(pseudodojo, "known", lambda: table)
    monkeypatch.delenv(pseudodojo.FOLDER, raising=False)
    return folder


def many(**options):
    return get_engine("espresso", recipe="many-elements", **options)


def test_the_table_holds_the_elements_that_the_message_names():
    table = pseudodojo.known()
    assert {"H", "La", "Lu", "Bi", "Au"} <= set(table)
    assert set(table) == {*chemical_symbols[1:58], *chemical_symbols[71:85], "Rn"}
    assert all(len(sha256) == 64 for sha256 in table.values())
    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize(
    ("atoms", "cutoff"),
    [(bulk("Si"), 80.0), (bulk("Fe"), 100.0), (bulk("NaCl", "rocksalt", a=5.64), 80.0),
     (bulk("MgO", "rocksalt", a=4.2), 100.0)],
)  # fmt: skip
def test_the_cutoff_is_that_of_the_hardest_element(atoms, cutoff):
    assert many().cutoff(atoms) == cutoff
    assert many(ecutwfc=60.0).cutoff(atoms) == 60.0


def test_the_spacing_is_finer_where_there_may_be_a_metal():
    engine = many()
    assert not engine.kshift and not engine.nosym
    length = 2 * np.pi * 0.5291772 / 3.0  # bohr⁻¹, of a cube of 3 Å
    cube = [3.0] * 3
    assert engine.mesh(Atoms("Al", cell=cube, pbc=True)) == (int(np.ceil(length / 0.16)),) * 3
    assert engine.mesh(Atoms("H", cell=cube, pbc=True)) == (int(np.ceil(length / 0.20)),) * 3
    assert many(kspacing=0.5).mesh(Atoms("Al", cell=cube, pbc=True)) == (3, 3, 3)
    assert many(kpts=(3, 3, 2)).mesh(Atoms("Al", cell=cube, pbc=True)) == (3, 3, 2)


def test_across_a_vacuum_there_is_one_k_point():
    slab = fcc111("Al", (1, 1, 3), vacuum=5.0)
    assert slab.pbc.tolist() == [True, True, False]
    engine = many()
    first, second, across = engine.mesh(slab)
    assert across == 1 and min(first, second) > 5
    assert engine.mesh(molecule("CH4", vacuum=4.0)) == (1, 1, 1)
    assert get_engine("espresso", ecutwfc=20, kspacing=0.3)._shift(slab) == (1, 1, 0)


def test_its_potentials_are_found_by_option_environment_or_one_by_one(dojo, tmp_path, monkeypatch):
    found = pseudodojo.find_pseudodojo({"H", "S"}, {}, str(dojo))
    assert found == {s: (dojo / f"{s}.upf").resolve() for s in "HS"}
    monkeypatch.setenv(pseudodojo.FOLDER, str(dojo))
    assert pseudodojo.find_pseudodojo({"Fe"}, {}, None)["Fe"].name == "Fe.upf"
    moved = shutil.copy(dojo / "Si.upf", tmp_path / "silicon.UPF")
    assert pseudodojo.find_pseudodojo({"Si"}, {"Si": moved}, None)["Si"].name == "silicon.UPF"


def test_other_digests_missing_files_and_elements_come_in_one_message(dojo):
    write_upf(dojo / "S.upf", "S", strength=7.0)
    (dojo / "Fe.upf").unlink()
    (dojo / "Si.upf").write_text("<UPF")
    with pytest.raises(InputError) as caught:
        pseudodojo.find_pseudodojo({"H", "S", "Fe", "Si", "U"}, {}, str(dojo))
    message = str(caught.value)
    for piece in ("S.upf is another potential", "Fe.upf does not exist", "Si.upf is no complete",
                  "no potential for U", "pseudo-dojo.org"):  # fmt: skip
        assert piece in message
    assert "H.upf" not in message


def test_without_a_folder_the_message_says_how_to_name_one(dojo):
    with pytest.raises(InputError, match="H.upf, S.upf.*`pseudo_folder`.*ASE_ELF_PSEUDO"):
        pseudodojo.find_pseudodojo({"H", "S"}, {}, None)


def test_where_the_files_lie_is_no_part_of_the_recipe(dojo):
    assert many(pseudo_folder=str(dojo)).options() == many().options()
