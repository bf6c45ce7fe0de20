"""minifcn export: a run's network as an ONNX file, and clear words where it cannot be."""

import json
from pathlib import Path

import pytest

from minifcn import models
from minifcn.cli import main
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    encoder = {"name": "small", "width": 4, "depth": 3}
    net = models.build({"name": "fcn", "encoder": encoder, "classes": 2})
    path = tmp_path / "net.safetensors"
    Predictor(net, Classes(("a", "b")), Normalize()).save(path)
    return path


def test_a_model_file_is_exported_and_checked(model_file: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx-test is not installed")
    out = tmp_path / "net.onnx"
    assert main(["export", str(model_file), str(out), "--size", "40x56", "--check"]) == 0
    assert "onnxruntime differs by" in capsys.readouterr().out
    texts = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert json.loads(texts["classes"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "axes"),
    [([], ["N", 3, "H", "W"]), (["--batch"], ["N", 3, 40, 56]), (["--fixed"], [1, 3, 40, 56])],
)
def test_what_may_vary(model_file: Path, tmp_path: Path, options, axes) -> None:
    out = tmp_path / "net.onnx"
    assert main(["export", str(model_file), str(out), "--size", "40x56", *options]) == 0
    sizes = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in sizes] == axes


def test_an_untrained_network_by_its_name(tmp_path: Path) -> None:
    assert main(["export", "squeezenet1_1", str(tmp_path / "net.onnx")]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_file"], "no such file or folder"),
        (["unet"], "classes"),
        (["espnet", "--size", "0x3"], "HEIGHTxWIDTH"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments, words, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "net.onnx")
    try:
        code = main(["export", arguments[0], out, *arguments[1:]])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code in (1, 2)
    assert words in capsys.readouterr().err
