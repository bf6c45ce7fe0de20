"""Wrong arguments of layers and of SGD: the layer and the argument are named when it is made."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf

nn: Any = mf.nn  # wrong arguments are the point here, so mypy is not asked
optim: Any = mf.optim

CONVS = {"Conv2d": nn.Conv2d, "ConvTranspose2d": nn.ConvTranspose2d}
ODD = ["relu", [1], 1.5, {}, np.ones(3), object()]


def refused(start: str, call) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    text = str(caught.value)
    assert text.startswith(start) and "expected" in text, text


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "argument",
    ["stride", "dilation", "groups", "bias", "trainable", "weight_init", "bias_init", "normalizer",
     "regularizer", "padding_mode", "dtype", "generator"],
)  # fmt: skip
def test_every_argument_of_a_convolution(name, argument, value) -> None:
    start = "generator" if argument == "generator" else f"{name}: {argument}"
    refused(start, lambda: CONVS[name](2, 4, 3, **{argument: value}))


@pytest.mark.parametrize("argument", ["lr", "momentum", "dampening", "weight_decay", "nesterov"])
@pytest.mark.parametrize("value", ["fast", [0.1], None, {}, np.ones(2)], ids=str)
def test_every_number_of_sgd(argument, value) -> None:
    p = nn.Parameter([1.0])
    refused(f"SGD: {argument} is", lambda: optim.SGD([p], **{"lr": 0.1, argument: value}))


def test_what_sgd_cannot_train() -> None:
    for params in (None, 1.0, object()):
        refused("SGD: params is a", lambda params=params: optim.SGD(params))
    refused("SGD: params[0] is a", lambda: optim.SGD(["a"]))


def test_other_layers() -> None:
    refused("Linear: bias is", lambda: nn.Linear(3, 2, "relu"))
    refused("Linear: dtype is", lambda: nn.Linear(3, 2, dtype=int))
    refused("BatchNorm2d: affine is", lambda: nn.BatchNorm2d(3, affine=None))
    refused("Dropout: p is", lambda: nn.Dropout("half"))
    refused("ModuleList: modules is", lambda: nn.ModuleList(3))
    refused("manual_seed: seed is", lambda: nn.manual_seed("today"))
    refused("load_state_dict: values is", lambda: nn.Linear(1, 1).load_state_dict([1]))
    refused("BatchNorm2d: x has", lambda: nn.BatchNorm2d(3)([[1.0]]))


@pytest.mark.parametrize(
    ("start", "call"),
    [
        ("max_pool2d: ceil_mode", lambda x, v: mf.functional.max_pool2d(x, 2, ceil_mode=v)),
        ("avg_pool2d: count", lambda x, v: mf.functional.avg_pool2d(x, 2, count_include_pad=v)),
        ("batch_norm: training", lambda x, v: mf.functional.batch_norm(x, None, None, training=v)),
        (
            "interpolate: align_corners",
            lambda x, v: mf.functional.interpolate(x, 9, mode="bilinear", align_corners=v),
        ),
    ],
)
def test_a_flag_is_true_or_false(start, call) -> None:
    x = mf.tensor(np.ones((1, 2, 4, 4)))
    for value in ODD:
        refused(start, lambda value=value: call(x, value))
    call(x, np.True_)
