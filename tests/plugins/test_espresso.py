"""The Quantum ESPRESSO engine: its recipe, what it reads, how it fails; and the real thing."""

import os
import shutil
import stat

import numpy as np
import pytest
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from ase_elf import ELFCalculator
from ase_elf.errors import EngineError, FormatError, InputError
from ase_elf.plugins import discover
from ase_elf.reference import EngineCalculator, get_engine
from ase_elf.testing import GaussianDomain
from ase_elf.topology import rescaled

discover("ase_elf.references")

from ase_elf_espresso.output import (  # noqa: E402 - found through discover
    known_scaling,
    parse_version,
    read_plot,
)
from ase_elf_espresso.pseudopotential import (  # noqa: E402
    HYDROGEN_DIGEST,
    digest,
    hydrogen_pseudopotential,
)
from ase_elf_espresso.uniform_gas import (  # noqa: E402
    MISSCALED_ELF,
    is_misscaled,
    smeared_nucleus,
    uniform_gas_elf,
)

needs_espresso = pytest.mark.skipif(
    not (shutil.which("pw.x") and shutil.which("pp.x") and shutil.which("ld1.x")),
    reason="Quantum ESPRESSO (pw.x, pp.x, ld1.x) is not installed",
)


def molecule(length=3.0):
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.75)], cell=[length] * 3, pbc=True)
    atoms.center()
    return atoms


@pytest.fixture
def nucleus(tmp_path):
    path = tmp_path / "nucleus.UPF"
    path.write_text(smeared_nucleus())
    return str(path)


@pytest.fixture
def program(tmp_path):
    """Make an executable that stands in for pw.x; its text is a shell script."""

    def make(script, version="6.7MaX"):
        path = tmp_path / "pw-standin"
        path.write_text(f"#!/bin/sh\necho 'Program PWSCF v.{version} starts'\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def engine_for(command, nucleus, **options):
    settings = {"ecutwfc": 20.0, "kpts": (1, 1, 1), "pseudopotentials": {"H": nucleus}}
    return get_engine("espresso", command=command, **settings, **options)


def test_the_recipe_is_the_fixed_one():
    fluid = get_engine("espresso", recipe="hydrogen-fluid")
    assert (fluid.ecutwfc, fluid.smearing, fluid.degauss) == (80.0, "cold", 0.02)
    assert fluid.kshift and fluid.nosym
    assert not get_engine("espresso", recipe="hydrogen-crystal").nosym


@pytest.mark.parametrize(
    ("r_s", "divisions"),
    [(1.5, (2, 2, 2)), (1.31, (2, 2, 2)), (1.29, (3, 3, 3)), (1.18, (3, 3, 3))],
)
def test_denser_fluids_get_a_finer_mesh(r_s, divisions):
    length = (4 / 3 * np.pi * 128) ** (1 / 3) * r_s * units.Bohr
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(6) / 6] * 3), -1).reshape(-1, 3)
    positions = random.permutation(grid)[:128] * length
    atoms = Atoms("H128", positions=positions, cell=[length] * 3, pbc=True)
    assert get_engine("espresso", recipe="hydrogen-fluid").mesh(atoms) == divisions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no cutoff"),
        ({"ecutwfc": 20.0}, "no k-mesh"),
        ({"recipe": "hydrogen"}, "hydrogen-fluid"),
        ({"recipe": "hydrogen-fluid", "smearing": "warm"}, "cold"),
        ({"recipe": "hydrogen-fluid", "elf_scaling": "yes"}, "misscaled"),
        ({"recipe": "hydrogen-fluid", "ecut": 3}, "did you mean 'ecutwfc'"),
        ({"ecutwfc": "80", "kpts": (1, 1, 1)}, "ecutwfc is '80'"),
        ({"ecutwfc": 80, "kpts": 2}, "three positive whole numbers"),
        ({"ecutwfc": 80, "kpts": [2, 2, 0]}, "three positive whole numbers"),
        ({"recipe": "hydrogen-fluid", "pseudopotentials": "H.UPF"}, "pseudopotentials is"),
    ],
)
def test_options_that_make_no_recipe_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        get_engine("espresso", **options)


def test_yaml_without_a_decimal_point_is_a_number():
    assert get_engine("espresso", recipe="hydrogen-fluid", conv_thr="1e-8").conv_thr == 1e-8


def test_versions_and_their_scale():
    assert parse_version("6.7MaX") == (6, 7)
    assert parse_version("7.3.1") == (7, 3)
    assert [known_scaling(v) for v in ((6, 7), (6, 8), (7, 5), (7, 6))] == [False, True, True, None]
    with pytest.raises(EngineError):
        parse_version("unknown")


