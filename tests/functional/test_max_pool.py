"""max_pool2d: who wins, where it stood, and who gets the gradient."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.kernels import numpy_kernels, reference
from minifcn.shapes import ShapeError
from minifcn.window import Window


def image(shape=(2, 3, 7, 6), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def row(*values, dtype=float):
    return np.array(values, dtype).reshape(1, 1, 1, -1)


def gradient(x, gy, *arguments, **options):
    x = mf.tensor(x, requires_grad=True)
    y = F.max_pool2d(x, *arguments, **options)
    (gx,) = mf.grad(y, x, mf.tensor(np.broadcast_to(gy, y.shape).astype(y.dtype)))
    return gx.numpy()


@st.composite
def windows(draw):
    """Any geometry of pooling, padding up to half the kernel on each side."""
    pairs = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    kernel = draw(pairs(1, 4))
    pads = tuple(draw(pairs(0, size // 2)) for size in kernel)
    try:
        return Window.for_conv(
            "max_pool2d",
            draw(pairs(1, 8)),
            kernel,
            draw(pairs(1, 4)),
            pads,
            draw(pairs(1, 3)),
            round_up=draw(st.booleans()),
        )
    except ShapeError:
        assume(False)


@given(windows(), st.sampled_from(["distinct", "ties", "nan", "lowest", "int"]))
def test_any_window_equals_the_loops(window, values):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 2, *window.image))
    if values == "ties":
        x = np.round(x)
    elif values == "nan":
        x[rng.random(x.shape) < 0.2] = np.nan
    elif values == "lowest":
        x[rng.random(x.shape) < 0.8] = -np.inf
    elif values == "int":
        x = (4 * x).astype(np.int64)
    for name in ("max_pool2d", "max_pool_indices"):
        fast, slow = getattr(numpy_kernels, name)(x, window), getattr(reference, name)(x, window)
        for got, expected in zip(fast, slow, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
    for k in (numpy_kernels, reference):
        alone, no_taps = k.max_pool2d(x, window, False)
        np.testing.assert_array_equal(alone, reference.max_pool2d(x, window)[0])
        assert alone.dtype == x.dtype and no_taps is None


def test_where_nothing_is_recorded_the_result_is_the_same():
    x = mf.tensor(image((2, 3, 40, 30)))
    for options in ((2,), (3, 2, 1), (5, 1)):
        with mf.no_grad():
            alone = F.max_pool2d(x, *options).numpy()
        np.testing.assert_array_equal(alone, F.max_pool2d(x, *options).numpy())


@given(windows())
def test_indices_point_at_the_maximum(window):
    x = image((2, 2, *window.image))
    y, _ = numpy_kernels.max_pool2d(x, window)
    index = numpy_kernels.max_pool_indices(x, window)
    read = np.take_along_axis(x.reshape(2, 2, -1), index.reshape(2, 2, -1), 2).reshape(y.shape)
    np.testing.assert_array_equal(np.where(index < 0, -np.inf, read), y)


@pytest.mark.parametrize("padding", [0, 1, "same", ((1, 0), (0, 1))])
def test_rising_functions_may_go_first_or_last(padding):
    x = image()
    first = F.max_pool2d(np.exp(x), 3, 2, padding).numpy()
    np.testing.assert_array_equal(first, np.exp(F.max_pool2d(x, 3, 2, padding).numpy()))


def test_pooling_twice_is_pooling_wider():
    x = image((1, 2, 8, 12))
    twice = F.max_pool2d(F.max_pool2d(x, 2), (2, 3))
    np.testing.assert_array_equal(twice.numpy(), F.max_pool2d(x, (4, 6)).numpy())


def test_padding_never_wins():
    y = F.max_pool2d(row(-5, -3, -4), 3, 1, 1).numpy()
    assert y.tolist() == row(-3, -3, -3).tolist()


def test_minus_infinity_keeps_its_place():
    x = np.full((1, 1, 2, 2), -np.inf)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert (y.item(), indices.item()) == (-np.inf, 0)
    y, indices = F.max_pool2d(x, 2, 1, 1, return_indices=True)
    assert indices.tolist() == [[[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]]


def test_the_first_of_equals_wins_and_gets_the_gradient():
    x = np.array([[[[1.0, 7.0, 7.0], [7.0, 0.0, 7.0]]]])
    assert F.max_pool2d(x, (2, 3), return_indices=True)[1].item() == 1
    assert gradient(x, 5.0, (2, 3)).tolist() == [[[[0, 5, 0], [0, 0, 0]]]]


def test_a_nan_wins_and_of_several_the_last():
    x = row(np.nan, 9, np.nan, 1, 2, 3)
    y, indices = F.max_pool2d(x, (1, 3), return_indices=True)
    assert np.isnan(y.numpy()).ravel().tolist() == [True, False]
    assert indices.tolist() == [[[[2, 5]]]]


def test_the_gradient_is_shared_out_and_nothing_is_lost():
    gx = gradient(image(), 1.0, 3, 2, 1)
    windows = F.max_pool2d(image(), 3, 2, 1).numel()
    assert gx.sum() == windows
    assert set(np.unique(gx)) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_overlapping_windows_add_up_at_a_common_winner():
    assert gradient(row(1, 9, 2), row(10, 1), (1, 2), 1).tolist() == row(0, 11, 0).tolist()


def test_a_gradient_that_is_no_number_stays_where_it_belongs():
    gx = gradient(row(1, 2, 4, 3), row(np.nan, 1), (1, 2))
    assert np.isnan(gx).tolist() == row(0, 1, 0, 0, dtype=bool).tolist()


def test_the_second_derivative_reads_what_the_first_wrote():
    x = mf.tensor(image(), requires_grad=True)
    y = F.max_pool2d(x, 3, 2, 1)
    (gx,) = mf.grad((y * y).sum(), x, create_graph=True)
    (ggx,) = mf.grad(gx, x, mf.ones_like(x))
    wins = gradient(image(), 1.0, 3, 2, 1)
    np.testing.assert_allclose(gx.numpy(), 2 * image() * wins, rtol=1e-14)
    counts = F.max_pool2d(x, 3, 2, 1, return_indices=True)[1].numpy()
    expected = np.zeros((2, 3, 42))
    for (n, c, _, _), k in np.ndenumerate(counts):  # each window: 2 for its winner
        expected[n, c, k] += 2
    np.testing.assert_allclose(ggx.numpy(), expected.reshape(2, 3, 7, 6), rtol=1e-14)


# ---- geometry ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "floor", "ceil"),
    [
        (5, 2, 2, 0, 2, 3),
        (6, 3, 2, 0, 2, 3),
        (6, 2, 2, 0, 3, 3),
        (4, 2, 3, 1, 2, 2),  # a third window would start beyond the image
        (3, 2, 2, 1, 2, 2),  # so would this one
    ],
)
def test_ceil_mode_keeps_a_window_that_starts_in_the_image(
    size, kernel, stride, padding, floor, ceil
):
    x = np.zeros((1, 1, size, size))
    for ceil_mode, expected in ((False, floor), (True, ceil)):
        y = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode)
        assert y.shape == (1, 1, expected, expected)


def test_ceil_mode_pools_an_image_smaller_than_the_kernel():
    assert F.max_pool2d(row(3), 2, ceil_mode=True).tolist() == [[[[3.0]]]]


def test_same_is_tensorflows_the_odd_pixel_at_the_end():
    assert F.max_pool2d(row(5, 1, 6), (1, 2), 2, "same").tolist() == [[[[5.0, 6.0]]]]
    assert F.max_pool2d(row(5, 1, 6), (1, 2), 2, "same_lower").tolist() == [[[[5.0, 6.0]]]]
    assert F.max_pool2d(row(5, 7, 6), (1, 2), 2, "same_lower").tolist() == [[[[5.0, 7.0]]]]
    assert F.max_pool2d(row(5, 7, 6), (1, 2), 2, "same").tolist() == [[[[7.0, 6.0]]]]


def test_stride_is_the_kernel_unless_given():
    x = image((1, 1, 7, 9))
    assert F.max_pool2d(x, (2, 3)).shape == (1, 1, 3, 3)
    assert F.max_pool2d(x, (2, 3), 1).shape == (1, 1, 6, 7)


def test_whole_numbers_stay_whole():
    y = F.max_pool2d(np.array([[[[1, -7], [3, -9]]]]), (1, 2))
    assert y.dtype == np.int64
    assert y.tolist() == [[[[1], [3]]]]


def test_more_taps_than_a_byte_can_number():
    x = image((1, 2, 20, 20))
    y, indices = F.max_pool2d(x, 20, return_indices=True)
    np.testing.assert_array_equal(indices.numpy().ravel(), x.reshape(2, 400).argmax(1))
    assert gradient(x, 1.0, 20).sum() == 2


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (
            {"kernel_size": 3, "padding": 2},
            ["padding", "axis 2 (H)", "is 2", "at most 1"],
        ),
        (
            {"kernel_size": (3, 2), "padding": ((1, 1), (2, 0))},
            ["axis 3 (W)", "is 2", "at most 1"],
        ),
        ({"kernel_size": (8, 2)}, ["axis 2 (H) of x is 7", "at least 8", "kernel 8"]),
        ({"kernel_size": 3, "dilation": 4}, ["axis 2 (H) of x is 7", "at least 9", "dilation 4"]),
        ({"kernel_size": 0}, ["kernel_size", "0", "at least 1"]),
        ({"kernel_size": 2, "stride": 0}, ["stride", "0", "at least 1"]),
        ({"kernel_size": (2, 2, 2)}, ["kernel_size", "(2, 2, 2)", "(height, width)"]),
        ({"kernel_size": 2, "padding": "some"}, ["padding", "'some'", "'valid'", "'same'"]),
    ],
)
def test_geometry_that_cannot_be_is_explained(arguments, facts):
    with pytest.raises(ShapeError) as error:
        F.max_pool2d(image(), **arguments)
    for fact in ["max_pool2d", *facts]:
        assert fact in str(error.value)


def test_a_kernel_that_is_no_whole_number_is_refused():
    half: Any = 2.5
    with pytest.raises(TypeError, match="max_pool2d: kernel_size is 2.5"):
        F.max_pool2d(image(), half)


@pytest.mark.parametrize(
    ("shape", "facts"),
    [
        ((3, 7, 6), ["x has 3 axes", "(3, 7, 6)", "expected 4", "N C H W"]),
        ((2, 3, 0, 6), ["axis 2 (H)", "0", "at least 1"]),
        ((2, 3, 7, 0), ["axis 3 (W)", "0", "at least 1"]),
    ],
)
def test_images_without_pixels_or_batch_are_refused(shape, facts):
    with pytest.raises(ShapeError) as error:
        F.max_pool2d(np.zeros(shape), 1)
    for fact in ["max_pool2d", *facts]:
        assert fact in str(error.value)
