"""Element by element, in few ufuncs, into memory of the pool. `like=` arrays give dtype, device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape
from .memory import SMALL, empty, lies_by_pixels
from .rows import Scratch, blocks, grid, lines, result, tiled

__all__ = [
    "absolute", "add", "cast", "casts", "clamp", "clamp_grad", "copy", "count_up", "divide", "exp",
    "full", "larger_grad", "leaky_relu", "leaky_relu_grad", "log", "masked", "maximum", "minimum",
    "multiply", "power", "prelu", "prelu_weight", "relu", "relu_grad", "scale", "select", "shift",
    "sigmoid", "sign", "softplus", "subtract", "tanh",
]  # fmt: skip


def full(shape: Shape, value: float, like: Array) -> Array:
    """An array of one value, of like's dtype and device."""
    y = result(like) if like.shape == shape else empty(shape, like.dtype)
    y[...] = value
    return y


@np.errstate(all="ignore")  # it is called outside of operators too, see Op.__call__
def cast(x: Array, dtype: str) -> Array:
    y = result(x, np.dtype(dtype))
    np.copyto(y, x, casting="unsafe")  # what is too large for dtype is inf, as in PyTorch
    return y


def casts(arrays: Sequence[Array], dtype: str) -> list[Array]:
    """`cast` of each."""
    return [cast(x, dtype) for x in arrays]


def copy(x: Array) -> Array:
    y = result(x)
    np.copyto(y, x)
    return y


def count_up(x: Array) -> None:
    """x += 1, in place."""
    x += 1


def _one(ufunc: np.ufunc, x: Array) -> Array:
    """ufunc(x)."""
    y = result(x)
    ufunc(x, out=y)
    return y


def _two(ufunc: np.ufunc, a: Array, b: Array) -> Array:
    """ufunc(a, b); numbers per channel are repeated to long runs first, see rows.py."""
    if a.nbytes < SMALL:
        return np.asarray(ufunc(a, b))
    if _per_channel(b) and lies_by_pixels(a):
        y = empty(a.shape, np.result_type(a, b))
        ufunc(grid(a), tiled(b[0, :, 0, 0], a), out=grid(y))
    elif _per_channel(a) and lies_by_pixels(b):
        y = empty(b.shape, np.result_type(a, b))
        ufunc(tiled(a[0, :, 0, 0], b), grid(b), out=grid(y))
    else:
        y = result(b if 0 in a.strides else a)
        ufunc(a, b, out=y)
    return y


def _per_channel(x: Array) -> bool:
    """Whether x repeats one number per channel."""
    return x.ndim == 4 and x.strides[0] == x.strides[2] == x.strides[3] == 0


def _number(ufunc: np.ufunc, x: Array, number: Any) -> Array:
    """ufunc(x, number), of x's dtype unless that of the number must win."""
    if x.dtype.kind != "f":
        return np.asarray(ufunc(x, number))
    y = result(x)
    ufunc(x, number, out=y)
    return y


def add(a: Array, b: Array) -> Array:
    return _two(np.add, a, b)


def subtract(a: Array, b: Array) -> Array:
    return _two(np.subtract, a, b)


def multiply(a: Array, b: Array) -> Array:
    return _two(np.multiply, a, b)


def divide(a: Array, b: Array) -> Array:
    return _two(np.divide, a, b)  # x / 0 is inf or nan, as in PyTorch


def scale(x: Array, factor: float) -> Array:
    return _number(np.multiply, x, factor)


def shift(x: Array, term: float) -> Array:
    return _number(np.add, x, term)


def power(x: Array, exponent: float) -> Array:
    if x.dtype.kind != "f":
        return np.asarray(x**exponent)
    y, short = result(x), SHORT.get(exponent)
    short(x, out=y) if short else np.power(x, exponent, out=y)
    return y


SHORT = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}


def exp(x: Array) -> Array:
    return _one(np.exp, x)


def log(x: Array) -> Array:
    return _one(np.log, x)


def tanh(x: Array) -> Array:
    return _one(np.tanh, x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x); where e^-x overflows the quotient is the 0 that it should be."""
    y = _one(np.negative, x)
    np.exp(y, out=y)
    np.add(y, 1, out=y)
    np.divide(1, y, out=y)
    return y


def softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow:  max(x, 0) + log(1 + e^-|x|)."""
    y = _one(np.absolute, x)
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.log1p(y, out=y)
    y += relu(x)
    return y


def absolute(x: Array) -> Array:
    return _one(np.absolute, x)


def sign(x: Array) -> Array:
    """[x > 0] - [x < 0]: 0 at 0 and at nan."""
    y = result(x)
    np.copyto(y, _positive(x))
    np.subtract(y, x < 0, out=y)
    return y


def _positive(x: Array) -> Array:
    y = result(x, np.bool_)
    np.greater(x, 0, out=y)
    return y