def test_the_uniform_gas_tells_the_scale():
    assert is_misscaled(0.497) is False
    assert is_misscaled(MISSCALED_ELF) is True
    assert rescaled(np.array([MISSCALED_ELF])) == pytest.approx(0.5)
    with pytest.raises(EngineError, match="0.600"):
        is_misscaled(0.6)


def test_rescaling_agrees_with_a_published_pair(shared_data):
    from ase_elf import read_elf

    wrong = read_elf(shared_data / "tcestime" / "CaYH18-qe-unscaled.cube")
    right = read_elf(shared_data / "tcestime" / "CaYH18-qe.cube")
    # The pair follows a factor of 2.519 where 2^(4/3) = 2.5198, worth up to 8e-5 in ELF.
    assert np.abs(rescaled(wrong.values.astype(float)) - right.values).max() < 1e-4


def test_missing_programs_and_pseudopotentials_are_named(nucleus, program):
    with pytest.raises(EngineError, match="'no-pw.x' was not found"):
        engine_for("no-pw.x", nucleus).compute(molecule())
    lithium = Atoms("LiH", [(0, 0, 0), (0, 0, 1.6)], cell=[4, 4, 4], pbc=True)
    with pytest.raises(InputError, match="no pseudopotential is given for Li"):
        engine_for(program(""), nucleus).compute(lithium)
    with pytest.raises(InputError, match="does not exist"):
        engine_for(program(""), "/nowhere/H.UPF").compute(molecule())
    with pytest.raises(EngineError, match="is it pw.x"):
        engine_for("echo", nucleus).version()


def test_a_pseudopotential_cut_off_is_refused(tmp_path, nucleus, program):
    path = tmp_path / "cut.UPF"
    path.write_text(smeared_nucleus()[:5000])
    with pytest.raises(FormatError, match="no complete UPF"):
        digest(path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo ' convergence NOT achieved after 100 iterations: stopping'", "did not converge"),
        ("P=%%%%%%%%%%%%%%%%%%%%; echo $P$P; echo ' Error: too many bands'; echo $P$P",
         "Error: too many bands"),
        ("[ -s empty.in ] || kill -9 $$", "killed by SIGKILL"),
        ("echo JOB DONE.", "left no usable"),
        (("mkdir -p scratch/run.save; echo '<a><output>' > scratch/run.save/data-file-schema.xml;"
         "echo JOB DONE."), "left no usable"),
    ],
)  # fmt: skip
def test_a_run_that_failed_says_how(nucleus, program, script, message):
    guarded = f"[ -f empty.in ] && exit 1\n{script}"
    with pytest.raises(EngineError, match=message):
        engine_for(program(guarded), nucleus).compute(molecule())


def plot_file(values, path, keep=None):
    shape = " ".join(str(n) for n in values.shape)
    lines = ["title", f"{shape} {shape} 1 1", "0 1.0 0 0 0 0 0", *["1 0 0"] * 3, "1 4 20 8",
             "1 H 1.0", "1 0 0 0 1"]  # fmt: skip
    numbers = values.reshape(-1, order="F")[:keep]
    path.write_text("\n".join([*lines, *(f"{x:.9E}" for x in numbers)]))


def test_a_plot_is_read_in_the_order_of_the_grid(tmp_path):
    values = np.random.default_rng(0).random((3, 4, 5))
    plot_file(values, tmp_path / "plot")
    assert read_plot(tmp_path / "plot") == pytest.approx(values)


def test_a_plot_cut_off_in_the_middle_is_refused(tmp_path):
    values = np.random.default_rng(0).random((3, 4, 5))
    plot_file(values, tmp_path / "plot", keep=30)
    with pytest.raises(FormatError, match="30 values instead of 60"):
        read_plot(tmp_path / "plot")
    (tmp_path / "plot").write_text("title\n3 4")
    with pytest.raises(FormatError, match="cut off"):
        read_plot(tmp_path / "plot")


