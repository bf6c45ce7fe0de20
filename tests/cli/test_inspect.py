"""minifcn inspect: names, files, and mistakes."""

import json
from pathlib import Path

import pytest

from minifcn.cli import main
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.models import FCN, SmallEncoder


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["inspect", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_name(capsys):
    code, out, _ = told(capsys, "vgg16", "--input", "3x224x224")
    assert code == 0
    assert "138,357,544" in out and "15.47 G" in out and "1 x 1000" in out


def test_options_and_tables(capsys):
    code, out, _ = told(
        capsys, "fcn", "--set", "encoder=resnet18", "--set", "classes=5", "--layers", "--derive"
    )
    assert code == 0
    assert "encoder.layer4.1.conv2" in out and "1 x 5 x 360 x 480" in out
    assert out.count("\nencoder.conv1 ") == 2 - out.startswith("encoder.conv1")


def test_json_is_json(capsys):
    code, out, _ = told(capsys, "espnet", "--json", "--input", "2x3x64x96")
    found = json.loads(out)
    assert code == 0 and found["input"] == [2, 3, 64, 96] and found["output"] == [2, 20, 64, 96]
    assert sum(row["multiply_adds"] for row in found["layers"]) == found["multiply_adds"]
    assert found["coordinates"][0]["layer"] == "encoder.sample1"


def test_a_file_and_a_folder(capsys, tmp_path: Path):
    model = FCN(SmallEncoder(width=4, depth=3), 2)
    classes = Classes(("a", "b"))
    Predictor(model, classes, Normalize()).save(tmp_path / "model.safetensors")
    count = sum(p.numel() for p in model.parameters())
    for path in (tmp_path, tmp_path / "model.safetensors"):
        code, out, _ = told(capsys, str(path), "--input", "3x40x40")
        assert code == 0 and f"{count:,}" in out


def test_it_draws(capsys, tmp_path: Path):
    code, _, err = told(
        capsys, "fcn_vgg16", "--set", "width=1", "--draw", str(tmp_path / "a.svg")
    )  # fmt: skip
    assert code == 0 and "a.svg" in err
    assert "crop 31" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_it_measures(capsys):
    arguments = ("espnet", "--input", "3x96x96", "--measure")
    code, out, _ = told(capsys, *arguments)
    assert code == 0 and "measured here" in out
    found = json.loads(told(capsys, *arguments, "--json")[1])
    assert found["measured"]["seconds"] > 0
    assert found["measured"]["inference_bytes"] > found["memory"]["inference"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["vgg17"], "no such file, and no model's name"),
        (["fcn_vgg16", "--set", "skips=9"], "skips is 9"),
        (["fcn_vgg16", "--set", "depth=9"], "does not take these options"),
        (["vgg16", "--input", "3x8x8"], "expected at least 32"),
        (["vgg16", "--input", "4x64x64"], "is 4"),
        (["fcn", "--draw", "a.gif"], "expected .svg or .png"),
    ],
)
def test_mistakes_are_one_sentence(capsys, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = told(capsys, *arguments)
    assert code == 1 and words in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_given_options(capsys, tmp_path: Path):
    (tmp_path / "x.safetensors").write_bytes(b"")
    code, _, err = told(capsys, str(tmp_path / "x.safetensors"), "--set", "classes=2")
    assert code == 1 and "--set is for models by name" in err


@pytest.mark.parametrize("text", ["3x4", "axbxc", "3x0x5", "3x-1x5", "1x2x3x4x5"])
def test_an_image_size_that_is_none(capsys, text):
    with pytest.raises(SystemExit):
        main(["inspect", "fcn", f"--input={text}"])
    assert "expected CxHxW" in capsys.readouterr().err
