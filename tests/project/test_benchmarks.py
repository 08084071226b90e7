"""Benchmarks that fit networks do what they say, on inputs of a second."""

import json
import shutil
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from ase.units import Bohr
from places import ROOT
from small_fits import analytic_label, write_labels

from ase_elf.errors import InputError, OutputError

pytestmark = pytest.mark.ci

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


@pytest.fixture
def labels(tmp_path):
    return write_labels(tmp_path / "labels", ("train", "train", "validation"))


def test_how_busy_a_gpu_is_comes_from_nvidia_smi_and_without_one_nothing_is_claimed(
    tmp_path, monkeypatch, capsys
):
    import gpu

    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 70\necho 90\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with gpu.watched_gpu() as busy:
        time.sleep(0.5)
        assert busy == []
    assert busy == [70.0, 90.0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out == "not run: no GPU at hand\n"


def test_every_measurement_of_a_gpu_runs_on_a_cpu_and_is_written_when_it_ends(tmp_path, monkeypatch):
    import gpu

    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    size = "--edge 12 --large 1 16 --batches 1 2 --workers 1 --frames 8 --seconds 0".split()
    gpu.main(["--device", "cpu", *size, "-o", str(tmp_path / "gpu.jsonl")])
    machine, same, *rates, frames, profile = map(
        json.loads, (tmp_path / "gpu.jsonl").read_text().splitlines()
    )
    assert machine["torch"] == torch.__version__
    assert same["elf_largest"] < 1e-4
    assert [(one["atoms"], one["batch"], one["edge"]) for one in rates] == [
        (128, 1, 12),
        (128, 2, 12),
        (64, 1, 16),
    ]
    assert all(one["points_per_second"] > 0 for one in rates)
    assert frames["frames_per_second"] > 0
    assert profile["what"] == "profile"
    assert "aten::bmm" in profile


SMALL = {"elements": [1], "n_radial": 4, "channels": [4, 2], "point_channels": [4, 2],
         "n_updates": 1, "hidden": 8}  # fmt: skip


@pytest.fixture
def config(tmp_path, labels):
    path = tmp_path / "ablations.yaml"
    base = {"labels": ["labels"], "output": "unused", "architecture": SMALL,
            "recipe": {"warmup_steps": 2, "structures": 1, "points": 32, "pool": 64,
                       "checkpoint_every": 3}}  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(base))
    content = {
        "base": "train.yaml",
        "output": "fits",
        "recipe": {"steps": 6, "decay_steps": 3},
        "variants": {
            "whole": {},
            "local, far": {"architecture": {"n_updates": 0, "cutoff": 7.0},
                           "as_many_parameters_as": "whole"},
            "one label": {"train_labels": 1},
        },
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_variants_are_fitted_scored_and_not_fitted_again(config, capsys):
    import ablations

    ablations.main([str(config)])
    printed = capsys.readouterr().out
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("| ")][1:]
    assert [row[0].strip() for row in rows] == ["whole", "local, far", "one label"]
    parameters = [int(row[1].replace(",", "")) for row in rows]
    assert parameters[1] >= parameters[0] == parameters[2]
    assert [int(row[2]) for row in rows] == [2, 2, 1]
    folder = config.parent / "fits" / "local-far"
    assert json.loads((folder / "variant.json").read_text())["architecture"]["n_updates"] == 0
    before = (folder / "checkpoint.pt").stat().st_mtime_ns
    ablations.main([str(config), "--only", "local, far"])
    assert "local, far" in capsys.readouterr().out
    assert (folder / "checkpoint.pt").stat().st_mtime_ns == before


def test_a_folder_with_the_fit_of_another_variant_is_not_taken(config):
    import ablations

    ablations.main([str(config), "--only", "whole"])
    base = config.with_name("train.yaml")
    base.write_text(base.read_text().replace("hidden: 8", "hidden: 16"))
    with pytest.raises(OutputError, match="whole holds a fit of another"):
        ablations.main([str(config), "--only", "whole"])


def test_misspelt_variants_are_named(config):
    import ablations

    with pytest.raises(InputError, match="'nothing'.*'whole'"):
        ablations.main([str(config), "--only", "nothing"])
    config.write_text(config.read_text().replace("train_labels", "train_label"))
    with pytest.raises(InputError, match="train_label;.*'train_labels'"):
        ablations.main([str(config)])


