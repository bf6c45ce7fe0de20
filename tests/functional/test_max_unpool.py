"""max_unpool2d: what pooling took away, put back where it stood."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError


def image(shape=(2, 3, 6, 8), seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, shape)


def test_winners_return_to_their_places_and_nothing_else_does():
    x = image()
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, indices, 2).numpy()
    assert back.shape == x.shape
    assert (back != 0).sum() == y.numel()
    np.testing.assert_array_equal(back[back != 0], x[back != 0])


def test_pooling_again_finds_the_same_values_at_the_same_places():
    y, indices = F.max_pool2d(image(), (2, 4), return_indices=True)
    again, places = F.max_pool2d(F.max_unpool2d(y, indices, (2, 4)), (2, 4), return_indices=True)
    np.testing.assert_array_equal(again.numpy(), y.numpy())
    np.testing.assert_array_equal(places.numpy(), indices.numpy())


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 3, 7, 8)])
def test_output_size_chooses_among_the_images_that_pool_to_this_size(size):
    x = image((2, 3, *size[-2:]))
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert F.max_unpool2d(y, indices, 2, output_size=size).shape == x.shape


def test_the_gradient_is_read_at_the_indices():
    g = mf.tensor([[[[2.0, 3.0]]]], requires_grad=True)
    y = F.max_unpool2d(g, np.array([[[[1, 6]]]]), 2)
    (gg,) = mf.grad(y, g, mf.tensor(np.arange(8.0, dtype=np.float32).reshape(1, 1, 2, 4)))
    assert gg.tolist() == [[[[1.0, 6.0]]]]


def test_of_coinciding_indices_the_last_value_stays():
    g = np.array([[[[2.0, 3.0]]]])
    assert F.max_unpool2d(g, np.array([[[[1, 1]]]]), (1, 2)).tolist() == [[[[0, 3.0, 0, 0]]]]


@pytest.mark.parametrize("index", [-1, 48])
def test_an_index_outside_the_image_is_named(index):
    with pytest.raises(ShapeError) as error:
        F.max_unpool2d(np.ones((1, 1, 3, 4)), np.full((1, 1, 3, 4), index), 2)
    for fact in ("max_unpool2d", "indices", str(index), "0 to 47", "(6, 8)"):
        assert fact in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (
            {"kernel_size": 2, "output_size": (8, 8)},
            ["axis 2 (H)", "8", "5 to 7", "3 pixels"],
        ),
        (
            {"kernel_size": 2, "output_size": (6, 6)},
            ["axis 3 (W)", "6", "7 to 9", "4 pixels"],
        ),
        ({"kernel_size": 2, "output_size": (1, 6, 8)}, ["output_size", "(1, 6, 8)", "(H, W)"]),
        ({"kernel_size": 2, "padding": 3}, ["size along axis 2 (H)", "is 0", "at least 1"]),
    ],
)
def test_sizes_that_cannot_be_are_explained(arguments, facts):
    with pytest.raises(ShapeError) as error:
        F.max_unpool2d(np.ones((1, 1, 3, 4)), np.zeros((1, 1, 3, 4), int), **arguments)
    for fact in ["max_unpool2d", *facts]:
        assert fact in str(error.value)


def test_indices_must_fit_and_be_whole():
    with pytest.raises(ShapeError) as error:
        F.max_unpool2d(np.ones((1, 1, 3, 4)), np.zeros((1, 1, 3, 5), int), 2)
    for fact in ("max_unpool2d", "axis 3 (Q) of indices is 5", "axis 3 (Q) of x is 4"):
        assert fact in str(error.value)
    with pytest.raises(TypeError, match="max_unpool2d: dtype of indices is float64"):
        F.max_unpool2d(np.ones((1, 1, 3, 4)), np.zeros((1, 1, 3, 4)), 2)
