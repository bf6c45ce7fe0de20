"""A network as an ONNX file: in onnxruntime the same, whatever the batch and the image size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import models, nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra onnx-test is not installed")

from minifcn.interop import onnx as mo  # noqa: E402

SIZES = ((1, 64, 64), (2, 37, 50), (3, 75, 33), (1, 90, 41))
RESNET = {"name": "fcn", "encoder": {"name": "resnet18"}, "classes": 3}

LAYERS = [
    ["0", "Conv2d", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": "same"}],
    ["1", "BatchNorm2d", {"num_features": 4}],
    ["2", "ReLU", {}],
    ["3", "MaxPool2d", {"kernel_size": 3, "stride": 2}],
]
HEAD = [["4", "Flatten", {}], ["5", "Linear", {"in_features": 4 * 7 * 7, "out_features": 2}]]
SURGERY = {
    "name": "convolutional",
    "model": {"name": "layers", "layers": LAYERS + HEAD},
    "input_size": [16, 16],
}

CONFIGS: dict[str, dict[str, Any]] = {
    "fcn": {"name": "fcn", "encoder": {"name": "small", "width": 4, "depth": 4}, "classes": 3},
    "fcn on squeezenet": {"name": "fcn", "encoder": {"name": "squeezenet1_1"}, "classes": 3},
    "fcn_vgg16": {"name": "fcn_vgg16", "classes": 3, "width": 4, "hidden": 8},
    "fcn_vgg16 at once": {"name": "fcn_vgg16", "classes": 2, "width": 4, "hidden": 8,
                          "geometry": "zero", "at_once": True},
    "squeezenet1_1": {"name": "squeezenet1_1", "classes": 5},
    "unet": {"name": "unet", "classes": 2, "width": 4, "depth": 3},
    "espnet": {"name": "espnet", "classes": 4},
    "layers": {"name": "layers", "layers": LAYERS},
    "convolutional": SURGERY,
    "convolutional, full size": SURGERY | {"full_size": True},
}  # fmt: skip
LARGE: dict[str, dict[str, Any]] = {
    "fcn on resnet18": RESNET,
    "fcn on vgg16": RESNET | {"encoder": {"name": "vgg16"}},
    "resnet18": {"name": "resnet18", "classes": 5},
    "resnet34": {"name": "resnet34", "classes": 5},
    "resnet50": {"name": "resnet50", "classes": 5},
    "fcn_resnet50": {"name": "fcn_resnet50", "classes": 5},
    "vgg16": {"name": "vgg16", "classes": 5},
}


def randomised(model: nn.Module) -> nn.Module:
    """Every parameter and statistic away from 0 and 1, so that none can be left out."""
    rng = np.random.default_rng(0)
    with mf.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dtype == np.float32:
                step = 0.1 * abs(rng.standard_normal(tensor.shape)).astype(np.float32)
                values = tensor.numpy() * (1 + step) + (0.1 * step if tensor.ndim == 1 else 0)
                if tensor.ndim == 4 and not tensor.numpy().any():
                    values = step
                model.load_state_dict({name: values}, strict=False)
    return model


def compare(model: Any, path: Path, sizes: Any = SIZES, **options: Any) -> Any:
    """Export, run both, compare; gives the ONNX model."""
    network = getattr(model, "model", model)
    proto = mo.export(model, path, **options)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    network.eval()
    for n, h, w in sizes:
        x = np.random.default_rng(h).standard_normal((n, 3, h, w)).astype(np.float32)
        with mf.no_grad():
            expected = network(mf.tensor(x)).numpy()
        (y,) = session.run(["output"], {"image": x})
        assert y.shape == expected.shape
        assert abs(y - expected).max() <= 1e-4 * max(1e-3, abs(expected).max())
        assert expected.std() > 0, "a network that says nothing proves nothing"
    return proto


def test_every_model_is_tested() -> None:
    names = {config["name"] for config in (CONFIGS | LARGE).values()}
    assert names == set(models.registry.MODELS)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_is_the_same_at_every_size(name: str, tmp_path: Path) -> None:
    model = randomised(models.build(CONFIGS[name], generator=np.random.default_rng(1)))
    proto = compare(model, tmp_path / "model.onnx")
    written = {tensor.name for tensor in proto.graph.initializer}
    kept = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    assert kept <= written, "every parameter stands in the file under its own name"


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_model_is_the_same_at_every_size(name: str, tmp_path: Path) -> None:
    model = randomised(models.build(LARGE[name], generator=np.random.default_rng(1)))
    compare(model, tmp_path / "model.onnx")


class Does(nn.Module):
    """A network of one function, with one parameter."""

    def __init__(self, function: Callable[[mf.Tensor], Any]) -> None:
        self.function = function
        self.weight = nn.Parameter(
            np.random.default_rng(0).standard_normal((4, 3, 3, 2)).astype(np.float32)
        )

    def forward(self, x: mf.Tensor) -> Any:
        return self.function(F.conv2d(x, self.weight, padding=(1, 0)))


def pooled(**options: Any) -> Callable[[mf.Tensor], mf.Tensor]:
    return lambda x: F.max_pool2d(x, 3, 2, **options)


def mean(**options: Any) -> Callable[[mf.Tensor], mf.Tensor]:
    return lambda x: F.avg_pool2d(x, 3, 2, **options)


def resized(mode: str, **options: Any) -> Callable[[mf.Tensor], mf.Tensor]:
    return lambda x: F.interpolate(x, mode=mode, **options)


def transposed(**options: Any) -> Callable[[mf.Tensor], mf.Tensor]:
    w = mf.tensor(np.random.default_rng(2).standard_normal((4, 2, 3, 3)).astype(np.float32))
    return lambda x: F.conv_transpose2d(x, w, stride=2, **options)


def convolved(**options: Any) -> Callable[[mf.Tensor], mf.Tensor]:
    w = mf.tensor(np.random.default_rng(2).standard_normal((2, 4, 3, 4)).astype(np.float32))
    return lambda x: F.conv2d(x, w, stride=(2, 3), **options)


def to_multiple(x: mf.Tensor) -> mf.Tensor:
    H, W = x.shape[2:]
    return F.pad(x, (0, -W % 8, 0, -H % 8), mode="replicate")


def unpooled(x: mf.Tensor) -> mf.Tensor:
    y, where = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y, where, 2, output_size=x.shape)


DOES: dict[str, Callable[[mf.Tensor], Any]] = {
    "max pool": pooled(),
    "max pool, up": pooled(ceil_mode=True),
    "max pool, padded": pooled(padding=((1, 0), (1, 1))),
    "max pool, same": pooled(padding="same"),
    "max pool, same_lower": pooled(padding="same_lower"),
    "mean pool": mean(),
    "mean pool, padded": mean(padding=1),
    "mean pool, up": mean(padding=1, ceil_mode=True),
    "mean pool, image alone": mean(padding=1, count_include_pad=False, ceil_mode=True),
    "mean pool, divisor": mean(padding=1, divisor_override=7),
    "convolution": convolved(padding=1),
    "convolution, same": convolved(padding="same"),
    "convolution, same_lower": convolved(padding="same_lower"),
    "transposed": transposed(),
    "transposed, longer": transposed(padding=1, output_padding=1),
    "transposed, same": transposed(padding="same"),
    "transposed, as asked": lambda x: transposed(output_size=(2 * x.shape[2] + 1,
                                                              2 * x.shape[3] + 2))(x),
    "bilinear to the double": resized("bilinear", scale_factor=2),
    "bilinear to a size": resized("bilinear", size=(17, 40)),
    "bilinear, corners": resized("bilinear", scale_factor=(2, 3), align_corners=True),
    "nearest by 2": resized("nearest", scale_factor=2),
    "nearest by 1.4": resized("nearest", scale_factor=1.4),
    "nearest to a size": resized("nearest", size=(31, 50)),
    "nearest-exact to a size": resized("nearest-exact", size=(31, 50)),
    "to another's size": lambda x: F.interpolate(pooled()(x), size=x.shape[2:], mode="bilinear"),
    "global mean": lambda x: F.global_avg_pool2d(x),
    "mean without axes": lambda x: x.mean((2, 3)),
    "adaptive mean": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive maximum": lambda x: F.adaptive_max_pool2d(x, 1),
    "crop": lambda x: x[:, :, 2:-1, 1::2],
    "mirrored": lambda x: x[:, :, ::-1, -2::-3],
    "to a multiple of 8": to_multiple,
    "reflected": lambda x: F.pad(x, (1, -2, 0, 3), mode="reflect"),
    "pixels as rows": lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4) @ mf.ones(4, 2),
    "back to an image": lambda x: x.reshape(x.shape[0], 4, -1).relu().reshape(x.shape),
    "softmax": lambda x: F.log_softmax(x, 1) + F.softmax(x, 3),
    "largest": lambda x: F.amax(x, (1, 2)) - F.min(x, 2, keepdims=True),
    "with a number": lambda x: 2 - 3 * x.clamp(-0.5, 1) ** 2,
    "unpooled": unpooled,
    "windows": lambda x: F.unfold(x, 3, stride=2, padding=1),
    "parts": lambda x: F.cat([*F.split(x, [1, 3], 1)[::-1], x.abs()], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DOES)
def test_what_follows_the_size_is_right_at_other_sizes(name: str, tmp_path: Path) -> None:
    compare(Does(DOES[name]), tmp_path / "one.onnx", input_shape=(1, 3, 48, 56))


def branches(x: mf.Tensor) -> mf.Tensor:
    return x.relu() if x.shape[2] > 80 else x.sigmoid()


REFUSED: dict[str, tuple[Callable[[mf.Tensor], Any], str]] = {
    "made outside": (lambda x: x * mf.tensor(x.numpy() > 0).astype("float32"), "outside the oper"),
    "other operators": (branches, "other operators"),
    "no rule": (lambda x: x[:, :, : int(x.shape[2] ** 0.5)], "no rule"),
    "adaptive maximum": (lambda x: F.adaptive_max_pool2d(x, 2), "no adaptive maximum"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_follow_the_size_is_refused(name: str, tmp_path: Path) -> None:
    function, words = REFUSED[name]
    with pytest.raises(mo.OnnxError, match=words):
        mo.export(Does(function), tmp_path / "none.onnx")
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_for_one_size_alone_more_can_be_exported(tmp_path: Path) -> None:
    net = Does(lambda x: branches(x) * mf.ones(1, 4, *x.shape[2:]))
    for dynamic, batches in ((False, (1,)), ("batch", (1, 5))):
        sizes = [(n, 40, 44) for n in batches]
        compare(net, tmp_path / "one.onnx", sizes, input_shape=(1, 3, 40, 44), dynamic=dynamic)


def test_a_predictor_brings_its_description(tmp_path: Path) -> None:
    model: Any = models.build(CONFIGS["fcn"])
    classes = Classes(("a", "b", "void"), void=2)
    predictor = Predictor(model, classes, Normalize((0.1, 0.2, 0.3), (0.5, 0.5, 0.25)), shrink=2)
    proto = mo.export(predictor, tmp_path / "m.onnx", metadata={"author": "me"})
    texts = {p.key: p.value for p in proto.metadata_props}
    assert json.loads(texts["classes"]) == ["a", "b", "void"]
    assert (json.loads(texts["mean"]), json.loads(texts["shrink"])) == ([0.1, 0.2, 0.3], 2)
    assert (texts["order"], texts["author"]) == ("RGB", "me")
    assert json.loads(texts["model"]) == model.config


def test_the_network_is_left_as_it_was(tmp_path: Path) -> None:
    model: Any = models.build(CONFIGS["fcn"])
    model.encoder.stages[0].eval()
    before = [part.training for part in model.modules()]
    state = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    mo.export(model, tmp_path / "m.onnx")
    assert [part.training for part in model.modules()] == before
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])


def test_a_network_on_a_gpu_is_exported(cuda: object, tmp_path: Path) -> None:
    model = randomised(models.build(CONFIGS["fcn"], generator=np.random.default_rng(1)))
    here = mo.export(model, tmp_path / "here.onnx").SerializeToString(deterministic=True)
    there = mo.export(model.to("cuda"), tmp_path / "there.onnx")
    assert there.SerializeToString(deterministic=True) == here


@pytest.mark.parametrize("config", [
    CONFIGS["fcn"],
    {"name": "espnet", "classes": 2, "p": 0, "q": 0},  # its edges are repeated, at some sizes
    {"name": "fcn", "encoder": {"name": "squeezenet1_1"}, "classes": 2},
], ids=["fcn", "espnet", "squeezenet"])  # fmt: skip
def test_what_was_loaded_is_exported_again(config: dict[str, Any], tmp_path: Path) -> None:
    model = randomised(models.build(config, generator=np.random.default_rng(1)))
    mo.export(model, tmp_path / "once.onnx")
    again: Any = mo.load(tmp_path / "once.onnx")
    proto = compare(again, tmp_path / "twice.onnx")
    assert {name for name, _ in model.named_parameters()} <= {
        t.name for t in proto.graph.initializer
    }
