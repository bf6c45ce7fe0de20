"""Each command takes the networks that it can use, and says in one line which other command can."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minifcn import nn
from minifcn.cli import main
from minifcn.data import Classes, Normalize
from minifcn.images import write_png
from minifcn.infer import Predictor
from minifcn.models import build, convolutionize

COMMANDS = (
    ["predict", "FILE", "PHOTO", "--out", "OUT"],
    ["detect", "FILE", "PHOTO", "--out", "OUT"],
    ["evaluate", "FILE", "hotdogs"],
    ["live", "FILE", "--port", "0"],
)


@pytest.fixture
def coarse(tmp_path: Path) -> Path:
    """A classifier after surgery: an answer for every few pixels."""
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.Linear(4 * 25, 2))
    network, _ = convolutionize(layers, 12)
    Predictor(network, Classes(("a", "b")), Normalize()).save(tmp_path / "coarse.safetensors")
    return tmp_path / "coarse.safetensors"


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    net = build({"name": "squeezenet1_1", "classes": 5}, np.random.default_rng(0))
    save_file({k: v.numpy() for k, v in net.state_dict().items()}, tmp_path / "sq.safetensors")
    return tmp_path / "sq.safetensors"


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
@pytest.mark.parametrize("kind", ["coarse", "classifier"])
def test_what_does_not_say_all_pixels_is_sent_to_locate(kind, command, request, tmp_path, capsys):
    write_png(tmp_path / "photo.png", np.zeros((20, 30, 3), np.uint8))
    places = {
        "FILE": str(request.getfixturevalue(kind)),
        "PHOTO": str(tmp_path / "photo.png"),
        "OUT": str(tmp_path / "out"),
    }
    assert main([places.get(word, word) for word in command]) == 1
    error = capsys.readouterr().err
    assert "`minifcn locate`" in error and "Traceback" not in error


@pytest.mark.parametrize("kind", ["coarse", "classifier"])
def test_any_network_becomes_an_onnx_file(kind, request, tmp_path):
    pytest.importorskip("onnx", reason="needs onnx: pip install minifcn[onnx]")
    source = request.getfixturevalue(kind)
    assert main(["export", str(source), str(tmp_path / "net.onnx")]) == 0
    assert (tmp_path / "net.onnx").stat().st_size > 1000