def maximum(a: Array, b: Array) -> Array:
    return _two(np.maximum, a, b)


def minimum(a: Array, b: Array) -> Array:
    return _two(np.minimum, a, b)


def larger_grad(gy: Array, a: Array, b: Array) -> Array:
    """gy where a > b or one is nan, gy / 2 where a = b, 0 where a < b."""
    return select(a == b, scale(gy, 0.5), masked(gy, a < b, False))


def select(mask: Array, a: Array, b: Array) -> Array:
    """a where mask, else b:  b ^ ((a ^ b) & m) on bits, m all ones where mask and else all zeros.

    Without a branch, as np.where has it: a mask that nobody can predict makes branches slow.
    """
    word = f"i{a.dtype.itemsize}"
    if a.dtype != b.dtype or a.dtype.itemsize not in (1, 2, 4, 8):
        return np.where(mask, a, b)
    y = empty(a.shape, a.dtype)
    out, left, right, chosen = lines(y), lines(a), lines(b), lines(np.asarray(mask, np.bool_))
    scratch = Scratch(out.shape, word)
    for to, p, q, m in blocks(out.view(word), left.view(word), right.view(word), chosen.view("i1")):
        ones = scratch.like(m)
        np.negative(m, out=ones)
        np.bitwise_xor(p, q, out=to)
        to &= ones
        to ^= q
    return y


def masked(x: Array, mask: Array, keep: bool) -> Array:
    """x where mask is `keep`, else 0: exact even where x is inf or nan, and without a branch."""
    if x.dtype.itemsize not in (1, 2, 4, 8):
        return np.where(np.asarray(mask, np.bool_) == keep, x, x.dtype.type(0))
    y = empty(x.shape, x.dtype)
    out, numbers, chosen = lines(y), lines(x), lines(np.asarray(mask, np.bool_))
    scratch = Scratch(out.shape, np.bool_)
    for to, p, m in blocks(out, numbers, chosen):
        drop = scratch.like(m)
        np.not_equal(m, keep, out=drop)
        cut(p, drop, to)
    return y


def cut(x: Array, drop: Array, to: Array) -> None:
    """x, but 0 where drop, into `to` (not x): bits & -1 where they stay. Overwrites drop."""
    word = f"i{x.dtype.itemsize}"
    keep = drop.view("i1")
    np.subtract(keep, 1, out=keep)  # 0 or 1 -> -1, all bits set, or 0
    bits = to.view(word)
    np.copyto(bits, keep)
    np.bitwise_and(bits, x.view(word), out=bits)


def clamp(x: Array, low: float, high: float) -> Array:
    """min(max(x, low), high), infinite bounds for none."""
    if x.dtype.kind != "f":
        limits = np.iinfo(x.dtype)
        low, high = max(low, limits.min), min(high, limits.max)
    y = result(x)
    np.maximum(x, x.dtype.type(low), out=y)
    np.minimum(y, x.dtype.type(high), out=y)
    return y


def clamp_grad(gy: Array, x: Array, low: float, high: float) -> Array:
    """gy where low <= x <= high, else 0."""
    inside = result(x, np.bool_)
    np.equal(clamp(x, low, high), x, out=inside)  # nan is not
    if low > high:  # x = high is not either
        inside[...] = False
    return masked(gy, inside, True)


def relu(x: Array) -> Array:
    y = result(x)
    np.maximum(x, x.dtype.type(0), out=y)
    return y


def relu_grad(gy: Array, x: Array) -> Array:
    """gy except where x <= 0: a nan lets the gradient pass, as in PyTorch."""
    if gy.itemsize not in (2, 4, 8):
        return masked(gy, np.less_equal(x, 0), False)
    if gy.nbytes < SMALL:
        stay = np.subtract(np.less_equal(x, 0).view("i1"), 1)  # see cut
        return np.asarray(np.bitwise_and(stay, gy.view(f"i{gy.itemsize}"))).view(gy.dtype)
    y = empty(gy.shape, gy.dtype)
    out = lines(y)
    scratch = Scratch(out.shape, np.bool_)
    for to, g, values in blocks(out, lines(gy), lines(x)):
        drop = scratch.like(values)
        np.less_equal(values, 0, out=drop)
        cut(g, drop, to)
    return y


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return select(_positive(x), x, scale(x, negative_slope))


def leaky_relu_grad(gy: Array, x: Array, negative_slope: float) -> Array:
    return select(_positive(x), gy, scale(gy, negative_slope))


def prelu(a: Array, x: Array, w: Array) -> Array:
    """a where x > 0, else w a; all of one shape. prelu(x, x, w) is the activation."""
    return select(_positive(x), a, multiply(a, w))


def prelu_weight(a: Array, b: Array, x: Array) -> Array:
    """a b except where x > 0, which gives 0, also for 0 inf."""
    return masked(multiply(a, b), _positive(x), False)
