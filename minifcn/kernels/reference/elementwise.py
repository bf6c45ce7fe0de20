"""Element by element with Python's own arithmetic, one element at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "absolute", "add", "cast", "casts", "clamp", "clamp_grad", "copy", "count_up", "divide", "exp",
    "full", "larger_grad", "leaky_relu", "leaky_relu_grad", "log", "masked", "maximum", "minimum",
    "multiply", "power", "prelu", "prelu_weight", "relu", "relu_grad", "scale", "select", "shift",
    "sigmoid", "sign", "softplus", "subtract", "tanh",
]  # fmt: skip


def _each(function: Callable[..., Any], *arrays: Array, dtype: Any = None) -> Array:
    """function of the elements, in the dtype of the last array."""
    y = np.empty(arrays[-1].shape, arrays[-1].dtype if dtype is None else dtype)
    for index in np.ndindex(y.shape):
        y[index] = function(*(array[index].item() for array in arrays))
    return y


def full(shape: Shape, value: float, like: Array) -> Array:
    y = np.empty(shape, like.dtype)
    for index in np.ndindex(y.shape):
        y[index] = value
    return y


def cast(x: Array, dtype: str) -> Array:
    return _each(lambda a: a, x, dtype=dtype)


def casts(arrays: Sequence[Array], dtype: str) -> list[Array]:
    return [cast(x, dtype) for x in arrays]


def copy(x: Array) -> Array:
    return _each(lambda a: a, x)


def count_up(x: Array) -> None:
    for index in np.ndindex(x.shape):
        x[index] = x[index].item() + 1


def add(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a + b, a, b)


def subtract(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a - b, a, b)


def multiply(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a * b, a, b)


def divide(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a / b, a, b)


def scale(x: Array, factor: float) -> Array:
    return _each(lambda a: a * factor, x)


def shift(x: Array, term: float) -> Array:
    return _each(lambda a: a + term, x)


def power(x: Array, exponent: float) -> Array:
    return _each(lambda a: a**exponent, x)


def exp(x: Array) -> Array:
    return _each(math.exp, x)


def log(x: Array) -> Array:
    return _each(math.log, x)


def tanh(x: Array) -> Array:
    return _each(math.tanh, x)


def sigmoid(x: Array) -> Array:
    return _each(lambda a: 1 / (1 + math.exp(-a)), x)


def softplus(x: Array) -> Array:
    return _each(lambda a: math.log(1 + math.exp(a)), x)


def absolute(x: Array) -> Array:
    return _each(lambda a: a if a > 0 else -a, x)


def sign(x: Array) -> Array:
    return _each(lambda a: (a > 0) - (a < 0), x)


def maximum(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a if a > b or a != a else b, a, b)


def minimum(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a if a < b or a != a else b, a, b)


def larger_grad(gy: Array, a: Array, b: Array) -> Array:
    return _each(lambda g, a, b: 0 if a < b else g / 2 if a == b else g, gy, a, b)


def select(mask: Array, a: Array, b: Array) -> Array:
    return _each(lambda m, a, b: a if m else b, mask, a, b)


def masked(x: Array, mask: Array, keep: bool) -> Array:
    return _each(lambda a, m: a if bool(m) == keep else 0, x, mask, dtype=x.dtype)


def clamp(x: Array, low: float, high: float) -> Array:
    return _each(lambda a: high if a > high or low > high else low if a < low else a, x)


def clamp_grad(gy: Array, x: Array, low: float, high: float) -> Array:
    return _each(lambda g, a: g if low <= a <= high else 0, gy, x)


def relu(x: Array) -> Array:
    return _each(lambda a: 0 if a <= 0 else a, x)


def relu_grad(gy: Array, x: Array) -> Array:
    return _each(lambda g, a: 0 if a <= 0 else g, gy, x)


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return _each(lambda a: a if a > 0 else negative_slope * a, x)


def leaky_relu_grad(gy: Array, x: Array, negative_slope: float) -> Array:
    return _each(lambda g, a: g if a > 0 else negative_slope * g, gy, x)


def prelu(a: Array, x: Array, w: Array) -> Array:
    return _each(lambda a, x, w: a if x > 0 else w * a, a, x, w)


def prelu_weight(a: Array, b: Array, x: Array) -> Array:
    return _each(lambda a, b, x: 0 if x > 0 else a * b, a, b, x)
