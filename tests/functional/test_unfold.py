"""unfold and fold: convolution is a matrix product between them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError


def image(shape=(2, 3, 7, 6), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(st.tuples(st.integers(1, 8), st.integers(1, 8)), pairs, pairs, pairs, pairs)
def test_columns_are_the_windows(size, kernel, dilation, stride, pads):
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    assume(all(n + 2 * p >= s for n, p, s in zip(size, pads, spans, strict=True)))
    x = image((1, 2, *size))
    col = F.unfold(x, kernel, dilation, pads, stride).numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[0]), (pads[1], pads[1])))
    windows = [
        padded[
            0,
            :,
            i : i + spans[0] : dilation[0],
            j : j + spans[1] : dilation[1],
        ].ravel()
        for i in range(0, padded.shape[2] - spans[0] + 1, stride[0])
        for j in range(0, padded.shape[3] - spans[1] + 1, stride[1])
    ]
    np.testing.assert_array_equal(col[0], np.array(windows).T)


def test_a_convolution_is_a_product_with_the_columns():
    x, w = image(), image((4, 3, 2, 3), seed=1)
    col = F.unfold(x, (2, 3), padding=1, stride=(2, 1)).numpy()
    y = F.conv2d(mf.tensor(x), mf.tensor(w), padding=1, stride=(2, 1))
    np.testing.assert_allclose((w.reshape(4, -1) @ col).reshape(y.shape), y.numpy(), atol=1e-13)


def test_a_transposed_convolution_is_a_product_then_fold():
    g, w = image((2, 4, 3, 5), seed=2), image((4, 3, 2, 3), seed=1)
    y = F.conv_transpose2d(mf.tensor(g), mf.tensor(w), stride=2, padding=1)
    col = w.reshape(4, -1).T @ g.reshape(2, 4, -1)
    back = F.fold(col, y.shape[2:], (2, 3), padding=1, stride=2)
    np.testing.assert_allclose(back.numpy(), y.numpy(), atol=1e-13)


def test_folding_counts_the_windows_over_each_pixel():
    ones = np.ones((1, 1, 3, 4))
    counts = F.fold(F.unfold(ones, 2), (3, 4), 2)
    assert counts.tolist() == [[[[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]]]


def test_blocks_that_touch_are_only_moved():
    x = image((2, 3, 6, 8))
    col = F.unfold(x, (3, 2), stride=(3, 2))
    np.testing.assert_array_equal(F.fold(col, (6, 8), (3, 2), stride=(3, 2)).numpy(), x)


@pytest.mark.parametrize("order", [1, 2])
def test_each_is_the_others_gradient(order):
    arguments: dict[str, Any] = {"kernel_size": (2, 3), "dilation": (1, 2), "padding": 1}
    x = mf.tensor(image(), requires_grad=True)
    col = F.unfold(x, **arguments)
    seed = mf.tensor(image(col.shape, seed=1), requires_grad=True)
    (gx,) = mf.grad(col, x, seed, create_graph=True)
    if order == 1:
        expected, got = F.fold(seed, (7, 6), **arguments), gx
    else:
        ggx = mf.tensor(image(seed=2))
        (got,) = mf.grad(gx, seed, ggx)
        expected = F.unfold(ggx, **arguments)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"kernel_size": (8, 2)}, ["axis 2 (H) of x is 7", "at least 8"]),
        ({"kernel_size": 2, "dilation": (1, 6)}, ["axis 3 (W) of x is 6", "at least 7"]),
        ({"kernel_size": 2, "stride": 0}, ["stride", "0", "at least 1"]),
        ({"kernel_size": 2, "padding": -1}, ["padding", "-1", "at least 0"]),
    ],
)
def test_windows_that_do_not_fit_are_explained(arguments, facts):
    with pytest.raises(ShapeError) as error:
        F.unfold(image(), **arguments)
    for fact in ["unfold", *facts]:
        assert fact in str(error.value)


@pytest.mark.parametrize(
    ("shape", "size", "facts"),
    [
        ((1, 4, 5), (3, 3), ["axis 2 (PQ) of col is 5", "(3, 3)", "2 * 2", "expected 4"]),
        ((1, 5, 4), (3, 3), ["axis 1 (CKK) of col is 5", "multiple of 4", "(2, 2)"]),
        ((4, 4), (3, 3), ["col has 2 axes", "N CKK PQ"]),
        ((1, 4, 4), (1, 3), ["axis 2 (H) of output_size is 1", "at least 2"]),
    ],
)
def test_columns_that_make_no_image_are_explained(shape, size, facts):
    with pytest.raises(ShapeError) as error:
        F.fold(np.zeros(shape), size, 2)
    for fact in ["fold", *facts]:
        assert fact in str(error.value)
