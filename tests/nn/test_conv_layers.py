"""Conv2d and ConvTranspose2d as layers: PyTorch's arguments, and what TensorFlow's layers take."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.kernels import reference
from minifcn.window import Window

THREE: Any = 3  # where something else is expected


def image(*shape: int) -> mf.Tensor:
    return mf.tensor(np.random.default_rng(7).standard_normal(shape))


def by_loops(layer: nn.Conv2d, x: mf.Tensor, padding=0) -> np.ndarray:
    """The convolution of the layer's parameters, by the reference loops."""
    size = x.shape[2], x.shape[3]
    window = Window.for_conv("test", size, layer.kernel_size, layer.stride, padding,
                             layer.dilation, layer.groups)  # fmt: skip
    y = reference.conv2d(x.numpy(), layer.weight.numpy(), window)
    return y if layer.bias is None else y + layer.bias.numpy()[:, None, None]


def transposed_by_loops(layer: nn.ConvTranspose2d, x: mf.Tensor, size=None) -> np.ndarray:
    window = Window.for_transpose(
        "test", (x.shape[2], x.shape[3]), layer.kernel_size, layer.stride, layer.padding,
        0 if size else layer.output_padding, size, layer.dilation, layer.groups,
    )  # fmt: skip
    y = reference.conv_transpose2d(x.numpy(), layer.weight.numpy(), window)
    return y if layer.bias is None else y + layer.bias.numpy()[:, None, None]


@pytest.mark.parametrize(
    ("arguments", "padding"),
    [
        ((4, 6, 3), 0),
        ((4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False), (1, 0)),
        ((4, 4, 3, 2, "same", 1, 4), "same"),
        ((4, 2, 3, 3, "same_lower"), "same_lower"),
        ((4, 2, 3, 1, ((0, 1), (2, 0))), ((0, 1), (2, 0))),
    ],
)
def test_conv2d_convolves_with_its_parameters(arguments, padding):
    layer, x = nn.Conv2d(*arguments).double(), image(2, 4, 7, 8)
    assert np.allclose(layer(x).numpy(), by_loops(layer, x, padding), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [
        (4, 6, 3),
        (4, 6, (3, 2), (3, 2), (1, 0), (2, 1), 2, False),
        (4, 4, 3, 2, "same", 0, 4),
        (4, 2, 3, 1, 1, 0, 1, True, 2),
    ],
)
def test_conv_transpose2d_paints_with_its_parameters(arguments):
    layer, x = nn.ConvTranspose2d(*arguments).double(), image(2, 4, 3, 5)
    assert np.allclose(layer(x).numpy(), transposed_by_loops(layer, x), rtol=1e-12, atol=1e-12)


def test_output_size_overrules_output_padding():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1, dtype=np.float64)
    x = image(1, 2, 3, 4)
    assert layer(x).shape == (1, 3, 6, 8)
    for size in [(5, 8), (1, 3, 5, 8)]:
        y = layer(x, output_size=size)
        assert np.allclose(y.numpy(), transposed_by_loops(layer, x, (5, 8)))
    with pytest.raises(mf.ShapeError) as error:
        layer(x, output_size=(9, 8))
    for fact in ("output_size", "along axis 2 (H) is 9", "5, 6", "ConvTranspose2d(2, 3"):
        assert fact in str(error.value)


def test_weight_layouts_are_pytorchs():
    assert nn.Conv2d(4, 6, (2, 3), groups=2).weight.shape == (6, 2, 2, 3)
    assert nn.ConvTranspose2d(4, 6, (2, 3), groups=2).weight.shape == (4, 3, 2, 3)
    for layer in (nn.Conv2d(4, 6, 1), nn.ConvTranspose2d(4, 6, 1)):
        assert layer.state_dict()["bias"].shape == (6,)


@pytest.mark.parametrize(("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge")])
@pytest.mark.parametrize(("stride", "padding"), [(1, (2, 1)), (2, (2, 1)), (2, "same")])
def test_padding_modes(mode, numpys, stride, padding):
    layer = nn.Conv2d(2, 3, 3, stride, padding, padding_mode=mode, dtype=np.float64)
    x = image(1, 2, 6, 5)
    sides = {"same": ((0, 1), (1, 1))}.get(padding, ((2, 2), (1, 1)))  # along H 6, stride 2: pad 1
    padded = mf.tensor(np.pad(x.numpy(), ((0, 0), (0, 0), *sides), mode=numpys))
    y = layer(x).numpy()
    assert np.allclose(y, by_loops(layer, padded)[:, :, : y.shape[2], : y.shape[3]])


def test_normalizer_then_activation_follow_the_convolution():
    plain = nn.Conv2d(2, 3, 3, dtype=np.float64, bias=False)
    layer = nn.Conv2d(2, 3, 3, dtype=np.float64, normalizer=nn.BatchNorm2d, activation="relu")
    layer.load_state_dict(plain.state_dict(), strict=False)
    x = image(2, 2, 5, 5)
    y = plain(x).numpy()
    mean, var = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
    expected = np.maximum((y - mean) / np.sqrt(var + 1e-5), 0)
    assert np.allclose(layer(x).numpy(), expected)
    assert layer.normalizer.weight.dtype == np.float64


