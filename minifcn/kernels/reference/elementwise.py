"""Element by element with Python's own arithmetic, one element at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "absolute", "add", "cast", "divide", "exp", "full", "leaky_relu", "log", "maximum", "minimum",
    "multiply", "power", "prelu", "relu", "scale", "select", "shift", "sigmoid", "sign", "slope",
    "step", "subtract", "tanh", "within",
]  # fmt: skip


def _each(function: Callable[..., Any], *arrays: Array, dtype: Any = None) -> Array:
    y = np.empty(arrays[-1].shape, arrays[-1].dtype if dtype is None else dtype)
    for index in np.ndindex(y.shape):
        y[index] = function(*(array[index].item() for array in arrays))
    return y


def full(shape: Shape, value: float, like: Array) -> Array:
    y = np.empty(shape, like.dtype)
    for index in np.ndindex(y.shape):
        y[index] = value
    return y


def cast(x: Array, dtype: Any) -> Array:
    return _each(lambda a: a, x, dtype=dtype)


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


def absolute(x: Array) -> Array:
    return _each(lambda a: a if a > 0 else -a, x)


def sign(x: Array) -> Array:
    return _each(lambda a: (a > 0) - (a < 0), x)


def maximum(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a if a > b else b, a, b)


def minimum(a: Array, b: Array) -> Array:
    return _each(lambda a, b: a if a < b else b, a, b)


def select(mask: Array, a: Array, b: Array) -> Array:
    return _each(lambda m, a, b: a if m else b, mask, a, b)


def relu(x: Array) -> Array:
    return _each(lambda a: a if a > 0 else 0, x)


def step(x: Array) -> Array:
    return _each(lambda a: 1 if a > 0 else 0, x)


def within(x: Array, low: float, high: float) -> Array:
    return _each(lambda a: 1 if low <= a <= high else 0, x)


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return _each(lambda a: a if a > 0 else negative_slope * a, x)


def slope(x: Array, negative_slope: float) -> Array:
    return _each(lambda a: 1 if a > 0 else negative_slope, x)


def prelu(x: Array, weight: Array) -> Array:
    return _each(lambda a, w: a if a > 0 else w * a, x, weight)