@pytest.mark.dft
@needs_espresso
def test_the_hydrogen_pseudopotential_is_made_on_demand(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = hydrogen_pseudopotential()
    assert digest(path) == HYDROGEN_DIGEST
    made = path.stat().st_mtime_ns
    assert hydrogen_pseudopotential().stat().st_mtime_ns == made
    path.write_text(path.read_text()[:-500])
    assert digest(hydrogen_pseudopotential()) == HYDROGEN_DIGEST


@pytest.mark.dft
@needs_espresso
def test_pw_x_gives_the_uniform_gas_an_elf_of_one_half():
    engine = get_engine("espresso", ecutwfc=20.0, kpts=(1, 1, 1))
    elf = uniform_gas_elf(engine)
    # 8×8×8 k-points and a smearing of 0.03 Ry leave 0.004.
    misscaled = known_scaling(parse_version(engine.version()))
    assert elf == pytest.approx(MISSCALED_ELF if misscaled else 0.5, abs=0.006)


@pytest.mark.dft
@needs_espresso
def test_a_lone_molecule_has_elf_one():
    engine = get_engine("espresso", ecutwfc=40.0, kpts=(1, 1, 1), kshift=False, smearing="none")
    result = engine.compute(molecule(5.0))
    # One orbital; the density in the corners is too small for its Fourier series.
    dense = result.density > 0.05
    assert dense.mean() > 0.03
    assert result.grid.values[dense].min() > 0.998
    assert result.density.mean() * 5.0**3 == pytest.approx(2, abs=1e-4)
    assert np.abs(result.forces.sum(axis=0)).max() < 1e-3
    assert result.grid.sample(molecule(5.0).positions) == pytest.approx(1, abs=1e-3)


@pytest.mark.dft
@needs_espresso
def test_the_recipe_gives_the_label_that_was_made_with_it(shared_data):
    stored = np.load(shared_data / "hydrogen" / "labels" / "crystal-H-H-P21c-8-I.npz")
    cell, positions = stored["cell"] * units.Bohr, stored["pos"] * units.Bohr
    atoms = Atoms("H8", positions=positions, cell=cell, pbc=True)
    engine = get_engine("espresso", recipe="hydrogen-crystal", kpts=tuple(stored["kpts"]))
    result = engine.compute(atoms)
    # uint16 rounds to 8e-6; the rest is where two self-consistencies stopped.
    assert np.abs(result.grid.values - stored["elf"] / 65535).max() < 1e-4
    # Another processor's ld1.x makes a potential with another zero: 0.25 meV per atom, always.
    assert result.energy == pytest.approx(float(stored["energy_ry"]) * units.Ry, abs=8 * 5e-4)
    assert result.provenance.pseudopotentials == {"H": HYDROGEN_DIGEST}


@pytest.mark.dft
@needs_espresso
def test_a_short_molecular_dynamics_runs_on_pw_x():
    atoms = molecule(2.5)
    engine = get_engine("espresso", ecutwfc=25.0, kpts=(1, 1, 1))
    atoms.calc = EngineCalculator(engine)
    start = atoms.get_potential_energy()
    dynamics = VelocityVerlet(atoms, timestep=0.2 * units.fs)
    dynamics.run(2)
    assert atoms.get_total_energy() == pytest.approx(start, abs=2e-3)
    assert atoms.calc.get_elf(atoms).values.max() > 0.9


@pytest.mark.dft
@needs_espresso
def test_an_scf_that_cannot_converge_is_an_error(nucleus):
    engine = engine_for("pw.x", nucleus, conv_thr=1e-30)
    with pytest.raises(EngineError, match="did not converge"):
        engine.compute(molecule(2.5))


@pytest.mark.dft
@needs_espresso
def test_a_label_set_is_built_with_pw_x(tmp_path):
    from ase.io import write

    from ase_elf.dataset import BuildConfig, LabelStore
    from ase_elf.dataset.builder import build

    write(tmp_path / "frames.extxyz", [molecule(2.5), molecule(2.6)])
    loaded = {
        "structures": [{"path": "frames.extxyz", "split": "train", "kind": "molecule"}],
        "engine": "espresso",
        "options": {"ecutwfc": 25.0, "kpts": [1, 1, 1]},
        "output": "labels",
    }
    assert build(BuildConfig.from_dict(loaded, folder=tmp_path)).built == 2
    labels = list(LabelStore(tmp_path / "labels").select("train"))
    assert [label.kind for label in labels] == ["molecule"] * 2
    direct = get_engine("espresso", **loaded["options"]).compute(molecule(2.5))
    # uint16 rounds to 8e-6; two runs of pw.x on one structure agree to more than that.
    assert np.abs(labels[0].values - direct.grid.values).max() < 2e-5
    assert labels[0].forces == pytest.approx(direct.forces, abs=1e-6)


@pytest.mark.dft
@needs_espresso
def test_around_ases_espresso_forces_are_pw_xs_and_the_elf_is_the_models(nucleus, tmp_path):
    from ase.calculators.espresso import Espresso, EspressoProfile

    folder, name = os.path.split(nucleus)
    espresso = Espresso(
        profile=EspressoProfile(command=shutil.which("pw.x"), pseudo_dir=folder),
        directory=tmp_path / "run", pseudopotentials={"H": name}, kpts=None,
        input_data={"ecutwfc": 12, "tprnfor": True},
    )  # fmt: skip
    atoms = molecule(1.85)
    atoms.calc = ELFCalculator(domain=GaussianDomain(), calculator=espresso)
    forces = atoms.get_forces()
    assert np.abs(forces).max() > 1e-3 and np.abs(forces.sum(axis=0)).max() < 1e-2
    elf = atoms.calc.get_property("elf", atoms)
    assert elf.sample(atoms.positions) == pytest.approx(0.98, abs=0.02)
    np.testing.assert_array_equal(espresso.results["forces"], forces)
