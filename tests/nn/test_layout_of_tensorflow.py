"""Axis orders of TensorFlow: data and kernels, both ways, against loops."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("there", "back", "letters", "ours"),
    [
        (nn.from_nhwc, nn.to_nhwc, "NHWC", "NCHW"),
        (nn.from_hwio, nn.to_hwio, "HWIO", "OIHW"),
        (nn.from_hwoi, nn.to_hwoi, "HWOI", "IOHW"),
    ],
)
def test_axes_go_where_their_letters_say(there, back, letters, ours):
    x = RNG.standard_normal((2, 3, 4, 5))
    y = there(x)
    for index in np.ndindex(x.shape):
        place = dict(zip(letters, index, strict=True))
        assert y[tuple(place[letter] for letter in ours)] == x[index]
    assert np.array_equal(back(y), x)
    tensor = there(mf.tensor(x, requires_grad=True))
    assert np.array_equal(tensor.numpy(), y)
    assert tensor.requires_grad


def conv_nhwc(x, kernel, s):
    """TensorFlow's conv2d, "VALID": y[n,i,j,o] = sum x[n, s i + u, s j + v, c] kernel[u,v,c,o]."""
    N, H, W, C = x.shape
    KH, KW, _, O = kernel.shape
    y = np.zeros((N, (H - KH) // s + 1, (W - KW) // s + 1, O))
    for n, i, j, o in np.ndindex(y.shape):
        for u, v, c in np.ndindex(KH, KW, C):
            y[n, i, j, o] += x[n, s * i + u, s * j + v, c] * kernel[u, v, c, o]
    return y


def conv_transpose_nhwc(x, kernel, s):
    """TensorFlow's, "VALID": x[n,i,j,c] kernel[u,v,o,c] lands on (s i + u, s j + v)."""
    N, P, Q, C = x.shape
    KH, KW, O, _ = kernel.shape
    y = np.zeros((N, s * P + max(KH - s, 0), s * Q + max(KW - s, 0), O))
    for n, i, j, c in np.ndindex(x.shape):
        for u, v, o in np.ndindex(KH, KW, O):
            y[n, s * i + u, s * j + v, o] += x[n, i, j, c] * kernel[u, v, o, c]
    return y


def test_a_tensorflow_kernel_convolves_as_in_tensorflow():
    x, kernel = RNG.standard_normal((2, 6, 5, 3)), RNG.standard_normal((3, 2, 3, 4))
    y = F.conv2d(nn.from_nhwc(mf.tensor(x)), nn.from_hwio(mf.tensor(kernel)), stride=2)
    assert np.allclose(nn.to_nhwc(y).numpy(), conv_nhwc(x, kernel, 2))


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_transposed_tensorflow_kernel_paints_as_in_tensorflow(stride):
    x, kernel = RNG.standard_normal((2, 3, 2, 3)), RNG.standard_normal((3, 2, 4, 3))
    layer = nn.ConvTranspose2d(3, 4, (3, 2), stride, "valid", bias=False, dtype=np.float64)
    layer.load_state_dict({"weight": nn.from_hwoi(kernel)})
    y = nn.to_nhwc(layer(nn.from_nhwc(mf.tensor(x)))).numpy()
    assert np.allclose(y, conv_transpose_nhwc(x, kernel, stride))


@pytest.mark.parametrize("name", ["from_nhwc", "to_nhwc", "from_hwio", "to_hwoi"])
def test_wrong_ranks_are_named(name):
    with pytest.raises(mf.ShapeError, match=rf"{name}: .*3 axes \(1, 2, 3\).*4"):
        getattr(nn, name)(np.zeros((1, 2, 3)))