@pytest.mark.parametrize(
    ("normalizer", "parameters"),
    [
        (nn.BatchNorm2d, ["weight", "normalizer.weight", "normalizer.bias"]),
        (nn.BatchNorm2d(3), ["weight", "normalizer.weight", "normalizer.bias"]),
        (partial(nn.BatchNorm2d, affine=False), ["weight"]),
        (lambda y: y * 2, ["weight"]),
    ],
)
def test_a_normalizer_switches_the_bias_off(normalizer, parameters):
    layer = nn.Conv2d(2, 3, 3, normalizer=normalizer)
    assert [name for name, _ in layer.named_parameters()] == parameters
    assert layer(mf.tensor(np.ones((2, 2, 5, 5), np.float32))).shape == (2, 3, 3, 3)
    assert nn.Conv2d(2, 3, 3, normalizer=normalizer, bias=True).bias is not None


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("linear", lambda y: y),
        ("relu", lambda y: np.maximum(y, 0)),
        ("leaky_relu", lambda y: np.where(y > 0, y, 0.01 * y)),
        ("sigmoid", lambda y: 1 / (1 + np.exp(-y))),
        ("tanh", np.tanh),
        ("softmax", lambda y: np.exp(y) / np.exp(y).sum(1, keepdims=True)),
        (nn.ReLU, lambda y: np.maximum(y, 0)),
        (nn.ReLU(), lambda y: np.maximum(y, 0)),
        (lambda y: y * y, lambda y: y**2),
    ],
)
def test_activations_by_name_class_layer_or_function(activation, formula):
    layer, x = nn.Conv2d(2, 3, 2, activation=activation, dtype=np.float64), image(1, 2, 4, 3)
    assert np.allclose(layer(x).numpy(), formula(by_loops(layer, x)))


def test_initialisers_fill_weight_and_bias_with_the_layers_fans():
    asked = []

    def note(shape, rng, fans):
        asked.append((shape, fans))
        return np.full(shape, 3.0)

    layer = nn.ConvTranspose2d(4, 6, 3, groups=2, weight_init=note, bias_init=nn.init.ones)
    assert asked == [((4, 3, 3, 3), (18, 27))]
    assert set(layer.weight.numpy().ravel()) == {3.0}
    assert set(layer.state_dict()["bias"].tolist()) == {1.0}
    assert layer.weight.fans == (18, 27)
    assert layer.weight.dtype == np.float32


def test_layers_differ_unless_they_get_equal_generators():
    a, b = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    assert not np.array_equal(a.weight.numpy(), b.weight.numpy())
    a = nn.Conv2d(2, 3, 3, generator=np.random.default_rng(4))
    nn.Conv2d(2, 3, 3)
    b = nn.Conv2d(2, 3, 3, generator=np.random.default_rng(4))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert np.array_equal(p.numpy(), q.numpy())


def test_layers_with_a_generator_leave_the_default_stream_alone():
    nn.manual_seed(5)
    expected = nn.Conv2d(2, 3, 3).weight.numpy()
    nn.manual_seed(5)
    nn.Conv2d(2, 3, 3, generator=np.random.default_rng(0))
    assert np.array_equal(nn.Conv2d(2, 3, 3).weight.numpy(), expected)


def test_not_trainable_freezes_the_layer_and_what_follows_it():
    layer = nn.Conv2d(2, 3, 3, normalizer=nn.BatchNorm2d, activation="prelu", trainable=False)
    assert not any(p.requires_grad for p in layer.parameters())
    x = mf.tensor(np.ones((1, 2, 3, 3), np.float32), requires_grad=True)
    layer.eval()(x).sum().backward()
    assert x.grad is not None, "the gradient still flows through"


@pytest.mark.parametrize(
    ("make", "facts"),
    [
        (lambda: nn.Conv2d(0, 3, 3), ["Conv2d", "in_channels is 0", "at least 1"]),
        (lambda: nn.Conv2d(2, 3, 0), ["Conv2d", "kernel_size is 0"]),
        (lambda: nn.Conv2d(2, 3, 3, groups=2), ["Conv2d", "out_channels is 3", "groups 2"]),
        (lambda: nn.Conv2d(3, 2, 3, groups=2), ["Conv2d", "in_channels is 3", "groups 2"]),
        (lambda: nn.Conv2d(2, 3, 3, padding="full"), ["Conv2d", "'full'", "'same_lower'"]),
        (lambda: nn.Conv2d(2, 3, 3, padding=-1), ["Conv2d", "padding is -1"]),
        (lambda: nn.Conv2d(2, 3, 3, padding_mode="circular"), ["'circular'", "reflect"]),
        (lambda: nn.ConvTranspose2d(2, 3, 3, padding_mode="reflect"), ["'reflect'", "zeros"]),
        (lambda: nn.Conv2d(2, 3, 3, activation="gelu"), ["activation is 'gelu'", "relu"]),
        (lambda: nn.Conv2d(2, 3, 3, activation=THREE), ["activation", "int"]),
        (lambda: nn.Conv2d(2, 3, 3, bias=False, bias_init=nn.init.ones), ["bias_init", "off"]),
        (
            lambda: nn.Conv2d(2, 3, 3, generator=THREE),
            ["generator", "int", "numpy.random.Generator"],
        ),
        (
            lambda: nn.Conv2d(2, 3, 3, weight_init=lambda shape, rng, fans: np.ones((3, 2))),
            ["Conv2d: weight_init", "(3, 2)", "(3, 2, 3, 3)"],
        ),
        (lambda: nn.ConvTranspose2d(2, 3, 3, output_padding=-1), ["output_padding is -1"]),
    ],
)
def test_mistakes_are_said_when_the_layer_is_made(make, facts):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert all(fact in str(error.value) for fact in facts), str(error.value)


def test_reprs_tell_what_differs_from_the_default():
    text = repr(nn.Conv2d(2, 4, 3, 2, 1, 2, 2, False))
    assert text == (
        "Conv2d(2, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), "
        "groups=2, bias=False)"
    )
    text = repr(nn.ConvTranspose2d(2, 4, 3, 2, 1, 1))
    assert text.endswith("padding=(1, 1), output_padding=(1, 1))")
