"""x[key]: NumPy is the oracle for slices, arrays and masks; gradients are counted by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices

import minifcn as mf
import minifcn.functional as F
from minifcn.functional.index import GetSlice, PutSlice

SHAPE = (3, 4, 2, 5)


def numbered(shape: tuple[int, ...]) -> Any:
    """Every element is its own number, so that an index shows which element it meets."""
    return np.arange(float(np.prod(shape))).reshape(shape)


def check(x: Any, key: Any, expected: Any) -> None:
    """The values, and the gradient: an element counts as often as it was met, weighed by gy."""
    t = mf.tensor(x, requires_grad=True)
    y = t[key]
    assert np.array_equal(y.data, expected)
    if not y.requires_grad:
        return
    gy = np.random.default_rng(0).standard_normal(y.shape)
    (g,) = mf.grad(y, t, mf.tensor(gy))
    met = np.zeros(x.size)
    for place in np.ndindex(*y.shape):
        met[int(expected[place])] += gy[place]
    assert g.data.reshape(-1) == pytest.approx(met, abs=1e-12)


@given(st.data())
def test_basic_keys_are_numpys(data) -> None:
    shape = data.draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    key = data.draw(basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    x = numbered(shape)
    check(x, key, np.asarray(x[key]))


@given(st.lists(st.sampled_from(["array", "slice", "None"]), max_size=5), st.integers(0, 2**32 - 1))
def test_index_arrays_are_numpys(kinds: list[str], seed: int) -> None:
    """Arrays, slices and None in any order; whole numbers beside arrays have their own test."""
    rng = np.random.default_rng(seed)
    common = tuple(rng.integers(1, 4, 2))
    key: list[Any] = []
    sizes = list(SHAPE)
    for kind in kinds:
        if kind == "None":
            key.append(None)
        elif sizes:
            size = sizes.pop(0)
            start, stop, step = (
                rng.integers(-size, size),
                rng.integers(-size, size),
                rng.choice([-1, 2]),
            )
            mine = tuple(n if rng.random() < 0.7 else 1 for n in common)[rng.integers(0, 2) :]
            array = rng.integers(-size, size, mine)
            key.append(array if kind == "array" else slice(start, stop, step))
    x = numbered(SHAPE)
    check(x, tuple(key), x[tuple(key)])


@given(st.integers(0, 2), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_masks_are_numpys(first: int, axes: int, seed: int) -> None:
    x = numbered(SHAPE)
    mask = np.random.default_rng(seed).random(SHAPE[first : first + axes]) < 0.4
    key = (slice(None),) * first + (mask,)
    check(x, key, x[key])
    assert np.array_equal(mf.tensor(x)[(*key[:-1], mf.tensor(mask))].data, x[key])


def test_lists_tensors_and_arrays_mean_the_same() -> None:
    t = mf.tensor(numbered((4, 3)))
    expected = t.data[[2, -1]]
    for key in ([2, -1], np.array([2, -1], np.int8), mf.tensor([2, -1])):
        assert np.array_equal(t[key].data, expected)
    assert t[mf.tensor(2)].shape == t[np.int64(2)].shape == (3,), "a tensor of no axes is a number"
    assert t[[]].shape == (0, 3)
    assert t[[True, False, False, True]].shape == (2, 3)


def test_a_whole_number_beside_an_array_is_taken_first() -> None:
    x = numbered((2, 3, 4))
    got = mf.tensor(x)[0, :, [1, 3]]
    assert np.array_equal(got.data, x[0][:, [1, 3]]), (
        "as PyTorch; NumPy puts the array's axis in front"
    )


def test_slices_are_views_and_arrays_copy() -> None:
    x = mf.tensor(numbered((4, 5)))
    assert np.shares_memory(x[1:, ::-2].data, x.data)
    assert not np.shares_memory(x[[0, 1]].data, x.data)


def test_a_slice_of_nothing_takes_a_gradient_of_nothing() -> None:
    for key in (np.s_[2:2], np.s_[::-1], np.s_[:, 5:]):
        x = numbered((0, 5) if key == np.s_[::-1] else (3, 5))
        check(x, key, x[key])


def test_put_slice_fills_with_zeros() -> None:
    key = (range(3, -1, -2), range(1, 3))
    g = numbered((2, 2)) + 1
    y = PutSlice(key, (4, 3))(mf.tensor(g)).data
    assert y[3, 1:].tolist() == [1, 2] and y[1, 1:].tolist() == [3, 4]
    assert np.count_nonzero(y) == 4
    assert np.array_equal(GetSlice(key, (4, 3))(mf.tensor(y)).data, g)


def test_a_tensor_can_be_walked() -> None:
    rows: Any = mf.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert [row.tolist() for row in rows] == [[1.0, 2.0], [3.0, 4.0]]


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ((0, 7), ["axis 1", "size 4", "got index 7", "expected -4 to 3", str(SHAPE)]),
        (-4, ["axis 0", "size 3", "got index -4", "expected -3 to 2"]),
        ((0,) * 5, ["the key names 5 axes", "x has 4", str(SHAPE)]),
        ((..., 0, ...), ["'...' 2 times", "expected at most once"]),
        (([0, 3],), ["holds 3", "axis 0 of x has size 3", "expected -3 to 2"]),
        ((slice(None), np.array([-5])), ["holds -5", "axis 1 of x has size 4", "expected -4 to 3"]),
        (np.ones((3, 5), bool), ["axis 1 of the mask is 5", "axis 1 of x is 4", "(3, 5)"]),
        (np.ones(SHAPE + (1,), bool), ["the key names 5 axes", "x has 4"]),
    ],
)
def test_places_that_are_not_there(key, facts: list[str]) -> None:
    with pytest.raises(IndexError) as caught:
        mf.tensor(numbered(SHAPE))[key]
    for fact in ("index:", *facts):
        assert fact in str(caught.value)


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ((0, 1.5), ["entry 1", "1.5", "expected a whole number, a slice"]),
        ("n", ["entry 0", "'n'"]),
        (True, ["entry 0", "True", "not a bool"]),
        (mf.tensor([0.0, 1.0]), ["entry 0", "dtype float32", "expected whole numbers, or a mask"]),
    ],
)
def test_keys_that_are_none(key, facts: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        mf.tensor(numbered(SHAPE))[key]
    for fact in ("index:", *facts):
        assert fact in str(caught.value)


def test_index_arrays_that_do_not_fit_together() -> None:
    with pytest.raises(mf.ShapeError) as caught:
        F.index(mf.tensor(numbered(SHAPE)), ([0, 1], [0, 1, 2]))
    for fact in ("index:", "axis -1", "index array of axis 1", "is 3", "is 2"):
        assert fact in str(caught.value)
