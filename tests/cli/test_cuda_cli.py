"""The command on a GPU: train, go on elsewhere, score and predict; and what it says without one."""

import json

import numpy as np
import pytest

from minifcn import cuda
from minifcn.cli import main
from minifcn.data import HotDogs
from minifcn.images import read_label, write_png

TINY = ["--epochs", "2", "--batch-size", "2", "--width", "4", "--depth", "2", "--lr", "0.05"]


def write_split(folder, scenes):
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for index in range(len(scenes)):
        image, label = scenes[index]
        write_png(folder / "images" / f"{index}.png", image)
        write_png(folder / "labels" / f"{index}.png", label)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    write_split(folder / "train", HotDogs(7, (16, 24)))
    write_split(folder / "val", HotDogs(2, (16, 24), seed=1_000_000))
    classes = {"names": ["background", "hot dog"], "colours": [[0, 0, 0], [255, 160, 0]]}
    (folder / "classes.json").write_text(json.dumps({**classes, "void": None}))
    return folder


@pytest.mark.parametrize("device", ["cuda"])
def test_a_run_trains_scores_and_predicts_on_a_gpu(device, data, tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    for out, where in ((here, "cpu"), (there, device)):
        assert main(["train", str(data), "--out", str(out), *TINY, "--device", where]) == 0
    said = capsys.readouterr().err
    assert "on cuda" in said and "no CUDA graph" not in said
    one, other = (json.loads((run / "history.json").read_text()) for run in (here, there))
    np.testing.assert_allclose(other["losses"], one["losses"], rtol=1e-3)
    assert other["epochs"][-1]["scores"] == pytest.approx(one["epochs"][-1]["scores"], abs=0.02)

    scores = []
    for where in ("cpu", device):
        run = [str(there), str(data / "val"), "--json", "--device", where]
        assert main(["evaluate", *run]) == 0
        scores.append(json.loads(capsys.readouterr().out))
        photo = str(data / "val" / "images" / "0.png")
        seen = tmp_path / f"seen-{where}"
        assert main(["predict", str(there), photo, "--out", str(seen), "--device", where]) == 0
        capsys.readouterr()
    assert np.abs(np.subtract(*(score["matrix"] for score in scores))).sum() <= 4
    maps = [read_label(tmp_path / f"seen-{where}" / "0_classes.png") for where in ("cpu", device)]
    assert np.mean(maps[0] == maps[1]) > 0.99


@pytest.mark.parametrize("device", ["cuda"])
def test_a_run_goes_on_on_another_device(device, data, tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")]
    assert main(["train", str(data), *out, *TINY, "--device", device, "--precision", "tf32"]) == 0
    assert main(["train", str(data), *out, "--resume"]) == 0
    assert "all 2 epochs are done" in capsys.readouterr().err
    assert main(["train", str(data), *out, "--resume", "--device", device, "--no-graph"]) == 0


def test_without_a_gpu_one_line_says_what_is_missing(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        cuda, "why_not", lambda: "device: 'cuda' needs CuPy, which is not installed"
    )
    out = tmp_path / "run"
    for command in (
        ["train", str(data), "--out", str(out)],
        ["demo", "--out", str(out)],
        ["evaluate", str(out), str(data / "val")],
        ["predict", str(out), str(data / "val" / "images"), "--out", str(out)],
    ):
        assert main([*command, "--device", "cuda"]) == 1
        line = f"minifcn {command[0]}: device: 'cuda' needs CuPy, which is not installed\n"
        assert capsys.readouterr().err == line
    assert not out.exists()


@pytest.mark.parametrize("device", ["cuda"])
def test_several_processes_on_a_gpu_are_refused(device, data, tmp_path, capsys):
    run = ["train", str(data), "--out", str(tmp_path / "run"), *TINY, "--device", device]
    assert main([*run, "--processes", "2"]) == 1
    assert "2 processes, expected 1, as the model is on 'cuda'" in capsys.readouterr().err


def test_precision_is_of_a_gpu(data, tmp_path, capsys):
    run = ["train", str(data), "--out", str(tmp_path / "run"), *TINY]
    assert main([*run, "--precision", "float16"]) == 1
    assert "precision is 'float16', expected 'float32'" in capsys.readouterr().err
