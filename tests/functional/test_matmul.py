"""matmul and linear: sums of products, written out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import minifcn as mf
import minifcn.functional as F

RNG = np.random.default_rng(0)


def product(a: Any, b: Any) -> Any:
    """sum_k a[.., m, k] b[.., k, n] as one broadcast and one sum, for at least two axes each."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(axis=-2)


@given(
    mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3),
    st.tuples(*[st.integers(0, 3)] * 3),
    st.tuples(st.booleans(), st.booleans()),
)
def test_the_sum_of_products(leading, sizes, flat) -> None:
    M, K, N = sizes
    a = RNG.standard_normal((K,) if flat[0] else (*leading.input_shapes[0], M, K))
    b = RNG.standard_normal((K,) if flat[1] else (*leading.input_shapes[1], K, N))
    expected = product(a[None] if flat[0] else a, b[:, None] if flat[1] else b)
    if flat[1]:
        expected = expected[..., 0]
    if flat[0]:
        expected = expected[..., 0] if flat[1] else expected[..., 0, :]
    y = F.matmul(mf.tensor(a), mf.tensor(b))
    assert y.shape == expected.shape
    assert y.data == pytest.approx(expected, abs=1e-13)


@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3))
def test_the_gradient_of_a_broadcast_matrix_is_summed(leading) -> None:
    """<A B, g> is linear in A, so that <A, gA> = <A B, g>; in B alike."""
    a = mf.tensor(RNG.standard_normal((*leading.input_shapes[0], 2, 3)), requires_grad=True)
    b = mf.tensor(RNG.standard_normal((*leading.input_shapes[1], 3, 4)), requires_grad=True)
    y = a @ b
    g = RNG.standard_normal(y.shape)
    whole = np.vdot(y.data, g)
    for x, gx in zip((a, b), mf.grad(y, (a, b), mf.tensor(g)), strict=True):
        assert gx.shape == x.shape
        assert np.vdot(x.data, gx.data) == pytest.approx(whole, abs=1e-12)


def test_arrays_may_stand_on_either_side() -> None:
    a = RNG.standard_normal((2, 3))
    assert (a @ mf.tensor(np.eye(3))).data == pytest.approx(a)
    assert (mf.tensor(np.eye(2)) @ a).data == pytest.approx(a)


def test_linear_is_a_weighted_sum_of_the_last_axis() -> None:
    x, w, b = (RNG.standard_normal(s) for s in ((2, 5, 3), (4, 3), (4,)))
    y = F.linear(mf.tensor(x), mf.tensor(w), mf.tensor(b)).data
    for n, m, o in np.ndindex(2, 5, 4):
        assert y[n, m, o] == pytest.approx(sum(x[n, m, i] * w[o, i] for i in range(3)) + b[o])


def test_linear_of_one_vector_and_by_one_vector() -> None:
    x, w = RNG.standard_normal(3), RNG.standard_normal((4, 3))
    assert F.linear(mf.tensor(x), mf.tensor(w)).data == pytest.approx(w @ x)
    assert F.linear(mf.tensor(w), mf.tensor(x)).data == pytest.approx(w @ x)


def test_no_rows_and_no_columns() -> None:
    w = mf.tensor(np.ones((4, 3)), requires_grad=True)
    y = F.linear(mf.tensor(np.ones((0, 3))), w)
    assert y.shape == (0, 4)
    (gw,) = mf.grad(y, w, mf.tensor(np.ones((0, 4))))
    assert gw.shape == (4, 3) and not gw.data.any()
    assert not (mf.tensor(np.ones((2, 0))) @ mf.tensor(np.ones((0, 2)))).data.any()


# ---- errors ------------------------------------------------------------------------------------


def test_matrices_that_do_not_fit() -> None:
    with pytest.raises(mf.ShapeError) as caught:
        mf.tensor(np.ones((2, 5, 3))) @ mf.tensor(np.ones((4, 2)))
    facts = "matmul:", "axis 0 (K) of b is 4", "axis 2 (K) of a is 3", "(2, 5, 3)", "(4, 2)"
    for fact in facts:
        assert fact in str(caught.value)
    with pytest.raises(mf.ShapeError) as vector:
        mf.tensor(np.ones(3)) @ mf.tensor(np.ones(4))
    for fact in ("matmul:", "axis 0 (K) of b is 4", "axis 0 (K) of a is 3"):
        assert fact in str(vector.value)


def test_batches_that_do_not_fit() -> None:
    with pytest.raises(mf.ShapeError) as caught:
        mf.tensor(np.ones((2, 3, 3))) @ mf.tensor(np.ones((4, 3, 3)))
    for fact in ("matmul:", "axis 0 of b is 4", "axis 0 of a is 2", "expected 2 or 1"):
        assert fact in str(caught.value)


def test_numbers_are_no_matrices() -> None:
    with pytest.raises(mf.ShapeError, match="matmul: b has no axes, expected at least 1"):
        mf.tensor(np.ones((2, 2))) @ mf.tensor(2.0)


def test_mistakes_of_linear() -> None:
    x, w = mf.tensor(np.ones((2, 3))), mf.tensor(np.ones((4, 5)))
    with pytest.raises(mf.ShapeError) as features:
        F.linear(x, w)
    facts = "linear:", "axis 1 (I) of weight is 5", "axis 1 (I) of x is 3", "(2, 3)", "(4, 5)"
    for fact in facts:
        assert fact in str(features.value)
    with pytest.raises(mf.ShapeError) as bias:
        F.linear(x, mf.tensor(np.ones((4, 3))), mf.tensor(np.ones(3)))
    for fact in ("linear:", "bias has shape (3,)", "expected (4,)", "O of weight"):
        assert fact in str(bias.value)
    with pytest.raises(mf.ShapeError, match="linear: weight has 3 axes"):
        F.linear(x, mf.tensor(np.ones((1, 4, 3))))
    with pytest.raises(TypeError) as dtype:
        F.linear(x, mf.tensor(np.ones((4, 3), np.float32)))
    for fact in ("float32", "float64", ".astype()"):
        assert fact in str(dtype.value)
