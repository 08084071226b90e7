"""Images of bonds, the readers fitted to them, and the packs that bring rulers."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from click.testing import CliRunner

from ase_elf import ELFCalculator, ELFGrid, write_elf
from ase_elf.cli import main
from ase_elf.dataset import LabelStore
from ase_elf.dataset.bonds import bond_set
from ase_elf.dataset.images import ImageChoice
from ase_elf.dataset.label import Label
from ase_elf.dataset.shard import StoredLabel, decode, encode
from ase_elf.domains import Domain
from ase_elf.errors import FormatError, InputError
from ase_elf.reference import Provenance
from ase_elf.ruler import BondFrames, ImageSpec, measure_bonds
from ase_elf.ruler.bond_set import BondSet, quantised
from ase_elf.ruler.image import resample
from ase_elf.ruler.modes import attribution, find_modes, regions
from ase_elf.ruler.ruler import Ruler
from ase_elf.ruler.survey import BondSurvey
from ase_elf.testing import GaussianDomain, GaussianModel
from ase_elf.training.reading import ReadingRecipe, fit_classifier, fit_reader
from ase_elf.training.ruler import RulerConfig, macro_f1, score, train_ruler

SPEC = ImageSpec(12, 0.6, 0.8, (0, 1))
CHOICE = ImageChoice("H-H", 1.1, SPEC)
RECIPE = {"members": 2, "epochs": 40, "batch": 16, "widths": [8, 16], "hidden": 24}


def frames_of(atoms, i=0, j=1):
    vectors = (atoms.positions[j] - atoms.positions[i])[None]
    return BondFrames.of_bonds(atoms, np.array([i]), np.array([j]), vectors)


def molecules(n, seed=0):
    """Labels of H2 with a third atom near, at lengths of 0.65 to 0.95 Å."""
    random = np.random.default_rng(seed)
    for k in range(n):
        length = random.uniform(0.65, 0.95)
        third = [length + 0.2, random.uniform(1.2, 1.5), 0.3]
        atoms = Atoms("H3", [[0, 0, 0], [length, 0, 0], third], cell=[5.0] * 3, pbc=True)
        atoms.rotate(float(random.uniform(0, 180)), random.normal(size=3))
        points = CHOICE.points(atoms)
        values = GaussianModel().predict_points(atoms, points).values
        split = "test" if k % 5 == 0 else "validation" if k % 5 == 1 else "train"
        yield Label(
            id=str(k), name=f"h3-{k}", atoms=atoms, values=values, points=points, split=split,
            provenance=Provenance(code="none", version="", functional=""), kind="drawn",
        )  # fmt: skip


@pytest.fixture(scope="module")
def bonds():
    return bond_set(molecules(150), CHOICE)


@pytest.fixture(scope="module")
def pack(bonds, tmp_path_factory):
    """A folder with a ruler for H-H, and its card."""
    folder = tmp_path_factory.mktemp("pack")
    half = len(bonds) // 2
    store_of(folder / "bonds", bonds[np.arange(half)], bonds[np.arange(half, len(bonds))])
    config = {
        "pair": "H-H", "cutoff": 1.1, "pack": ".", "labels": "bonds", "image": SPEC.to_dict(),
        "recipe": RECIPE, "notes": {"reference": "sums of Gaussians"},
    }  # fmt: skip
    (folder / "ruler.yaml").write_text(json.dumps(config))
    card = train_ruler(RulerConfig.read(folder / "ruler.yaml"))
    return folder, card


def store_of(folder, *sets):
    """A label store of images, a shard for each set."""
    store = LabelStore(folder, create=True)
    for bonds in sets:
        store.append(StoredLabel.of_bonds(bonds))
    return store


class RulerDomain(GaussianDomain):
    """The stand-in for a field model, with a ruler from a folder."""

    def __init__(self, folder):
        super().__init__()
        object.__setattr__(self, "folder", folder)
        self.card["trained_range"] = {}


# -- Frames and images -------------------------------------------------------------------


def test_an_image_turns_and_moves_with_the_molecule():
    atoms = molecule("CH3SH")
    atoms.pbc = False
    sulfur, carbon = atoms.symbols.indices()["S"][0], atoms.symbols.indices()["C"][0]
    turned = atoms.copy()
    turned.rotate(71.0, (1, -2, 0.4))
    turned.translate((3.0, -1.0, 7.0))
    model = GaussianModel()

    def image(structure):
        box = structure.copy()
        box.cell, box.pbc = [30.0] * 3, True
        frames = frames_of(structure, carbon, sulfur)
        return SPEC.images(frames, lambda xyz: model.predict_points(box, xyz).values)

    np.testing.assert_allclose(image(atoms), image(turned), atol=2e-5)


def test_the_frame_of_a_permuted_structure_is_the_same():
    atoms = molecule("CH3SH")
    order = np.random.default_rng(1).permutation(len(atoms))
    where = {int(old): new for new, old in enumerate(order)}
    first = frames_of(atoms, 0, 1)
    second = frames_of(atoms[order.tolist()], where[0], where[1])
    np.testing.assert_allclose(first.planes, second.planes, atol=1e-12)
    np.testing.assert_allclose(first.origin, second.origin, atol=1e-12)


def test_planes_hold_the_neighbours_they_are_named_after():
    # Second atom S with C above and another Au to the side.
    atoms = Atoms("AuSCAu", [[0, 0, 0], [2.4, 0, 0], [3.0, 1.7, 0], [2.8, 0, 2.3]])
    frames = frames_of(atoms)
    np.testing.assert_allclose(frames.planes[0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(frames.planes[1, 0], [0, 0, 1], atol=1e-12)


def test_atoms_in_line_with_the_bond_span_no_plane():
    alone = frames_of(Atoms("H2", [[0, 0, 0], [0.7, 0, 0]]))
    line = frames_of(Atoms("H3", [[0, 0, 0], [0.7, 0, 0], [1.5, 0.01, 0]]))
    for frames in (alone, line):
        for plane in frames.planes[:, 0]:
            assert abs(plane @ frames.x[0]) < 1e-12
            assert np.linalg.norm(plane) == pytest.approx(1)


def test_normalised_images_hold_the_nuclei_at_fixed_pixels():
    spec = ImageSpec(24, 1.2, 0.8)
    for length in (0.7, 1.0):
        atoms = Atoms("H2", [[0, 0, 0], [length, 0, 0]])
        points = spec.points(frames_of(atoms))[0, 0]
        distance = np.linalg.norm(points - atoms.positions[1], axis=-1)
        assert np.unravel_index(distance.argmin(), distance.shape)[1] in (15, 16)
        assert distance.min() < 0.1 * length


def test_blanked_cores_are_zero_and_nothing_else_is():
    spec = ImageSpec(48, 2.56, 2.4, (0,), (0.8, 0.5))
    frames = frames_of(Atoms("AuS", [[0, 0, 0], [2.6, 0, 0]]))
    image = spec.images(frames, lambda xyz: np.ones(len(xyz)))
    assert (image[0, 0][spec.blank] == 0).all() and (image[0, 0][~spec.blank] == 1).all()
    area = spec.blank.sum() * (2 * 2.56 / 48) ** 2
    assert area == pytest.approx(np.pi * (0.8**2 + 0.5**2), rel=0.05)


def test_resampling_agrees_with_images_taken_directly(bonds):
    want = ImageSpec(10, 0.45, None, (1,))
    labels = list(molecules(6))
    direct = bond_set(
        (Label(**{**vars(l), "points": (p := ImageChoice("H-H", 1.1, want).points(l.atoms)),
                  "values": GaussianModel().predict_points(l.atoms, p).values}) for l in labels),
        ImageChoice("H-H", 1.1, want),
    )  # fmt: skip
    fine = bond_set(labels, CHOICE)
    again = resample(fine.images / 255, SPEC, want, fine.length)
    assert np.abs(again - direct.images / 255).max() < 0.02
    with pytest.raises(InputError, match="plane 1"):
        resample(again, ImageSpec(10, 0.45, None, (0,)), want, fine.length)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 2}, {"half_width": 0.0}, {"half_width": float("nan")}, {"planes": ()},
        {"planes": (2,)}, {"cores": (0.5, 0.5)},
    ],
)  # fmt: skip
def test_images_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError):
        ImageSpec(**wrong)


def test_labels_on_grids_and_at_pixels_give_the_same_images():
    label = next(molecules(1))
    grid = ELFGrid(GaussianModel().predict([label.atoms], [(64, 64, 64)])[0].values, label.atoms)
    on_grid = Label(**{**vars(label), "points": None, "values": grid.values})
    a, b = bond_set([label], CHOICE), bond_set([on_grid], CHOICE)
    assert np.abs(a.images.astype(int) - b.images).max() <= 2
    wrong = ImageChoice("H-H", 1.1, ImageSpec(10, 0.6, 0.8))
    with pytest.raises(InputError, match="pixels"):
        bond_set([label], wrong)
    with pytest.raises(InputError, match="no label has a bond"):
        bond_set([label], ImageChoice("H-O", 1.0, SPEC))


# -- Sets of images ----------------------------------------------------------------------


def test_a_set_is_read_as_it_was_written(bonds, tmp_path):
    again = BondSet.joined(store_of(tmp_path, bonds).images())
    assert (again.pair, again.spec) == (bonds.pair, bonds.spec)
    for name in ("images", "length", "group", "structure", "kind", "type"):
        assert np.array_equal(getattr(again, name), getattr(bonds, name))


def test_damaged_images_are_refused(bonds):
    data = encode(StoredLabel.of_bonds(bonds[np.arange(3)]))
    random = np.random.default_rng(0)
    for n in range(40):
        bad = bytearray(data[: random.integers(len(data))] if n % 2 else data)
        if n % 2 == 0:
            bad[random.integers(len(bad))] ^= 0xFF
        try:
            for stored in decode(bytes(bad), source="bad.npz"):
                stored.bonds()
        except FormatError as error:
            assert "bad.npz" in str(error)
    stored = next(StoredLabel.of_bonds(bonds))
    for damage in ({"types": ["a"] * 9}, {"pair": None}, {"image": {"size": 5}}, {"groups": 1}):
        text = {**stored.text, "images": stored.text["images"] | damage}
        with pytest.raises(FormatError, match="the label is no label shard, or is damaged"):
            StoredLabel(text, stored.arrays).bonds()
    with pytest.raises(InputError, match="holds images of bonds"):
        stored.label()


def test_sets_of_different_bonds_do_not_join(bonds):
    other = BondSet(**{**vars(bonds), "pair": ("O", "H")})
    with pytest.raises(InputError, match="O-H"):
        BondSet.joined([bonds, other])
    with pytest.raises(InputError, match="shape"):
        BondSet(**{**vars(bonds), "images": bonds.images[:, :1]})


# -- Fitting and reading -----------------------------------------------------------------


def test_a_ruler_reads_lengths_it_was_not_fitted_to(pack, bonds):
    folder, card = pack
    assert card["test"]["all"]["mae"] < 0.3 * card["test"]["all"]["spread"]
    assert card["training"]["bonds"] == (bonds.group == "train").sum()
    assert card["reference"] == "sums of Gaussians"
    assert json.loads((folder / "ruler-h-h.json").read_text()) == json.loads(json.dumps(card))


def test_fitting_again_gives_the_same_ruler_and_leaves_torch_alone(pack, tmp_path):
    folder, card = pack
    torch.manual_seed(5)
    before = torch.get_rng_state()
    config = RulerConfig.read(folder / "ruler.yaml")
    again = train_ruler(RulerConfig(**{**vars(config), "pack": tmp_path}))
    assert again["sha256"] == card["sha256"]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_ruler_file_is_checked(pack, tmp_path):
    folder, card = pack
    path = folder / card["file"]
    assert Ruler.load(path, card["sha256"]).pair == ("H", "H")
    with pytest.raises(FormatError, match="SHA-256"):
        Ruler.load(path, "0" * 64)
    for data in (b"", path.read_bytes()[:-100], b"{}" * 50):
        (tmp_path / "bad.safetensors").write_bytes(data)
        with pytest.raises(FormatError):
            Ruler.load(tmp_path / "bad.safetensors")


def test_measure_bonds_reads_with_the_ruler_of_the_pack(pack, monkeypatch):
    domain = RulerDomain(pack[0])
    monkeypatch.setattr("ase_elf.domains.domain_for", lambda *_: domain)
    calculator = ELFCalculator(domain=RulerDomain(pack[0]))
    atoms = Atoms("H3", [[0, 0, 0], [0.8, 0, 0], [1.0, 1.4, 0.3]], cell=[5.0] * 3, pbc=True)
    table = measure_bonds(atoms, calculator)
    error = pack[1]["test"]["all"]["mae"]
    assert table["ruler_length"][0] == pytest.approx(0.8, abs=8 * error)
    assert table["deviation"][0] == pytest.approx(0.8 - table["ruler_length"][0])
    assert 0 < table["uncertainty"][0] < 0.3
    # Neither atom of a pair of equal ones comes first.
    swapped = measure_bonds(atoms[[1, 0, 2]], calculator)
    assert swapped["ruler_length"][0] == pytest.approx(table["ruler_length"][0], abs=1e-5)
    # The same from a grid, to what the interpolation in it costs.
    grid = ELFGrid(calculator.get_elf(atoms, spacing=0.08).values, atoms)
    from_grid = measure_bonds(atoms, grid)
    assert from_grid["ruler_length"][0] == pytest.approx(table["ruler_length"][0], abs=0.01)


def test_a_bond_outside_the_fitted_lengths_is_not_read(pack):
    calculator = ELFCalculator(domain=RulerDomain(pack[0]))
    atoms = Atoms("H2", [[0, 0, 0], [0.45, 0, 0]], cell=[5.0] * 3, pbc=True)
    table = measure_bonds(atoms, calculator)
    assert len(table) == 1 and np.isnan(table["ruler_length"][0])


def test_reading_modes_name_where_a_reader_looks(pack, bonds):
    ruler = Ruler.load(pack[0] / "ruler-h-h.safetensors")
    assert 2 <= len(ruler.modes.names) <= 6
    test = bonds[bonds.group == "test"]
    images = test.shown(ruler.spec)
    maps = attribution(ruler.readers, images, ruler.modes.baseline)
    # Integrated gradients sum to the change of the reading (completeness).
    change = ruler.read(images)[0] - ruler.read(ruler.modes.baseline[None])[0]
    np.testing.assert_allclose(maps.reshape(len(maps), -1).sum(1), change, atol=2e-3)
    mode, confidence = ruler.modes.assign(maps)
    assert set(mode) <= set(range(len(ruler.modes.names)))
    assert ((confidence > 1 / len(ruler.modes.names) - 1e-9) & (confidence <= 1)).all()


def test_clusters_that_are_there_are_found():
    random = np.random.default_rng(0)
    spec = ImageSpec(12, 0.9, 0.8)
    parts = regions(spec, ("O", "H"))
    maps = np.concatenate([part * (1 + 0.2 * random.random((40, 1, *part.shape))) for part in parts.values()])
    modes, silhouettes = find_modes(maps, maps[0], spec, ("O", "H"))
    assert max(silhouettes, key=silhouettes.get) == 3
    assert sorted(modes.names) == ["H side", "O side", "bond path"]
    assert len(np.unique(modes.assign(maps)[0][:40])) == 1


def test_types_are_told_apart():
    random = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [60, 30, 10])
    images = 0.1 * random.random((100, 1, 12, 12)).astype(np.float32)
    for n, c in enumerate(classes):
        images[n, 0, 4 * c : 4 * c + 3] += 0.8
    recipe = ReadingRecipe(epochs=12, widths=(8, 16), hidden=16)
    network = fit_classifier(images, classes, recipe, seed=0)
    told = network(torch.from_numpy(images))[2].argmax(1).numpy()
    assert macro_f1(classes, told) > 0.95
    assert macro_f1(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_a_ruler_with_types_is_kept_and_scored(bonds, tmp_path):
    kinds = np.where(bonds.length < 0.8, "short", "long").astype("U16")
    store_of(tmp_path / "bonds", BondSet(**{**vars(bonds), "type": kinds}))
    recipe = {**RECIPE, "members": 1, "epochs": 20}
    config = {
        "pair": "H-H", "cutoff": 1.1, "pack": ".", "labels": "bonds", "image": SPEC.to_dict(),
        "type_image": ImageSpec(12, 0.6, None, (0,)).to_dict(), "modes": False,
        "types": {"short": ["short"], "long": ["long"]}, "recipe": recipe, "type_recipe": recipe,
    }  # fmt: skip
    (tmp_path / "ruler.yaml").write_text(json.dumps(config))
    card = train_ruler(RulerConfig.read(tmp_path / "ruler.yaml"))
    # At a fixed scale, that a bond is short can be seen.
    assert card["test"]["all"]["f1"] > 0.8 and card["modes"] == []
    ruler = Ruler.load(tmp_path / card["file"], card["sha256"])
    assert ruler.types == ("short", "long") and ruler.modes is None
    told = ruler.classify(bonds.shown(ruler.type_spec))
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-6)


def test_a_reader_knows_when_it_is_unsure():
    """Half of the images are noise: their lengths cannot be read."""
    random = np.random.default_rng(0)
    length = random.normal(2.4, 0.1, 400)
    images = np.full((400, 1, 12, 12), 0.2, np.float32)
    images[:200] += 1.5 * (length[:200, None, None, None] - 2.4).astype(np.float32)
    images[200:] = random.random((200, 1, 12, 12))
    recipe = ReadingRecipe(members=1, epochs=40, batch=16, widths=(8,), hidden=16)
    ruler = Ruler(("A", "B"), ImageSpec(12), [fit_reader(images, length, recipe, seed=0)])
    _, uncertainty = ruler.read(images)
    assert np.median(uncertainty[200:]) > 2 * np.median(uncertainty[:200])


def test_score_counts_what_it_says(bonds, pack):
    ruler = Ruler.load(pack[0] / "ruler-h-h.safetensors")
    result = score(ruler, bonds, {})
    length, _uncertainty = ruler.read(bonds.shown(ruler.spec))
    assert result["mae"] == pytest.approx(np.abs(length - bonds.length).mean(), abs=1e-5)
    assert result["n"] == len(bonds) and "f1" not in result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"piar": "H-H"}, "did you mean 'pair'"),
        ({"test": ["elsewhere"]}, "no bond is left for test"),
        ({"pair": "O-H"}, "show H-H bonds"),
        ({"image": {"size": "big"}}, "image.size"),
        ({"recipe": {"epoch": 1}}, "recipe.epoch"),
        ({"labels": []}, "name at least one folder"),
        ({"labels": {"store": "bonds", "were": {}}}, "did you mean 'where'"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(pack, tmp_path, change, message):
    config = {**json.loads((pack[0] / "ruler.yaml").read_text()), "pack": str(tmp_path)}
    config["labels"] = str(pack[0] / "bonds")
    (tmp_path / "ruler.yaml").write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError, match=message):
        train_ruler(RulerConfig.read(tmp_path / "ruler.yaml"))


# -- The commands ------------------------------------------------------------------------


def test_train_ruler_from_the_command_line(pack, tmp_path):
    config = json.loads((pack[0] / "ruler.yaml").read_text())
    config |= {"pack": str(tmp_path), "labels": str(pack[0] / "bonds")}
    config["recipe"] = {**RECIPE, "epochs": 2, "members": 1}
    (tmp_path / "ruler.yaml").write_text(json.dumps(config))
    result = CliRunner().invoke(main, ["train", "ruler", str(tmp_path / "ruler.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pair"] == "H-H"
    assert (tmp_path / "ruler-h-h.safetensors").is_file()


def test_the_survey_counts_frames_and_keeps_an_example(pack):
    calculator = ELFCalculator(domain=RulerDomain(pack[0]))
    survey = BondSurvey()
    for frame, label in enumerate(molecules(3, seed=9)):
        survey.add(label.atoms, calculator, frame=frame, cutoffs={("H", "H"): 0.99})
    assert survey.rows["frame"].tolist() == [0, 1, 2]
    entry = survey.by_label()["H-H"]
    assert (entry["bonds"], entry["read"]) == (3, np.isfinite(survey.rows["ruler_length"]).sum())
    assert sum(entry["mode"].values()) == entry["read"] >= 2
    example = survey.examples["H-H"]
    assert example.image.shape == example.attribution.shape == (2, 12, 12)


def test_a_pack_without_card_fields_is_no_domain(tmp_path):
    assert Domain(tmp_path).ruler_cards == {}


def test_quantised_images_keep_their_values():
    values = np.linspace(-0.1, 1.1, 50)
    assert np.abs(quantised(values) / 255 - values.clip(0, 1)).max() < 0.002


def test_the_ruler_command_on_an_elf_file(pack, tmp_path, monkeypatch):
    domain = RulerDomain(pack[0])
    monkeypatch.setattr("ase_elf.domains.domain_for", lambda *_: domain)
    label = next(molecules(1))
    grid = ELFCalculator(domain=domain).get_elf(label.atoms, spacing=0.1)
    write_elf(tmp_path / "ELFCAR", ELFGrid(grid.values, label.atoms))
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["ruler", str(tmp_path / "ELFCAR"), "-o", str(out), "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["labels"]["H-H"]["read"] == 1
    names = {path.name for path in out.iterdir()}
    assert {"bonds.csv", "bonds.json", "readings.png", "bond-H-H.png", "structure.pdb"} <= names
    assert len((out / "bonds.csv").read_text().splitlines()) == 2
