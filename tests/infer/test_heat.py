"""Heat: means over windows, where they lie in the photo, and colours that a reader can compare."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.infer.colours import heat_colours, heat_table
from minifcn.infer.heat import (
    Axis,
    lay_over,
    softmax,
    spread,
    window_means,
    window_softmax,
    with_scale,
)

GREY = np.zeros((2, 2, 3), np.uint8)


def cie_lightness(rgb):
    """L* of CIE 1976, 0..100: another measure than the one that the scale is made by."""
    told = rgb / 255
    light = np.where(told <= 0.04045, told / 12.92, ((told + 0.055) / 1.055) ** 2.4)
    y = light @ [0.2126, 0.7152, 0.0722]
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def test_the_scale_grows_lighter_step_by_step_and_no_colour_comes_twice():
    table = heat_table().astype(int)
    lightness = cie_lightness(table)
    assert (lightness[8:] > lightness[:-8]).all() and lightness[0] < 15 and lightness[-1] > 90
    assert len(np.unique(table, axis=0)) == 256
    jumps = np.abs(np.diff(table, axis=0)).max()
    assert jumps <= 6, "neighbours look alike"


def test_values_beyond_the_scale_take_its_ends():
    table = heat_table()
    colours = heat_colours(np.array([[-1.0, 0, 1, 7]]))
    np.testing.assert_array_equal(colours, table[[[0, 0, 255, 255]]])


@pytest.mark.parametrize("h, w", [(1, 1), (2, 9), (7, 4), (13, 13)])
@pytest.mark.parametrize("window", [1, 3, 7])
def test_window_means_are_the_mean_over_the_cells_around_zero_beyond(h, w, window):
    y = np.random.default_rng(0).standard_normal((2, h, w))
    u, v = (min(window, n if n % 2 else max(n - 1, 1)) for n in (h, w))
    expected = np.zeros_like(y)
    for i, j, a, b in np.ndindex(h, w, u, v):
        row, column = i + a - u // 2, j + b - v // 2
        if 0 <= row < h and 0 <= column < w:
            expected[:, i, j] += y[:, row, column] / (u * v)
    np.testing.assert_allclose(window_means(y, window), expected, rtol=1e-5, atol=1e-6)


def test_softmax_adds_up_to_one_and_refuses_nan():
    scores = np.random.default_rng(0).standard_normal((5, 3, 2)) * 100
    np.testing.assert_allclose(softmax(scores).sum(axis=0), 1, rtol=1e-6)
    scores[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="nan or inf"):
        softmax(scores)


@pytest.mark.parametrize("K", [1, 5, 32, 100])
def test_the_softmax_of_some_classes_is_that_among_all(K):
    y = np.random.default_rng(0).standard_normal((K, 6, 9)).astype(np.float32) * 300
    means = window_means(y, 3).astype(np.float64)
    odds = np.exp(means - means.max(axis=0))
    some = [K - 1, 0]
    np.testing.assert_allclose(
        window_softmax(y, 3, some), (odds / odds.sum(axis=0))[some], rtol=1e-4, atol=1e-7
    )
    y[K // 2, 2, 2] = np.nan
    with pytest.raises(ValueError, match="nan or inf"):
        window_softmax(y, 3, some)


@given(st.floats(-50, 50), st.floats(0.1, 40), st.floats(0.05, 20))
def test_scaling_a_photo_moves_places_as_its_corners_move(first, step, factor):
    line = Axis(first, step)
    there = line.scaled(factor)
    assert there.first + 0.5 == pytest.approx(factor * (first + 0.5))  # from the photo's edge
    assert there.step == pytest.approx(factor * step)
    back = there.scaled(1 / factor)
    assert (back.first, back.step) == pytest.approx((line.first, line.step))


@given(st.integers(1, 6), st.integers(1, 6), st.floats(-3, 8), st.floats(0.5, 5))
def test_between_places_heat_is_linear_and_beyond_them_the_nearest(h, w, first, step):
    rows, columns = Axis(first, step), Axis(first / 2, step + 1)
    i, j = np.arange(h)[:, None], np.arange(w)[None]
    grown = spread(2.0 * i - 3.0 * j, rows, columns, (23, 31))
    y = np.clip((np.arange(23) - rows.first) / rows.step, 0, h - 1)[:, None]
    x = np.clip((np.arange(31) - columns.first) / columns.step, 0, w - 1)[None]
    np.testing.assert_allclose(grown, 2 * y - 3 * x, atol=1e-4)


def test_heat_colours_a_photo_where_it_is_and_leaves_the_rest():
    photo = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    heat = np.zeros((40, 30), np.float32)
    heat[10:20, 5:9] = 1
    drawn = lay_over(photo, heat, alpha=0.5)
    np.testing.assert_array_equal(drawn[heat == 0], photo[heat == 0])
    hottest = heat_table()[255].astype(float)
    np.testing.assert_allclose(drawn[heat == 1], (photo[heat == 1] + hottest) / 2, atol=1)


def test_a_large_photo_is_coloured_as_a_small_one():
    heat = np.linspace(0, 1, 3000 * 1500, dtype=np.float32).reshape(3000, 1500)
    photo = np.full((3000, 1500, 3), 90, np.uint8)
    drawn = lay_over(photo, heat)
    for row in (0, 1, 1499, 2999):
        np.testing.assert_array_equal(drawn[[row]], lay_over(photo[[row]], heat[[row]]))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (480, 640)])
def test_the_scale_stands_below_the_picture_and_has_its_colours(size):
    picture = np.full((*size, 3), 77, np.uint8)
    drawn = with_scale(picture, "hot dog")
    assert drawn.shape[0] > size[0] and drawn.shape[1] >= size[1]
    assert (drawn[0, 0] == 77).all()
    colours = {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()}
    assert all(tuple(heat_table()[k].tolist()) in colours for k in (0, 255))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: window_means(np.zeros((2, 3)), 3), r"shape \(2, 3\), expected K h w"),
        (lambda: window_means(np.zeros((2, 3, 0)), 3), "none 0"),
        (lambda: window_means(np.zeros((2, 3, 3)), 4), "window is 4, expected an odd number"),
        (lambda: lay_over(GREY, np.zeros((2, 3), np.float32)), r"heat has \(2, 3\)"),
        (lambda: lay_over(GREY, np.zeros((2, 2), np.float32), 2), "alpha is 2"),
    ],
)
def test_mistakes_of_heat_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
