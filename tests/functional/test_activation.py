"""relu, leaky_relu, clamp: what they are made of, their kinks, and what they refuse."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import minifcn as mf
import minifcn.functional as F

numbers = arrays(np.float64, st.integers(0, 6), elements=st.floats(-100, 100))


def slope_at(function, x: float) -> float:
    t = mf.tensor([x], requires_grad=True)
    (g,) = mf.grad(function(t), t)
    return float(g.item())


@given(numbers)
def test_relu_of_both_signs_adds_up_to_x(x) -> None:
    t = mf.tensor(x)
    assert np.array_equal((F.relu(t) - F.relu(-t)).data, x)
    assert np.array_equal((F.relu(t) + F.relu(-t)).data, np.abs(x))


@given(numbers, st.floats(0, 1))
def test_leaky_relu_is_the_larger_of_two_lines(x, r: float) -> None:
    assert np.array_equal(F.leaky_relu(mf.tensor(x), r).data, np.maximum(x, r * x))


@given(numbers, st.floats(-50, 50), st.floats(0, 50))
def test_clamp_stays_within_its_bounds_and_leaves_what_is_inside(
    x, low: float, room: float
) -> None:
    y = F.clamp(mf.tensor(x), low, low + room).data
    assert ((low <= y) & (y <= low + room)).all()
    inside = (low <= x) & (x <= low + room)
    assert np.array_equal(y[inside], x[inside])


def test_clamp_with_one_bound_and_with_contradicting_ones() -> None:
    x = mf.tensor([-3.0, 0.0, 3.0])
    assert F.clamp(x, min=1).tolist() == [1.0, 1.0, 3.0]
    assert F.clamp(x, max=1).tolist() == [-3.0, 0.0, 1.0]
    assert F.clamp(x, 2, -2).tolist() == [-2.0, -2.0, -2.0], "max decides"


def test_between_contradicting_bounds_nothing_passes(device: str) -> None:
    x = mf.tensor([-3.0, -2.0, 0.0, 2.0], requires_grad=True, device=device)
    F.clamp(x, 2, -2).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0] * 4


def test_whole_numbers_are_clamped_to_whole_bounds() -> None:
    bytes_ = mf.tensor(np.array([0, 7, 255], np.uint8))
    assert F.clamp(bytes_, 5, 200).tolist() == [5, 7, 200]
    assert F.clamp(bytes_, max=200).dtype == np.uint8
    assert F.clamp(bytes_, min=-1).tolist() == [0, 7, 255]
    with pytest.raises(TypeError) as caught:
        F.clamp(bytes_, 0.5)
    for fact in ("clamp:", "dtype of x is uint8", "min is 0.5", "expected a floating type"):
        assert fact in str(caught.value)


def test_the_slope_at_a_kink_is_pytorchs_choice() -> None:
    assert slope_at(F.relu, 0.0) == 0
    assert slope_at(lambda x: F.leaky_relu(x, 0.25), 0.0) == 0.25
    assert slope_at(lambda x: F.clamp(x, 0, 1), 0.0) == 1
    assert slope_at(lambda x: F.clamp(x, 0, 1), 1.0) == 1
    assert slope_at(lambda x: F.clamp(x, 0, 1), 1.5) == 0


def test_nan_stays_visible() -> None:
    nan = mf.tensor([float("nan")])
    for function in (F.relu, F.leaky_relu, lambda x: F.clamp(x, 0, 1)):
        assert np.isnan(function(nan).item())


def test_a_closed_gate_lets_nothing_through_not_even_infinity() -> None:
    x = mf.tensor([-1.0, 1.0], requires_grad=True)
    (g,) = mf.grad(F.relu(x), x, mf.tensor([np.inf, np.inf]))
    assert g.tolist() == [0.0, np.inf]


def test_relu_keeps_its_result_and_not_its_input() -> None:
    x = mf.tensor(np.ones(3), requires_grad=True)
    y = F.relu(x)
    assert y._node is not None and y._node.kept is not None
    assert [array is y.data for array, _, _ in y._node.kept] == [True]


def test_no_bound_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="clamp") as caught:
        F.clamp(mf.tensor([1.0]))
    for fact in ("min", "max", "None", "expected"):
        assert fact in str(caught.value)


@pytest.mark.parametrize(
    ("call", "operator", "argument"),
    [
        (lambda x, wrong: F.clamp(x, wrong), "clamp", "min"),
        (lambda x, wrong: F.clamp(x, 0, wrong), "clamp", "max"),
        (lambda x, wrong: F.leaky_relu(x, wrong), "leaky_relu", "negative_slope"),
    ],
)
def test_what_is_no_number_is_refused(call: Any, operator: str, argument: str) -> None:
    with pytest.raises(TypeError) as caught:
        call(mf.tensor([1.0]), "1")
    for fact in (f"{operator}:", f"{argument} is '1'", "expected a number"):
        assert fact in str(caught.value)


@pytest.mark.parametrize("x", [-0.7, 0.4])
@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        lambda x: F.leaky_relu(x, 0.3),
        lambda x: F.clamp(x, -1, 0.2),
        lambda x: F.prelu(x, mf.tensor(np.array([0.3]))),
        F.abs,
        F.tanh,
        lambda x: F.maximum(x, 0.1),
        lambda x: F.where(x.numpy() > 0, x, 3 * x),
        F.max,
    ],
)
def test_a_tensor_without_axes_is_an_element_like_any_other(function: Any, x: float) -> None:
    alone = mf.tensor(np.array(x), requires_grad=True)
    among = mf.tensor(np.array([x]), requires_grad=True)
    y, ys = function(alone), function(among)
    assert y.shape == () and type(y.data) is np.ndarray
    assert y.item() == ys.item()
    (g,), (gs,) = mf.grad(y, alone), mf.grad(ys, among)
    assert g.shape == () and type(g.data) is np.ndarray
    assert g.item() == gs.item()
