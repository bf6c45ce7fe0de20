"""pad and crop: what NumPy's pad does, in PyTorch's order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError

NUMPY_CALLS_IT: Any = {"reflect": "reflect", "replicate": "edge", "constant": "constant"}


def image(shape=(2, 3, 4, 5), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def flat(pads):
    """((top, bottom), (left, right)) in PyTorch's order, the last axis first."""
    return tuple(number for pair in reversed(pads) for number in pair)


sides = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(sides, sides, st.sampled_from(sorted(NUMPY_CALLS_IT)))
def test_borders_are_numpys(rows, cols, mode):
    y = F.pad(image(), flat((rows, cols)), mode)
    expected = np.pad(image(), ((0, 0), (0, 0), rows, cols), NUMPY_CALLS_IT[mode])
    np.testing.assert_array_equal(y.numpy(), expected)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_one_axis_may_be_padded(mode, shape):
    x = image((2, *shape))
    expected = np.pad(x, ((0, 0),) * len(shape) + ((2, 1),), NUMPY_CALLS_IT[mode])
    np.testing.assert_array_equal(F.pad(x, (2, 1), mode).numpy(), expected)


@given(st.lists(sides, max_size=4), st.floats(-5, 5))
def test_a_constant_fills_any_axes(pads, value):
    y = F.pad(image(), flat(pads), value=value)
    every = [(0, 0)] * (4 - len(pads)) + pads
    expected = np.pad(image(), every, constant_values=value)
    np.testing.assert_array_equal(y.numpy(), expected)


@pytest.mark.parametrize("mode", sorted(NUMPY_CALLS_IT))
def test_negative_numbers_crop(mode):
    x = image()
    np.testing.assert_array_equal(F.pad(x, (-1, -2, -2, 0), mode).numpy(), x[:, :, 2:, 1:3])


def test_cropping_one_side_while_growing_the_other():
    x = np.array([[1.0, 2.0, 3.0]])
    assert F.pad(x, (-1, 2), value=9).tolist() == [[2.0, 3.0, 9.0, 9.0]]
    assert F.pad(x, (-1, 2), "reflect").tolist() == [[2.0, 3.0, 2.0, 1.0]]
    assert F.pad(x, (2, -1), "replicate").tolist() == [[1.0, 1.0, 1.0, 2.0]]
    assert F.pad(x, (4, -3), "replicate").tolist() == [[1.0, 1.0, 1.0, 1.0]]


def test_labels_stay_labels():
    labels = np.array([[1, 2]], np.uint8)
    y = F.pad(labels, (1, 0, 0, 1), value=255)
    assert y.dtype == np.uint8
    assert y.tolist() == [[255, 1, 2], [255, 255, 255]]


@pytest.mark.parametrize("mode", sorted(NUMPY_CALLS_IT))
def test_each_pixel_gathers_the_gradient_of_its_copies(mode):
    x = mf.tensor(image((1, 1, 3, 4)), requires_grad=True)
    y = F.pad(x, (2, 1, 1, 2), mode)
    g = image(y.shape, seed=1)
    (gx,) = mf.grad(y, x, mf.tensor(g))
    numbers = np.arange(12).reshape(1, 1, 3, 4)  # every pixel of y says which one it copies
    if mode == "constant":
        source = np.pad(numbers, ((0, 0), (0, 0), (1, 2), (2, 1)), constant_values=12)
    else:
        source = np.pad(numbers, ((0, 0), (0, 0), (1, 2), (2, 1)), NUMPY_CALLS_IT[mode])
    expected = np.bincount(source.ravel(), g.ravel(), 13)[:12]
    np.testing.assert_allclose(gx.numpy().ravel(), expected, rtol=1e-12)


def test_padding_nothing_gives_the_same_values_in_memory_of_their_own():
    x = image()
    y = F.pad(x, ())
    np.testing.assert_array_equal(y.numpy(), x)
    assert not np.shares_memory(y.data, x)


def test_a_crop_is_a_slice_and_its_gradient_a_border_of_zeros():
    x = mf.tensor(image(), requires_grad=True)
    y = F.crop(x, 1, 2, 3, 2)
    np.testing.assert_array_equal(y.numpy(), image()[:, :, 1:4, 2:4])
    (gx,) = mf.grad(y, x, mf.ones_like(y))
    expected = np.zeros((2, 3, 4, 5))
    expected[:, :, 1:4, 2:4] = 1
    np.testing.assert_array_equal(gx.numpy(), expected)


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pads", "options", "facts"),
    [
        ((1,), {}, ["pad is (1,)", "left, right", "even", "8"]),
        ((1,) * 10, {}, ["at most 8", "(2, 3, 4, 5)"]),
        (3, {}, ["pad is 3", "left, right"]),
        ((1, 1), {"mode": "mirror"}, ["mode", "'mirror'", "reflect", "replicate"]),
        ((0, 0, -3, -2), {}, ["axis 2", "4", "-3", "-2"]),
        ((0, -6, 0, 0), {"mode": "replicate"}, ["axis 3", "5", "-6"]),
        ((5, 0, 0, 0), {"mode": "reflect"}, ["'reflect'", "axis 3", "5", "at most 4"]),
        ((1, 1), {"mode": "reflect"}, ["'reflect'", "2 numbers", "4 axes", "2 or 3 axes"]),
        ((1, 1, 1, 1), {"mode": "reflect", "value": 2.0}, ["value", "2.0", "'reflect'"]),
    ],
)
def test_borders_that_cannot_be_are_explained(pads, options, facts):
    with pytest.raises(ValueError) as error:
        F.pad(image(), pads, **options)
    for fact in ["pad", *facts]:
        assert fact in str(error.value)


def test_parts_of_pixels_cannot_be_padded():
    half: Any = (1.5, 1)
    with pytest.raises(TypeError, match="pad: pad is 1.5, expected a whole number"):
        F.pad(image(), half)


def test_there_is_nothing_to_copy_in_an_empty_row():
    with pytest.raises(ShapeError) as error:
        F.pad(np.zeros((2, 3, 0)), (1, 1), "replicate")
    for fact in ("pad", "'replicate'", "axis 2", "0", "at least one pixel"):
        assert fact in str(error.value)


@pytest.mark.parametrize(
    ("box", "facts"),
    [
        ((2, 0, 3, 5), ["axis -2 (H)", "4", "2 to 4"]),
        ((0, 4, 4, 2), ["axis -1 (W)", "5", "4 to 5"]),
        ((0, -1, 4, 2), ["left", "axis -1 (W)", "-1", "at least 0"]),
    ],
)
def test_a_crop_must_lie_in_the_picture(box, facts):
    with pytest.raises(ShapeError) as error:
        F.crop(image(), *box)
    for fact in ["crop", *facts]:
        assert fact in str(error.value)
