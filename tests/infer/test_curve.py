"""Curves: round ticks, honest means, lines where the numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.images import read_image
from minifcn.infer.curve import COLOURS, draw_curves, loss_curve, running_mean, ticks

pytest.importorskip("PIL")

VALUE = st.floats(-1e6, 1e6).map(lambda v: round(v, 6))


@given(VALUE, VALUE)
def test_ticks_are_round_evenly_spaced_and_enclose(a, b):
    low, high = min(a, b), max(a, b)
    got = np.array(ticks(low, high))
    step = np.diff(got)
    span = max(abs(low), abs(high), high - low)
    assert 2 <= len(got) <= 10
    assert got[0] <= low + 1e-6 * span and got[-1] >= high - 1e-6 * span
    np.testing.assert_allclose(step, step[0], rtol=1e-6)
    digits = step[0] / 10 ** math.floor(math.log10(step[0]) + 1e-9)
    assert min(abs(digits - m) for m in (1, 2, 5, 10)) < 1e-6
    np.testing.assert_allclose(got / step[0], np.rint(got / step[0]), atol=1e-6)


@given(
    st.lists(st.one_of(st.floats(-100, 100), st.sampled_from([math.nan, math.inf])), max_size=30),
    st.integers(1, 12),
)
def test_the_running_mean_is_that_of_a_loop(values, count):
    got = running_mean(np.array(values, float), count)
    for i in range(len(values)):
        known = [v for v in values[max(i - count + 1, 0) : i + 1] if math.isfinite(v)]
        want = sum(known) / len(known) if known else math.nan
        assert got[i] == pytest.approx(want, abs=1e-9, nan_ok=True)


def line_of(sheet, colour):
    """For each column of the plot the mean row of this colour (the key above it left out)."""
    same = (np.abs(sheet.astype(int) - colour) < 40).all(axis=2)
    same[:39] = False
    columns = np.flatnonzero(same.any(axis=0))
    return columns, np.array([np.flatnonzero(same[:, j]).mean() for j in columns])


def test_a_straight_series_is_a_straight_line():
    j, i = line_of(draw_curves({"loss": np.linspace(2, 1, 50).tolist()}), COLOURS[0])
    slope, start = np.polyfit(j, i, 1)
    assert slope > 0 and np.abs(i - slope * j - start).max() < 1.5
    assert len(j) > 600  # all the way across


def test_heights_are_to_scale():
    """Constant series at 1, 2 and 4: the distances are as 1 to 2."""
    sheet = draw_curves({"a": [1.0] * 9, "b": [2.0] * 9, "c": [4.0] * 9})
    a, b, c = (line_of(sheet, COLOURS[k])[1].mean() for k in range(3))
    assert (a - b) * 2 == pytest.approx(b - c, abs=2)


def test_a_short_series_is_spread_over_all_steps():
    sheet = draw_curves({"loss": [1.0] * 90, "mIoU": [0.2, 0.4, 0.6]})
    j, _ = line_of(sheet, COLOURS[1])
    k, _ = line_of(sheet, COLOURS[0])
    assert j[-1] == pytest.approx(k[-1], abs=2)


def test_nan_leaves_a_gap():
    series = np.ones(90)
    series[30:60] = np.nan
    j, _ = line_of(draw_curves({"loss": series.tolist()}), COLOURS[0])
    assert 150 < np.diff(j).max() < 300


def test_a_single_value_is_seen():
    j, _ = line_of(draw_curves({"loss": [3.0]}), COLOURS[0])
    assert len(j)


def test_the_file_is_the_drawing(tmp_path):
    history = {"loss": [3.0, 2.0, 1.0]}
    loss_curve(history, tmp_path / "loss.png", size=(200, 300))
    got = read_image(tmp_path / "loss.png")
    assert got.shape == (200, 300, 3)
    np.testing.assert_array_equal(got, draw_curves(history, size=(200, 300)))


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"loss": [math.nan]}])
def test_nothing_to_draw(history, tmp_path):
    with pytest.raises(ValueError, match="loss_curve: history has no finite value"):
        loss_curve(history, tmp_path / "loss.png")
    assert not list(tmp_path.iterdir())
