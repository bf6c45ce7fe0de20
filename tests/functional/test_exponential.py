"""exp, log, sigmoid, tanh, softplus, silu, abs: identities, limits, precision."""

import math

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F

X = np.linspace(-6, 6, 25)


def values(function, x=X):
    return function(mf.tensor(x)).data


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (F.exp, math.exp),
        (F.tanh, math.tanh),
        (F.abs, math.fabs),
        (F.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
        (F.softplus, lambda x: math.log1p(math.exp(x))),
        (F.silu, lambda x: x / (1 + math.exp(-x))),
    ],
)
def test_values_are_those_of_the_formula(function, formula) -> None:
    assert values(function) == pytest.approx([formula(x) for x in X], rel=1e-14, abs=1e-15)


def test_log_undoes_exp() -> None:
    assert values(lambda x: F.log(F.exp(x))) == pytest.approx(X, abs=1e-14)


def test_sigmoid_and_tanh_are_one_curve() -> None:
    assert 2 * values(F.sigmoid, 2 * X) - 1 == pytest.approx(values(F.tanh), abs=1e-15)


def test_the_slope_of_softplus_is_sigmoid() -> None:
    x = mf.tensor(X, requires_grad=True)
    (g,) = mf.grad(F.softplus(x).sum(), x)
    assert g.data == pytest.approx(values(F.sigmoid), abs=1e-15)


def test_beta_sharpens_softplus_and_threshold_straightens_it() -> None:
    assert values(lambda x: F.softplus(x, beta=50)) == pytest.approx(np.maximum(X, 0), abs=0.014)
    straight = values(lambda x: F.softplus(x, threshold=2))
    assert np.array_equal(straight[X > 2], X[X > 2])
    assert (straight[X <= 2] > np.maximum(X, 0)[X <= 2]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (F.sigmoid, 0, 1),
        (F.tanh, -1, 1),
        (F.softplus, 0, 1e4),
        (F.silu, 0, 1e4),
        (F.exp, 0, np.inf),
    ],
)
def test_far_out_is_the_limit_and_never_nan(function, low: float, high: float, dtype) -> None:
    x = mf.tensor(np.array([-1e4, 1e4], dtype), requires_grad=True)
    y = function(x)
    assert y.tolist() == [low, high]
    (g,) = mf.grad(y, x, mf.ones_like(y))
    assert not np.isnan(g.data).any()


def test_small_sigmoids_keep_their_digits() -> None:
    x = np.array([-30.0, -40.0])
    assert values(F.sigmoid, x) == pytest.approx(np.exp(x), rel=1e-12)
    assert values(F.softplus, x) == pytest.approx(np.exp(x), rel=1e-12)


def test_log_outside_its_domain() -> None:
    y = values(F.log, np.array([0.0, -1.0]))
    assert y[0] == -np.inf and np.isnan(y[1])


def test_abs_is_flat_at_zero() -> None:
    x = mf.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    (g,) = mf.grad(F.abs(x).sum(), x)
    assert g.tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("name", ["exp", "log", "sigmoid", "tanh", "softplus", "silu"])
def test_whole_numbers_are_refused(name: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(F, name)(mf.tensor([1, 2]))
    for fact in (f"{name}:", "dtype of x", "int64", "expected a floating type", ".astype()"):
        assert fact in str(caught.value)


def test_softplus_needs_a_beta() -> None:
    with pytest.raises(ValueError, match="softplus: beta is 0, expected"):
        F.softplus(mf.tensor([1.0]), beta=0)
