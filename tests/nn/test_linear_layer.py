"""Linear, and the convolution that gives the same answers."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn


def whole_numbers(layer: nn.Linear, seed: int = 0) -> nn.Linear:
    """Small integers as parameters: every order of summation gives the same float."""
    rng = np.random.default_rng(seed)
    with mf.no_grad():
        for parameter in layer.parameters():
            parameter[...] = rng.integers(-4, 5, parameter.shape)
    return layer


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-4, 5, shape).astype(np.float32)


def test_linear_by_hand():
    layer = nn.Linear(2, 3)
    layer.load_state_dict({"weight": [[1, 2], [3, 4], [5, 6]], "bias": [10, 20, 30]})
    assert layer(mf.tensor([[1.0, -1.0]])).tolist() == [[9, 19, 29]]
    assert layer(mf.tensor([[[1.0, 0.0]]])).tolist() == [[[11, 23, 35]]]
    assert nn.Linear(2, 3, bias=False).bias is None
    assert repr(layer) == "Linear(in_features=2, out_features=3, bias=True)"


@pytest.mark.parametrize("bias", [True, False])
def test_features_become_a_1x1_convolution(bias):
    layer = whole_numbers(nn.Linear(6, 4, bias=bias))
    conv = layer.to_conv1x1()
    assert conv.kernel_size == (1, 1)
    features = numbers(2, 6, 3, 5)
    y = conv(mf.tensor(features)).numpy()
    for i in range(3):
        for j in range(5):
            expected = layer(mf.tensor(features[:, :, i, j])).numpy()
            assert np.array_equal(y[:, :, i, j], expected)


@pytest.mark.parametrize("order", ["CHW", "HWC"])
def test_flattened_images_become_a_kernel_of_their_size(order):
    C, H, W = 3, 4, 5
    layer = whole_numbers(nn.Linear(C * H * W, 7))
    conv = layer.to_conv1x1((H, W), order)
    x = numbers(2, C, H + 2, W + 1)
    y = conv(mf.tensor(x)).numpy()
    assert y.shape == (2, 7, 3, 2)
    for i in range(3):
        for j in range(2):
            crop = x[:, :, i : i + H, j : j + W]
            flat = crop if order == "CHW" else crop.transpose(0, 2, 3, 1)
            expected = layer(mf.tensor(flat.reshape(2, -1))).numpy()
            assert np.array_equal(y[:, :, i, j], expected)


def test_the_two_orders_differ():
    layer = whole_numbers(nn.Linear(2 * 3 * 3, 1))
    a, b = layer.to_conv1x1(3), layer.to_conv1x1(3, "HWC")
    assert not np.array_equal(a.weight.numpy(), b.weight.numpy())


def test_the_convolution_is_a_copy_of_the_same_dtype():
    layer = nn.Linear(4, 2, dtype=np.float64)
    conv = layer.to_conv1x1()
    assert conv.weight.dtype == np.float64
    with mf.no_grad():
        conv.weight[...] = 0
    assert np.abs(layer.weight.numpy()).max() > 0


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        (lambda: nn.Linear(10, 2).to_conv1x1((3, 2)), ["in_features is 10", "3 x 2 = 6"]),
        (lambda: nn.Linear(12, 2).to_conv1x1(2, "WHC"), ["order", "'WHC'", "'CHW'", "'HWC'"]),
        (lambda: nn.Linear(12, 2).to_conv1x1((2, 0)), ["image_size along axis 3 (W) is 0"]),
        (lambda: nn.Linear(0, 2), ["Linear", "in_features is 0"]),
        (lambda: nn.Linear(2, 2, False, bias_init=nn.init.ones), ["bias_init", "bias is False"]),
    ],
)
def test_mistakes(call, facts):
    with pytest.raises(ValueError) as error:
        call()
    assert all(fact in str(error.value) for fact in facts), str(error.value)
