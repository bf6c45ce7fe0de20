"""`minifcn evaluate` takes weights of others as they come: names and shapes tell what they are."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from minifcn.cli import main
from minifcn.images import write_png
from minifcn.interop import KNOWN
from minifcn.models.espnet import ESPNet


@pytest.fixture
def street(tmp_path):
    """(weights by the authors' names, a folder of two photos with CamVid's classes)"""
    net = ESPNet(12, 1, 1, generator=np.random.default_rng(0))
    state = {k: v.numpy() for k, v in net.state_dict().items() if "tracked" not in k}
    save_file(state, tmp_path / "espnet.safetensors")
    KNOWN["espnet"].classes.save(tmp_path / "classes.json")
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / "val" / part).mkdir(parents=True)
    for name in ("a", "b"):
        photo = rng.integers(0, 256, (24, 33, 3), dtype=np.uint8)
        write_png(tmp_path / "val/images" / f"{name}.png", photo)
        label = rng.integers(0, 12, photo.shape[:2], dtype=np.uint8)
        write_png(tmp_path / "val/labels" / f"{name}.png", label)
    return tmp_path / "espnet.safetensors", tmp_path


@pytest.mark.parametrize("extra", [[], ["--model", "espnet"]])
def test_weights_of_others_are_scored(street, extra, capsys):
    weights, data = street
    assert main(["evaluate", str(weights), str(data / "val"), "--json", *extra]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert len(scores["classes"]) == 11  # void is no class
    assert 0 < scores["pixels"] < 2 * 24 * 33


def test_classes_are_the_same_in_any_case_of_letters(street, capsys):
    weights, data = street
    text = (data / "classes.json").read_text().replace("Sky", "sky")
    (data / "classes.json").write_text(text)
    assert main(["evaluate", str(weights), str(data / "val"), "--json"]) == 0
    (data / "classes.json").write_text(text.replace("sky", "heaven"))
    assert main(["evaluate", str(weights), str(data / "val")]) == 1
    assert "heaven" in capsys.readouterr().err
