"""Weights by name: all that is wrong in one error, nothing written halfway, dialects understood."""

import numpy as np
import pytest

from minifcn import nn
from minifcn.files import save
from minifcn.interop import LoadError, load_weights
from minifcn.interop.dialects import DIALECTS, dialect_of
from minifcn.models import build
from tests.interop.torch_writer import saved


def net():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def stirred(state, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(v.shape).astype(v.dtype) if v.dtype.kind == "f" else v + 3
        for name, v in state.items()
    }


def test_all_that_is_wrong_is_listed_together_and_nothing_is_loaded():
    model = net()
    before = values(model)
    state = stirred(before)
    del state["0.bias"], state["2.weight"]
    state |= {"1.weight": np.zeros(4, np.float32), "head.weight": np.zeros(1, np.float32)}
    state["1.bias"] = np.zeros(3, np.int8)
    with pytest.raises(LoadError) as caught:
        load_weights(model, state)
    text = str(caught.value)
    for words in ("nothing was loaded", "missing: 0.bias, 2.weight", "unexpected: head.weight",
                  "1.weight: shape is (4,), expected (3,)",
                  "1.bias: dtype is int8, expected float32"):  # fmt: skip
        assert words in text
    assert all(np.array_equal(before[name], v) for name, v in values(model).items())
    report = load_weights(model, state, dry_run=True)
    assert not report.complete and report.missing == ("0.bias", "2.weight")
    assert report.unexpected == ("head.weight",) and set(report.misfits) == {"1.weight", "1.bias"}
    assert all(np.array_equal(before[name], v) for name, v in values(model).items())


def test_each_mistake_alone_is_refused():
    state = stirred(values(net()))
    more = {**state, "more": np.zeros(1)}
    less = {name: v for name, v in state.items() if name != "2.bias"}
    other = {**state, "2.bias": np.zeros(2)}
    for wrong, words in ((more, "unexpected"), (less, "missing"), (other, "2.bias: shape")):
        with pytest.raises(LoadError, match=words):
            load_weights(net(), wrong)


def test_another_network_is_no_endless_list():
    state = {f"layer{k}.weight": np.zeros(1) for k in range(300)}
    with pytest.raises(LoadError) as caught:
        load_weights(net(), state)
    assert "layer49.weight, ... 250 more" in str(caught.value) and len(str(caught.value)) < 2000
    assert len(load_weights(net(), state, dry_run=True).unexpected) == 300


def test_without_strict_what_is_there_is_loaded():
    model = net()
    before, state = values(model), stirred(values(model))
    del state["0.bias"]
    report = load_weights(model, {**state, "more": np.zeros(1)}, strict=False)
    after = values(model)
    assert report.missing == ("0.bias",) and report.unexpected == ("more",)
    assert np.array_equal(after["0.bias"], before["0.bias"])
    assert all(np.array_equal(after[name], v) for name, v in state.items())
    with pytest.raises(LoadError, match="shape is"):
        load_weights(model, {"0.bias": np.zeros(9)}, strict=False)


def test_files_of_every_kind_load(tmp_path):
    wanted = stirred(values(net()))
    save(tmp_path / "a.safetensors", wanted, {})
    np.savez(tmp_path / "a.npz", **wanted)
    (tmp_path / "a.pth").write_bytes(saved(wanted))
    (tmp_path / "old.pth").write_bytes(saved(wanted, legacy=True))
    for name in ("a.safetensors", "a.npz", "a.pth", "old.pth"):
        model = net()
        assert load_weights(model, tmp_path / name).complete
        assert all(np.array_equal(wanted[k], v) for k, v in values(model).items())


def test_dtypes_are_those_of_the_model():
    model = net()
    state = {k: v.astype(np.float16) if v.ndim else v for k, v in stirred(values(model)).items()}
    report = load_weights(model, state)
    assert report.converted["0.weight"] == ("float16", "float32")
    assert "float16 -> float32" in report.table()
    for name, value in values(model).items():
        assert np.array_equal(value, state[name]), "to float32 is lossless"


def test_weights_go_where_the_model_is(device):
    model = net().to(device)
    state = stirred(values(model))
    load_weights(model, state)
    assert {p.device for p in model.parameters()} == {device}
    assert all(np.array_equal(state[name], v) for name, v in values(model).items())
    assert load_weights(net(), model.state_dict()).complete, "and come from there"


def test_files_without_counters_load():
    """BatchNorm has counted its batches since 2018."""
    state = {k: v for k, v in stirred(values(net())).items() if "num_batches" not in k}
    assert load_weights(net(), state).complete


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "module.model."])
def test_the_prefixes_of_wrappers_are_taken_off(prefix):
    model = net()
    state = stirred(values(model))
    report = load_weights(model, {prefix + name: v for name, v in state.items()})
    assert report.dialect == "a wrapper" and report.renamed["0.bias"] == f"{prefix}0.bias"
    assert all(np.array_equal(state[name], v) for name, v in values(model).items())


CAFFE_VGG = [f"conv{b}_{k}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for k in range(1, n + 1)]
PARTS = ("squeeze1x1", "expand1x1", "expand3x3")
FIRES = [f"fire{n}/{part}" for n in range(2, 10) for part in PARTS]
CAFFE_SQUEEZE = ["conv1", *FIRES, "conv10"]


@pytest.mark.parametrize(
    ("config", "layers", "name"),
    [
        ({"name": "vgg16", "width": 2, "classes": 3}, [*CAFFE_VGG, "fc6", "fc7", "fc8"],
         "VGG16 of Caffe"),
        ({"name": "squeezenet1_1", "classes": 3}, CAFFE_SQUEEZE, "SqueezeNet 1.1 of its authors"),
    ],
)  # fmt: skip
def test_layers_in_their_authors_words(config, layers, name):
    """Both sides list their layers in the order in which an image meets them."""
    model = build(config)
    ours = values(model)
    theirs = [f"{layer}.{what}" for layer in layers for what in ("weight", "bias")]
    assert len(theirs) == len(ours)
    state = dict(zip(theirs, stirred(ours).values(), strict=True))
    report = load_weights(model, state)
    assert report.dialect == name and report.complete
    for got, wanted in zip(values(model).values(), state.values(), strict=True):
        assert np.array_equal(got, wanted)


def test_no_dialect_gives_two_arrays_one_name():
    for dialect in DIALECTS:
        renamed = [dialect.rename(f"{n}.weight") for n in [*CAFFE_VGG, *CAFFE_SQUEEZE, "fc6"]]
        assert len(set(renamed)) >= len(renamed) - 1  # conv1 is both nets' name
    with pytest.raises(LoadError, match="would both be 0.weight"):
        state = {"module.0.weight": np.zeros(1), "module.0.bias": np.zeros(1)}
        load_weights(net(), {**state, "0.weight": np.zeros(1)})


def test_our_own_names_come_first():
    assert dialect_of(["a", "b"], ["a", "b"]).name == "minifcn"
    assert dialect_of(["x"], ["a"]).name == "minifcn"