@pytest.fixture
def pack(tmp_path, labels):
    """An untrained network as a domain pack, and the configuration that names its labels."""
    from ase_elf.dataset import read_labels
    from ase_elf.model import Architecture, FieldNetwork
    from ase_elf.training.pack import write_pack

    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "card.yaml").write_text("name: toy\nelements: [H]\nbonds: {H-H: 1.2}\nspacing: 0.4\n")
    (folder / "train.yaml").write_text(
        yaml.safe_dump({"labels": ["../labels"], "output": "run", "architecture": SMALL})
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FieldNetwork(Architecture.from_dict(SMALL)).requires_grad_(False).eval()
    write_pack(folder, network, train=read_labels(labels, "train"), recipe={}, scores=[])
    return folder


def test_page_figures_and_card_are_made_from_weights_and_labels(pack, labels, tmp_path):
    import field_accuracy

    page = tmp_path / "page.md"
    page.write_text((BENCHMARKS.parent / "docs" / "field-model.md").read_text())
    card = json.loads((pack / "card.json").read_text())
    assert not card["accuracy"]
    (pack / "card.json").write_text(json.dumps({k: v for k, v in card.items() if k != "novelty"}))
    other = pack / field_accuracy.FLUIDS_ONLY
    other.parent.mkdir()
    shutil.copy(pack / "weights.safetensors", other)
    field_accuracy.main([
        "--pack", str(pack), "--labels", str(labels), str(tmp_path / "absent"), "--card",
        "--split", "validation", "--page", str(page), "--images", str(tmp_path / "images"),
    ])  # fmt: skip
    text = page.read_text()
    groups, alone = (text.split(f"<!-- measured: {name} -->")[1].split("<!-- end -->")[0]
                     for name in ("groups", "fluids-only"))  # fmt: skip
    assert "| validation | 1 fluid" in alone and alone == groups
    assert "Not measured" not in text and "Not drawn" not in text and "| validation | s2 |" in text
    figures = text.split("<!-- measured: figures -->")[1].split("<!-- end -->")[0]
    names = [line.split("](")[1][:-1] for line in figures.splitlines() if line.startswith("![")]
    assert names and all((tmp_path / name).is_file() for name in names)
    again = json.loads((pack / "card.json").read_text())
    assert [row["name"] for row in again["accuracy"]] == ["s2"]
    assert again["novelty"] == card["novelty"]
    assert again["accuracy"][0]["distance"] > 0


def test_a_page_without_the_place_for_a_table_is_refused():
    import field_accuracy

    with pytest.raises(InputError, match="no <!-- measured: groups -->"):
        field_accuracy.filled("# A page\n", {"groups": ["| |"]})


def test_all_contenders_are_fitted_judged_and_drawn(labels, tmp_path, capsys):
    import peers

    figure = tmp_path / "peers.png"
    rows = peers.main(["--minutes", "0.01", "--labels", str(labels), "--points", "200",
                       "--repeats", "1", "--figure", str(figure)])  # fmt: skip
    assert list(rows) == ["field model", "probe network", "3D convolution"]
    assert all(row["speed"] > 0 and row["worst"] <= row["r2"] < 1 for row in rows.values())
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("\n| ") == 4


@pytest.mark.parametrize("name", ["Probes", "Convolved", "Ours"])
def test_every_contender_learns(labels, name):
    import peers

    shapes = {"Probes": {"layers": 1, "width": 16, "n_radial": 12}, "Convolved": {"width": 6},
              "Ours": {"n_radial": 6, "channels": (8, 4), "point_channels": (8, 4), "hidden": 16,
                       "n_updates": 0}}  # fmt: skip
    train = [analytic_label(seed) for seed in range(3)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        contender = getattr(peers, name)((1,), **shapes[name])
    # So small a network takes, and needs, a high rate.
    contender.pace = peers.Pace(2e-2 if name == "Probes" else 3e-3, 1, 128)
    ticks = iter(range(1000))  # a clock that ticks once a step, so that the fit is repeatable
    steps = peers.train(contender, train, 121, seed=0, clock=lambda: next(ticks))
    assert steps == 120
    found = peers.judge(contender, train, 300)
    assert found["r2"] > 0.5


def test_the_probe_network_sees_neither_translation_nor_rotation():
    from peer_models.probe_network import ProbeNetwork
    from scipy.spatial.transform import Rotation

    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = ProbeNetwork((1,), layers=2, width=8, n_radial=6, cutoff=5.0)
    atoms = analytic_label(3).atoms
    cell, positions = atoms.cell.array / Bohr, atoms.positions / Bohr
    points = np.random.default_rng(0).random((20, 3)) @ cell
    species = torch.zeros(len(atoms), dtype=torch.int64)
    expected = network.at(species, cell, positions, points)
    moved = network.at(species, cell, positions + [0.3, -2, 9], points + [0.3, -2, 9])
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-5)
    turn = Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix().T
    rotated = network.at(species, cell @ turn, positions @ turn, points @ turn)
    torch.testing.assert_close(rotated, expected, rtol=0, atol=1e-5)


def test_superposed_densities_count_the_atoms_and_follow_them():
    from peer_models.convolution import superposed

    atoms = analytic_label(4).atoms
    cell, positions = atoms.cell.array / Bohr, atoms.positions / Bohr
    sums = superposed(cell, positions, (15, 17, 19))
    mean = 30 * len(atoms) / abs(np.linalg.det(cell))
    np.testing.assert_allclose(sums.mean((1, 2, 3)), mean, rtol=1e-5)
    shifted = superposed(cell, positions + cell[0] / 15, (15, 17, 19))
    torch.testing.assert_close(shifted, sums.roll(1, 1), rtol=0, atol=1e-4)
