"""avg_pool2d: means, and by what they are divided."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError


def image(shape=(2, 3, 7, 6), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def row(*values):
    return np.array(values, float).reshape(1, 1, 1, -1)


def by_loops(x, kernel, stride, pads, ceil_mode, include, override):
    """PyTorch's definition: a window's size ends where the padding ends."""
    sizes = []
    for axis in (0, 1):
        room = x.shape[2 + axis] + 2 * pads[axis] - kernel[axis]
        steps = -(-room // stride[axis]) if ceil_mode else room // stride[axis]
        if steps * stride[axis] >= x.shape[2 + axis] + pads[axis]:
            steps -= 1
        sizes.append(steps + 1)
    y = np.zeros((*x.shape[:2], *sizes))
    for i, j in np.ndindex(*sizes):
        h, w = i * stride[0] - pads[0], j * stride[1] - pads[1]
        h_end = min(h + kernel[0], x.shape[2] + pads[0])
        w_end = min(w + kernel[1], x.shape[3] + pads[1])
        full = (h_end - h) * (w_end - w)
        part = x[:, :, max(h, 0) : min(h_end, x.shape[2]), max(w, 0) : min(w_end, x.shape[3])]
        count = override or (full if include else part.shape[2] * part.shape[3])
        y[:, :, i, j] = part.sum((2, 3)) / count
    return y


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(pairs, pairs, st.data(), st.booleans(), st.booleans(), st.sampled_from([None, None, 3, -2]))
def test_any_window_equals_the_loops(kernel, stride, data, ceil_mode, include, override):
    pads = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    sizes = [data.draw(st.integers(size, 9)) for size in kernel]
    x = image((1, 2, *sizes))
    y = F.avg_pool2d(x, kernel, stride, pads, ceil_mode, include, override)
    expected = by_loops(x, kernel, stride, pads, ceil_mode, include, override)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)


def test_it_is_a_depthwise_convolution_with_equal_weights():
    weight = np.full((3, 1, 2, 3), 1 / 6)
    y = F.conv2d(mf.tensor(image()), mf.tensor(weight), stride=(1, 2), padding=(1, 1), groups=3)
    pooled = F.avg_pool2d(image(), (2, 3), (1, 2), 1)
    np.testing.assert_allclose(pooled.numpy(), y.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("options", [{}, {"ceil_mode": True}, {"padding": 1}, {"padding": "same"}])
def test_of_equal_pixels_it_is_the_pixel_if_only_those_count(options):
    y = F.avg_pool2d(np.full((1, 1, 7, 8), 5.0), 3, 2, count_include_pad=False, **options)
    np.testing.assert_allclose(y.numpy(), 5.0, rtol=1e-15)


def test_the_divisor_counts_padding_but_not_what_hangs_over():
    x = row(6, 6, 6)
    assert F.avg_pool2d(x, (1, 2), 2, (0, 1)).tolist() == row(3, 6).tolist()
    assert (
        F.avg_pool2d(x, (1, 2), 2, (0, 1), count_include_pad=False).tolist() == row(6, 6).tolist()
    )
    assert F.avg_pool2d(x, (1, 2), 2, ceil_mode=True).tolist() == row(6, 6).tolist()
    assert F.avg_pool2d(x, (1, 2), 2, divisor_override=-4).tolist() == row(-3).tolist()


def test_the_gradient_spreads_what_it_gets():
    x = mf.tensor(row(1, 2, 3, 4, 5), requires_grad=True)
    (gx,) = mf.grad(F.avg_pool2d(x, (1, 3), 2), x, mf.tensor(row(3, 30)))
    assert gx.tolist() == row(1, 1, 11, 10, 10).tolist()


def test_single_precision_stays_single():
    assert F.avg_pool2d(image().astype(np.float32), 2).dtype == np.float32


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError) as error:
        F.avg_pool2d(np.ones((1, 1, 2, 2), np.int64), 2)
    for fact in ("avg_pool2d", "dtype of x", "int64", "floating"):
        assert fact in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"kernel_size": 2, "padding": 2}, ["padding", "along axis 2 (H)", "2", "at most 1"]),
        ({"kernel_size": (2, 7)}, ["axis 3 (W) of x is 6", "at least 7", "kernel 7"]),
        ({"kernel_size": 2, "divisor_override": 0}, ["divisor_override", "0"]),
        ({"kernel_size": 2, "divisor_override": 1.5}, ["divisor_override", "1.5", "whole number"]),
    ],
)
def test_what_cannot_be_divided_is_explained(arguments, facts):
    with pytest.raises((ShapeError, TypeError)) as error:
        F.avg_pool2d(image(), **arguments)
    for fact in ["avg_pool2d", *facts]:
        assert fact in str(error.value)
