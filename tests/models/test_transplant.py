"""Transplanting: what fits is copied or reshaped, what does not is told, nothing goes silently."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.interop.dialects import DIALECTS
from minifcn.models import build, transplant


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def test_vgg16_becomes_fcn_32s_and_that_an_fcn_16s():
    """fc6 and fc7 become kernels 7x7 and 1x1; the score of 1000 classes is dropped."""
    small = {"width": 4, "classes": 7}
    classifier = build({"name": "vgg16", **small})
    coarse = build({"name": "fcn_vgg16", "width": 4, "classes": 3, "skips": 0})
    before = values(coarse)
    report = transplant(classifier.state_dict(), coarse)
    theirs, ours = values(classifier), values(coarse)
    for name in theirs:
        if name.startswith("features."):
            assert np.array_equal(ours[name], theirs[name])
    assert np.array_equal(
        ours["classifier.0.weight"].reshape(256, -1), theirs["classifier.0.weight"]
    )
    assert report.names("reshaped") == ("classifier.0.weight", "classifier.3.weight")
    assert report.names("dropped") == ("classifier.6.weight", "classifier.6.bias")
    assert set(report.names("left")) == {"score_fr.weight", "score_fr.bias", "upscore.weight"}
    assert all(np.array_equal(ours[name], before[name]) for name in report.names("left"))

    finer = build({"name": "fcn_vgg16", "width": 4, "classes": 3, "skips": 1})
    report = transplant(coarse, finer)
    assert report.names("dropped") == ("upscore.weight",)
    assert set(report.names("left")) == {
        "score_pool4.weight", "score_pool4.bias", "upscore2.weight", "upscore16.weight",
    }  # fmt: skip


def test_names_of_another_dialect():
    names = {f"conv1_{k}.{what}" for k in (1, 2) for what in ("weight", "bias")}
    model = build({"name": "vgg16", "width": 4, "classes": 7})
    state = values(model)
    caffe = {
        "conv1_1.weight": state["features.0.weight"] + 1, "conv1_1.bias": state["features.0.bias"],
        "conv1_2.weight": state["features.2.weight"], "conv1_2.bias": state["features.2.bias"],
    }  # fmt: skip
    dialect = next(d for d in DIALECTS if d.name == "VGG16 of Caffe")
    report = transplant(caffe, model, dialect.rename)
    assert set(report.names("copied")) == names
    assert np.array_equal(values(model)["features.0.weight"], caffe["conv1_1.weight"])
    report = transplant(caffe, model, {"conv1_1.bias": "features.0.bias"})
    assert report.names("copied") == ("conv1_1.bias",) and len(report.names("dropped")) == 3


def test_a_dry_run_changes_nothing_and_says_the_same():
    source, model = nn.Linear(12, 5), nn.Conv2d(3, 5, 2)
    before = values(model)
    told = transplant(source, model, dry_run=True)
    assert all(np.array_equal(value, before[name]) for name, value in values(model).items())
    assert transplant(source, model) == told
    x = np.random.default_rng(0).standard_normal((1, 3, 2, 2)).astype(np.float32)
    what, where = source(mf.tensor(x.reshape(1, 12))), model(mf.tensor(x))
    assert np.abs(what.numpy() - where.numpy()[:, :, 0, 0]).max() < 1e-6
    assert "weight" in str(told) and "5 x 12  -> 5 x 3 x 2 x 2" in str(told)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((12, 5)), "5 x 3 x 2 x 2 there"),  # as many numbers, but no such layer
        (np.zeros((5, 2, 2, 3)), "5 x 3 x 2 x 2 there"),
        (np.zeros((5, 3, 2, 2), np.int8), "int8, but float32 there"),
        (np.zeros(60), "5 x 3 x 2 x 2 there"),
    ],
)
def test_what_only_looks_alike_is_dropped(array, words):
    model = nn.Conv2d(3, 5, 2)
    report = transplant({"weight": array}, model)
    assert report.names("dropped") == ("weight",) and words in str(report)
    assert model.weight.numpy().any()


def test_two_arrays_for_one_place():
    model = nn.Conv2d(1, 1, 1)
    w = np.ones((1, 1, 1, 1), np.float32)
    report = transplant({"weight": w, "copy": 2 * w}, model, {"copy": "weight"})
    assert report.names("dropped") == ("copy",) and model.weight.item() == 1
