"""where, maximum, minimum: who is chosen, and who gets the gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, broadcastable_shapes

import minifcn as mf
import minifcn.functional as F
from minifcn.kernels import numpy_kernels

RNG = np.random.default_rng(0)


def gradients(y, *xs, gy=None):
    return [g.data for g in mf.grad(y, xs, gy)]


def test_where_sends_the_gradient_to_the_chosen_alone() -> None:
    mask = RNG.random((3, 4)) < 0.5
    a, b, gy = (RNG.standard_normal((3, 4)) for _ in range(3))
    ta, tb = mf.tensor(a, requires_grad=True), mf.tensor(b, requires_grad=True)
    y = F.where(mf.tensor(mask), ta, tb)
    ga, gb = gradients(y, ta, tb, gy=mf.tensor(gy))
    assert np.array_equal(ga + gb, gy)
    assert not ga[~mask].any() and not gb[mask].any()


def test_what_is_not_chosen_cannot_spoil_the_gradient() -> None:
    x = mf.tensor([0.0, 4.0], requires_grad=True)
    positive = x.numpy() > 0
    safe = F.where(positive, x, 1.0)
    (g,) = gradients(F.where(positive, safe.sqrt(), 0.0).sum(), x)
    assert g.tolist() == [0.0, 0.25]


def test_all_three_broadcast_together() -> None:
    mask, a, b = RNG.random((3, 1)) < 0.5, RNG.standard_normal(4), RNG.standard_normal((2, 1, 1))
    ta, tb = mf.tensor(a, requires_grad=True), mf.tensor(b, requires_grad=True)
    y = F.where(mask, ta, tb)
    assert np.array_equal(y.data, np.where(mask, a, b))
    assert [g.shape for g in gradients(y.sum(), ta, tb)] == [(4,), (2, 1, 1)]


def test_a_number_takes_the_dtype_of_its_partner() -> None:
    mask = np.array([True, False])
    for dtype in (np.float64, np.float32, np.int64):
        x = mf.tensor(np.array([1, 2], dtype))
        assert F.where(mask, x, 0).dtype == F.where(mask, 0, x).dtype == dtype
        assert F.maximum(x, 1).dtype == F.minimum(1, x).dtype == dtype


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "i1", "i8", "u4", "?"])
@pytest.mark.parametrize("shape", [(), (0, 2), (3, 5)])
def test_choosing_by_bits_is_choosing(shape: tuple[int, ...], dtype: str) -> None:
    """The kernels choose without a branch; every value, -0 and nan too, comes through whole."""
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -7, 1e-30])
    source = special if np.dtype(dtype).kind == "f" else np.array([0, 1, 100])
    a, b = (np.asarray(RNG.choice(source, shape)).astype(dtype) for _ in range(2))
    mask = np.asarray(RNG.random(shape) < 0.5)
    chosen = numpy_kernels.select(mask, a, b)
    kept = numpy_kernels.masked(a, mask, False)
    for y, expected in (
        (chosen, np.where(mask, a, b)),
        (kept, np.where(mask, np.zeros_like(a), a)),
    ):
        assert type(y) is np.ndarray and y.dtype == dtype
        assert np.array_equal(y, expected, equal_nan=a.dtype.kind == "f")
        if y.dtype.kind == "f":
            assert np.array_equal(np.signbit(y), np.signbit(expected))


shapes = array_shapes(min_dims=0, max_dims=3, max_side=3)
pairs = shapes.flatmap(lambda s: st.tuples(st.just(s), broadcastable_shapes(s, max_side=3)))


@given(pairs, st.integers(0, 2**32 - 1))
def test_the_larger_and_the_smaller_are_the_two(pair, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.integers(-2, 3, s).astype(float)) for s in pair)
    ta, tb = mf.tensor(a, requires_grad=True), mf.tensor(b, requires_grad=True)
    high, low = F.maximum(ta, tb), F.minimum(ta, tb)
    assert np.array_equal(high.data + low.data, a + b)
    assert np.array_equal(high.data - low.data, np.abs(a - b))
    together = gradients((high + low).sum(), ta, tb)
    for g, plain in zip(together, gradients((ta + tb).sum(), ta, tb), strict=True):
        assert np.array_equal(g, plain), "what one does not get, the other does"


def test_equals_share_alike() -> None:
    a, b = mf.tensor([1.0, 2.0, 3.0], requires_grad=True), mf.tensor([3.0, 2.0, 1.0])
    assert gradients(F.maximum(a, b).sum(), a)[0].tolist() == [0.0, 0.5, 1.0]
    assert gradients(F.minimum(a, b).sum(), a)[0].tolist() == [1.0, 0.5, 0.0]


@given(arrays(np.float64, 5, elements=st.floats(allow_infinity=True, allow_nan=True)))
def test_nan_wins(x) -> None:
    y = F.maximum(mf.tensor(x), 0).data
    assert np.array_equal(np.isnan(y), np.isnan(x))


def test_errors_of_where() -> None:
    with pytest.raises(TypeError) as caught:
        F.where(mf.tensor([1, 0]), mf.tensor([1.0, 2.0]), 0)
    for fact in ("where:", "dtype of mask is int64", "expected bool"):
        assert fact in str(caught.value)
    with pytest.raises(mf.ShapeError) as refused:
        F.where(np.ones(3, bool), mf.tensor(np.ones((2, 4))), 0.0)
    for fact in ("where:", "axis -1", "mask", "is 3", "is 4"):
        assert fact in str(refused.value)


def test_errors_of_maximum() -> None:
    with pytest.raises(mf.ShapeError) as caught:
        F.maximum(mf.tensor(np.ones((2, 3))), mf.tensor(np.ones((2, 4))))
    for fact in ("maximum:", "axis -1 of b is 4", "axis -1 of a is 3", "expected 3 or 1"):
        assert fact in str(caught.value)
    with pytest.raises(TypeError) as refused:
        F.maximum(mf.tensor([1, 2]), 0.5)
    for fact in ("maximum:", "b is 0.5", "dtype of a is int64", "expected a whole number"):
        assert fact in str(refused.value)
