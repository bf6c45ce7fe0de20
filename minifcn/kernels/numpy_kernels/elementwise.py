"""Element by element, in few ufuncs. `like=` arrays give dtype and device."""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "absolute", "add", "cast", "clamp", "clamp_grad", "divide", "exp", "full", "larger_grad",
    "leaky_relu", "leaky_relu_grad", "log", "masked", "maximum", "minimum", "multiply", "power",
    "prelu", "prelu_weight", "relu", "relu_grad", "scale", "select", "shift", "sigmoid", "sign",
    "softplus", "subtract", "tanh",
]  # fmt: skip


def full(shape: Shape, value: float, like: Array) -> Array:
    """An array of one value, of like's dtype and device."""
    return np.full(shape, value, like.dtype)


@np.errstate(all="ignore")  # it is called outside of operators too, see Op.__call__
def cast(x: Array, dtype: str) -> Array:
    return x.astype(dtype)  # what is too large for dtype is inf, as in PyTorch


def add(a: Array, b: Array) -> Array:
    return np.asarray(a + b)


def subtract(a: Array, b: Array) -> Array:
    return np.asarray(a - b)


def multiply(a: Array, b: Array) -> Array:
    return np.asarray(a * b)


def divide(a: Array, b: Array) -> Array:
    return np.asarray(a / b)  # x / 0 is inf or nan, as in PyTorch


def scale(x: Array, factor: float) -> Array:
    return np.asarray(x * factor)


def shift(x: Array, term: float) -> Array:
    return np.asarray(x + term)


def power(x: Array, exponent: float) -> Array:
    return np.asarray(x**exponent)


def exp(x: Array) -> Array:
    return np.asarray(np.exp(x))


def log(x: Array) -> Array:
    return np.asarray(np.log(x))


def tanh(x: Array) -> Array:
    return np.asarray(np.tanh(x))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x); where e^-x overflows the quotient is the 0 that it should be."""
    return np.asarray(1 / (1 + np.exp(-x)))


def softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow:  max(x, 0) + log(1 + e^-|x|)."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def absolute(x: Array) -> Array:
    return np.asarray(np.abs(x))


def sign(x: Array) -> Array:
    """[x > 0] - [x < 0]: 0 at 0 and at nan."""
    return np.asarray(np.asarray(x > 0).astype(x.dtype) - (x < 0))


def maximum(a: Array, b: Array) -> Array:
    return np.asarray(np.maximum(a, b))


def minimum(a: Array, b: Array) -> Array:
    return np.asarray(np.minimum(a, b))


def larger_grad(gy: Array, a: Array, b: Array) -> Array:
    """gy where a > b or one is nan, gy / 2 where a = b, 0 where a < b."""
    return select(a == b, gy * gy.dtype.type(0.5), masked(gy, a < b, False))


def select(mask: Array, a: Array, b: Array) -> Array:
    """a where mask, else b:  b ^ ((a ^ b) & m) on bits, m all ones where mask and else all zeros.

    Without a branch, as np.where has it: a mask that nobody can predict makes branches slow.
    """
    word = f"i{a.dtype.itemsize}"
    if a.dtype != b.dtype or a.dtype.itemsize not in (1, 2, 4, 8):
        return np.where(mask, a, b)
    y = np.asarray(a.view(word) ^ b.view(word))
    y &= _ones(np.asarray(mask, np.bool_), word)
    y ^= b.view(word)
    return y.view(a.dtype)


def _ones(mask: Array, word: str) -> Array:
    """-1, all bits set, where mask is true, else 0."""
    return np.asarray(np.negative(mask.view("i1"), dtype=word))


def masked(x: Array, mask: Array, keep: bool) -> Array:
    """x where mask is `keep`, else 0: exact even where x is inf or nan, and without a branch."""
    if x.dtype.itemsize not in (1, 2, 4, 8):
        return np.where(np.asarray(mask, np.bool_) == keep, x, x.dtype.type(0))
    word = f"i{x.dtype.itemsize}"
    y = _ones(np.asarray(np.asarray(mask, np.bool_) == keep), word)
    y &= x.view(word)
    return y.view(x.dtype)


def clamp(x: Array, low: float, high: float) -> Array:
    """min(max(x, low), high), infinite bounds for none."""
    if x.dtype.kind != "f":
        limits = np.iinfo(x.dtype)
        low, high = max(low, limits.min), min(high, limits.max)
    return np.asarray(np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high)))


def clamp_grad(gy: Array, x: Array, low: float, high: float) -> Array:
    """gy where low <= x <= high, else 0."""
    return masked(gy, (x >= low) & (x <= high), True)


def relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, x.dtype.type(0)))


def relu_grad(gy: Array, x: Array) -> Array:
    """gy except where x <= 0: a nan lets the gradient pass, as in PyTorch."""
    return masked(gy, x <= 0, False)


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return select(x > 0, x, np.asarray(x * negative_slope))


def leaky_relu_grad(gy: Array, x: Array, negative_slope: float) -> Array:
    return select(x > 0, gy, np.asarray(gy * negative_slope))


def prelu(a: Array, x: Array, w: Array) -> Array:
    """a where x > 0, else w a; all of one shape. prelu(x, x, w) is the activation."""
    return select(x > 0, a, np.asarray(a * w))


def prelu_weight(a: Array, b: Array, x: Array) -> Array:
    """a b except where x > 0, which gives 0, also for 0 inf."""
    return masked(np.asarray(a * b), x > 0, False)
