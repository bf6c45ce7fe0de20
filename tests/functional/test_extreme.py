"""max, min, amax, amin, argmax, argmin: values, winners among equals, empty axes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import minifcn as mf
import minifcn.functional as F

small = arrays(np.float64, array_shapes(max_dims=3, max_side=4), elements=st.integers(-2, 2))


def gradient(y: Any, x: Any) -> Any:
    (g,) = mf.grad(y.sum(), x)
    return g.data


@given(small, st.data())
def test_an_axis_is_searched_as_by_hand(x, data) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    t = mf.tensor(x, requires_grad=True)
    high, where = F.max(t, axis), F.argmax(t, axis)
    g = gradient(high, t)
    for place in np.ndindex(*high.shape):
        index: list[Any] = list(place)
        index.insert(axis % x.ndim, slice(None))
        line = x[tuple(index)].tolist()
        assert high.data[place] == max(line)
        assert where.data[place] == line.index(max(line)), "the first of equals"
        assert g[tuple(index)].tolist() == [k == line.index(max(line)) for k in range(len(line))]


@given(small, st.data())
def test_the_smallest_is_the_largest_turned_round(x, data) -> None:
    axis = data.draw(st.none() | st.integers(0, x.ndim - 1))
    t = mf.tensor(x)
    assert np.array_equal(F.min(t, axis).data, -F.max(-t, axis).data)
    assert np.array_equal(F.argmin(t, axis).data, F.argmax(-t, axis).data)
    assert np.array_equal(F.amin(t, axis).data, -F.amax(-t, axis).data)


@given(small)
def test_without_an_axis_equals_share_the_gradient(x) -> None:
    t = mf.tensor(x, requires_grad=True)
    winners = x == x.max()
    for y in (F.max(t), F.amax(t), F.amax(t, tuple(range(x.ndim)))):
        assert gradient(y, t) == pytest.approx(winners / winners.sum())


def test_several_axes_at_once() -> None:
    x = np.random.default_rng(0).permutation(np.arange(24.0)).reshape(2, 3, 4)
    t = mf.tensor(x, requires_grad=True)
    y = F.amax(t, (0, 2), keepdims=True)
    assert np.array_equal(y.data, x.max(axis=(0, 2), keepdims=True))
    assert np.array_equal(gradient(y, t), x == y.data)


def test_axes_can_be_kept() -> None:
    t = mf.tensor(np.ones((2, 3, 4)))
    assert F.max(t, 1, keepdims=True).shape == F.argmin(t, 1, keepdims=True).shape == (2, 1, 4)
    assert F.max(t, keepdims=True).shape == F.argmax(t, keepdims=True).shape == (1, 1, 1)


def test_indices_are_constants() -> None:
    t = mf.tensor([[1.0, 2.0]], requires_grad=True)
    for index in (F.argmax(t), F.argmin(t, 1)):
        assert index.dtype == np.int64
        assert not index.requires_grad


def test_nan_wins_and_is_found() -> None:
    t = mf.tensor([1.0, float("nan"), 3.0, float("nan")], requires_grad=True)
    for find in (F.max, F.min):
        assert np.isnan(find(t).item())
        assert gradient(find(t), t).tolist() == [0.0, 0.5, 0.0, 0.5]
        assert gradient(find(t, 0), t).tolist() == [0.0, 1.0, 0.0, 0.0]
    assert F.argmax(t).item() == F.argmin(t, 0).item() == 1


def test_whole_numbers_have_extremes_too() -> None:
    t = mf.tensor(np.array([[3, 250], [7, 1]], np.uint8))
    assert F.max(t, 1).tolist() == [250, 7]
    assert F.argmin(t, 0).tolist() == [0, 1]
    assert F.min(t).item() == 1


def test_no_lines_are_no_error_but_empty_lines_are() -> None:
    assert F.max(mf.tensor(np.ones((0, 3))), 1).shape == (0,)
    for call in (F.max, F.argmin, F.amax):
        with pytest.raises(mf.ShapeError) as caught:
            call(mf.tensor(np.ones((2, 0, 3))), 1)
        for fact in (f"{call.__name__}:", "axis 1 of x is 0", "expected at least 1", "(2, 0, 3)"):
            assert fact in str(caught.value)


@pytest.mark.parametrize("call", [F.max, F.min, F.argmax, F.argmin])
def test_a_wrong_axis_is_refused(call) -> None:
    t = mf.tensor(np.ones((2, 3)))
    with pytest.raises(mf.ShapeError) as caught:
        call(t, 2)
    for fact in (f"{call.__name__}:", "axis is 2", "expected -2 to 1"):
        assert fact in str(caught.value)
    for axis in (1.0, True, (0, 1)):
        with pytest.raises(TypeError) as refused:
            call(t, axis)
        for fact in (f"{call.__name__}:", f"axis is {axis}", "expected a whole number"):
            assert fact in str(refused.value)


@pytest.mark.parametrize("name", ["max", "min"])
def test_dim_is_refused_where_pytorch_gives_a_pair(name):
    x = mf.tensor([[1.0, 5.0], [7.0, 2.0]])
    with pytest.raises(TypeError) as caught:
        getattr(x, name)(dim=1)
    words = (name, "dim", "(values, indices)", f"arg{name}")
    assert all(word in str(caught.value) for word in words)
