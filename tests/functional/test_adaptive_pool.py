"""Adaptive and global pooling: every pixel counts, and a grid of any size comes out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError

sizes = st.integers(1, 9)


def image(shape=(2, 3, 6, 8), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def bins(x, P, Q):
    """Every (i, j) with its part of x, by floor and ceiling of fractions."""
    H, W = x.shape[2:]
    for i, j in np.ndindex(P, Q):
        rows = slice(int(np.floor(i * H / P)), int(np.ceil((i + 1) * H / P)))
        cols = slice(int(np.floor(j * W / Q)), int(np.ceil((j + 1) * W / Q)))
        yield i, j, x[:, :, rows, cols]


@given(sizes, sizes, sizes, sizes)
def test_every_bin_has_its_mean_and_its_maximum(H, W, P, Q):
    x = image((2, 2, H, W))
    mean, largest = F.adaptive_avg_pool2d(x, (P, Q)), F.adaptive_max_pool2d(x, (P, Q))
    assert mean.shape == largest.shape == (2, 2, P, Q)
    for i, j, part in bins(x, P, Q):
        np.testing.assert_allclose(mean.numpy()[:, :, i, j], part.mean((2, 3)), atol=1e-14)
        np.testing.assert_array_equal(largest.numpy()[:, :, i, j], part.max((2, 3)))


def test_bins_that_divide_are_plain_pooling():
    x = image()
    np.testing.assert_allclose(
        F.adaptive_avg_pool2d(x, (3, 2)).numpy(), F.avg_pool2d(x, (2, 4)).numpy(), atol=1e-15
    )
    np.testing.assert_array_equal(
        F.adaptive_max_pool2d(x, (3, 2)).numpy(), F.max_pool2d(x, (2, 4)).numpy()
    )


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_none_keeps_an_axis(pool):
    assert pool(image(), (None, 2)).shape == (2, 3, 6, 2)
    np.testing.assert_array_equal(pool(image(), None).numpy(), image())


def test_one_bin_is_global_pooling():
    x = image()
    mean = F.global_avg_pool2d(x)
    assert mean.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(mean.numpy()[:, :, 0, 0], x.mean((2, 3)), rtol=1e-13)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, 1).numpy(), mean.numpy(), rtol=1e-13)


def test_indices_point_at_the_maximum_the_first_of_equals():
    x = np.round(image())
    y, indices = F.adaptive_max_pool2d(x, (4, 3), return_indices=True)
    for i, j, part in bins(x, 4, 3):
        for n, c in np.ndindex(2, 3):
            k = indices.numpy()[n, c, i, j]
            top, left = i * 6 // 4, j * 8 // 3
            h, w = np.unravel_index(part[n, c].argmax(), part.shape[2:])
            assert k == (top + h) * 8 + left + w
            assert x[n, c].ravel()[k] == y.numpy()[n, c, i, j]


def test_a_nan_in_a_bin_is_its_maximum():
    x = np.array([[[[1.0, np.nan, 3.0, 4.0]]]])
    y, indices = F.adaptive_max_pool2d(x, (1, 2), return_indices=True)
    assert np.isnan(y.numpy()).tolist() == [[[[True, False]]]]
    assert indices.tolist() == [[[[1, 3]]]]


def test_overlapping_bins_add_their_gradients():
    x = mf.tensor([[[[1.0, 5.0, 2.0]]]], requires_grad=True)
    gy = mf.tensor([[[[2.0, 20.0]]]])
    (gx,) = mf.grad(F.adaptive_avg_pool2d(x, (1, 2)), x, gy)
    assert gx.tolist() == [[[[1.0, 11.0, 10.0]]]]
    (gx,) = mf.grad(F.adaptive_max_pool2d(x, (1, 2)), x, gy)
    assert gx.tolist() == [[[[0.0, 22.0, 0.0]]]]


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
@pytest.mark.parametrize(
    ("shape", "size", "facts"),
    [
        ((2, 3, 6), 1, ["x has 3 axes", "N C H W"]),
        ((2, 3, 0, 8), 1, ["axis 2 (H)", "0", "at least 1"]),
        ((2, 3, 6, 8), (1, 2, 3), ["output_size", "(1, 2, 3)", "(height, width)"]),
        ((2, 3, 6, 8), (1, -2), ["output_size along axis 3 (W)", "-2", "at least 0"]),
    ],
)
def test_grids_that_cannot_be_are_explained(pool, shape, size, facts):
    with pytest.raises(ShapeError) as error:
        pool(np.zeros(shape), size)
    for fact in [pool.__name__, *facts]:
        assert fact in str(error.value)


@pytest.mark.parametrize("pool", [lambda x: F.adaptive_avg_pool2d(x, 1), F.global_avg_pool2d])
def test_means_of_whole_numbers_are_refused(pool):
    with pytest.raises(TypeError, match="dtype of x is int64, expected a floating type"):
        pool(np.ones((1, 1, 2, 2), np.int64))
