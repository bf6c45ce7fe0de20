"""prelu: leaky_relu with a slope of its own."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F


def test_one_slope_for_all_is_leaky_relu() -> None:
    x = mf.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    one = F.prelu(x, mf.tensor(np.array([0.3])))
    assert np.array_equal(one.data, F.leaky_relu(x, 0.3).data)


def test_each_channel_has_its_slope() -> None:
    x = -np.ones((2, 3, 1, 2))
    y = F.prelu(mf.tensor(x), mf.tensor(np.array([0.1, 0.2, 0.3])))
    assert np.array_equal(y.data, x * np.array([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1))


def test_a_slope_gathers_what_was_below_zero_in_its_channel() -> None:
    rng = np.random.default_rng(1)
    x, gy = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    w = mf.tensor(np.array([0.1, 0.2, 0.3]), requires_grad=True)
    (gw,) = mf.grad(F.prelu(mf.tensor(x), w), w, mf.tensor(gy))
    expected = [(gy[:, c] * np.minimum(x[:, c], 0)).sum() for c in range(3)]
    assert gw.data == pytest.approx(np.array(expected), abs=1e-13)


@pytest.mark.parametrize("shape", [(), (4,), (0, 3)])
def test_any_number_of_axes(shape: tuple[int, ...]) -> None:
    x = mf.tensor(-np.ones(shape))
    assert np.array_equal(F.prelu(x, mf.tensor(np.array([0.5]))).data, -0.5 * np.ones(shape))


def test_a_weight_of_another_length_is_refused() -> None:
    with pytest.raises(mf.ShapeError) as caught:
        F.prelu(mf.tensor(np.ones((2, 3, 4, 4))), mf.tensor(np.ones(4)))
    for fact in ("prelu:", "axis 0 (C) of weight is 4", "axis 1 (C) of x is 3", "expected 1 or 3"):
        assert fact in str(caught.value)


def test_a_weight_of_two_axes_is_refused() -> None:
    with pytest.raises(mf.ShapeError) as caught:
        F.prelu(mf.tensor(np.ones((2, 3))), mf.tensor(np.ones((1, 3))))
    for fact in ("prelu:", "weight has 2 axes", "(1, 3)", "expected 1: C"):
        assert fact in str(caught.value)
