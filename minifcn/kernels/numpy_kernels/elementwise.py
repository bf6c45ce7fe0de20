"""Element by element, one ufunc each. `like=` arrays give dtype and device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "absolute", "add", "cast", "divide", "exp", "full", "leaky_relu", "log", "maximum", "minimum",
    "multiply", "power", "prelu", "relu", "scale", "select", "shift", "sigmoid", "sign", "slope",
    "step", "subtract", "tanh", "within",
]  # fmt: skip


def full(shape: Shape, value: float, like: Array) -> Array:
    """An array of one value, of like's dtype and device."""
    return np.full(shape, value, like.dtype)


def cast(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


def add(a: Array, b: Array) -> Array:
    return np.asarray(a + b)


def subtract(a: Array, b: Array) -> Array:
    return np.asarray(a - b)


def multiply(a: Array, b: Array) -> Array:
    return np.asarray(a * b)


def divide(a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):  # x / 0 is inf or nan, as in PyTorch
        return np.asarray(a / b)


def scale(x: Array, factor: float) -> Array:
    return np.asarray(x * factor)


def shift(x: Array, term: float) -> Array:
    return np.asarray(x + term)


def power(x: Array, exponent: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(x**exponent)


def exp(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(x))


def log(x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(x))


def tanh(x: Array) -> Array:
    return np.asarray(np.tanh(x))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow:  (1 + tanh(x / 2)) / 2."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def absolute(x: Array) -> Array:
    return np.asarray(np.abs(x))


def sign(x: Array) -> Array:
    return np.asarray(np.sign(x))


def maximum(a: Array, b: Array) -> Array:
    return np.asarray(np.maximum(a, b))


def minimum(a: Array, b: Array) -> Array:
    return np.asarray(np.minimum(a, b))


def select(mask: Array, a: Array, b: Array) -> Array:
    """a where mask, else b."""
    return np.where(mask, a, b)


def relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0))


def step(x: Array) -> Array:
    """[x > 0] in x's dtype; the derivative of relu."""
    return np.asarray(x > 0).astype(x.dtype)


def within(x: Array, low: float, high: float) -> Array:
    """[low <= x <= high] in x's dtype; the derivative of clamp."""
    return np.asarray((x >= low) & (x <= high)).astype(x.dtype)


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return np.asarray(np.where(x > 0, x, x * negative_slope))


def slope(x: Array, negative_slope: float) -> Array:
    """1 where x > 0, else negative_slope; the derivative of leaky_relu."""
    one, low = x.dtype.type(1), x.dtype.type(negative_slope)
    return np.asarray(np.where(x > 0, one, low))


def prelu(x: Array, weight: Array) -> Array:
    """x where x > 0, else weight x; both of one shape."""
    return np.asarray(np.where(x > 0, x, x * weight))
