"""softmax and log_softmax: laws of shares, and what happens at the ends of the number line."""

import math

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError


def logits(shape=(3, 4, 5), seed=0):
    return mf.tensor(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_shares_are_positive_and_sum_to_one(dim):
    y = F.softmax(logits(), dim).numpy()
    assert (y > 0).all()
    np.testing.assert_allclose(y.sum(dim), 1, rtol=1e-14)


def test_ratios_of_shares_are_exponentials_of_differences():
    x = logits((6,)).numpy()
    y = F.softmax(x, 0).numpy()
    for i in range(6):
        assert y[i] / y[0] == pytest.approx(math.exp(x[i] - x[0]), rel=1e-13)


def test_log_softmax_is_the_logarithm_of_softmax():
    x = logits()
    np.testing.assert_allclose(
        F.log_softmax(x, 1).numpy(), np.log(F.softmax(x, 1).numpy()), rtol=1e-13
    )


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_a_number_added_to_all_logits_changes_nothing(function):
    x = mf.tensor(np.arange(12.0).reshape(3, 4).astype(np.float32))
    np.testing.assert_array_equal(function(x + 4096.0, 1).numpy(), function(x, 1).numpy())


def test_huge_logits_neither_overflow_nor_vanish():
    x = mf.tensor([0.0, -1e30, 3e30])
    assert F.softmax(x, 0).tolist() == [0.0, 0.0, 1.0]
    assert F.log_softmax(mf.tensor([0.0, -1e4]), 0).tolist() == [0.0, -1e4]


def test_minus_infinity_has_no_share():
    x = mf.tensor([0.0, -math.inf, 0.0])
    assert F.softmax(x, 0).tolist() == [0.5, 0.0, 0.5]
    assert F.log_softmax(x, 0).tolist()[1] == -math.inf


@pytest.mark.parametrize("bad", [[math.inf, 0.0], [-math.inf, -math.inf], [math.nan, 0.0]])
def test_what_has_no_share_is_nan(bad):
    assert np.isnan(F.softmax(mf.tensor(bad), 0).numpy()).all()


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_a_tensor_without_axes_is_one_class(function):
    x = mf.tensor(np.array(3.0), requires_grad=True)
    y = function(x, -1)
    assert y.shape == () and y.item() == (1.0 if function is F.softmax else 0.0)
    (gx,) = mf.grad(y, x)
    assert gx.item() == 0.0


def test_the_gradient_of_softmax_sums_to_zero():
    x = mf.tensor(logits().numpy(), requires_grad=True)
    (gx,) = mf.grad(F.softmax(x, 1), x, logits(seed=1))
    np.testing.assert_allclose(gx.numpy().sum(1), 0, atol=1e-15)


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_errors_say_which_dim_and_dtype(function):
    op = function.__name__
    with pytest.raises(ShapeError) as error:
        function(logits(), 3)
    for fact in (op, "dim is 3", "-3 to 2", "(3, 4, 5)"):
        assert fact in str(error.value)
    with pytest.raises(TypeError) as wrong:
        function(mf.tensor([1, 2]), 0)
    for fact in (op, "dtype of x", "int64", "floating"):
        assert fact in str(wrong.value)
