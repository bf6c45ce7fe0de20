"""Element by element: cuda/elementwise.cu, cast.cu and copy.cu."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from ...device import Array, by_name, is_floating
from ...shapes import Shape
from . import numbers
from .group import Lines, group_struct, launches
from .launch import THREADS, Program, blocks, program
from .memory import dense, empty, flat, packed, put

__all__ = [
    "absolute", "add", "cast", "casts", "clamp", "clamp_grad", "copy", "count_up", "divide", "exp",
    "full", "larger_grad", "leaky_relu", "leaky_relu_grad", "log", "masked", "maximum", "minimum",
    "multiply", "power", "prelu", "prelu_weight", "relu", "relu_grad", "scale", "select", "shift",
    "sigmoid", "sign", "softplus", "subtract", "tanh",
]  # fmt: skip

floating = is_floating  # as other families know it


def _run(kernel: str, arrays: tuple[Array, ...], *numbers: Any) -> Array:
    """kernel(arrays..., numbers..., y, n): a result like the last array."""
    like = arrays[-1]
    y = empty(like.shape, like.dtype)
    grid = blocks(y.size, THREADS * (16 // like.itemsize))
    _program(like.dtype)(kernel, grid, THREADS, *map(dense, arrays), *numbers, flat(y), y.size)
    return y


@lru_cache(maxsize=64)
def _program(dtype: Any) -> Program:
    if is_floating(dtype):
        return program("elementwise", REAL=dtype, NUMBER="double", FLOATING=1)
    return program("elementwise", REAL=dtype, NUMBER=dtype)


def _number(dtype: Any, number: float) -> float:
    """A number as kernels for this dtype take it; OverflowError if it cannot hold it, as NumPy."""
    return float(number) if is_floating(dtype) else int(np.array(int(number), dtype))


def _as_number(x: Array, number: Any) -> Array:
    """x in the dtype that NumPy gives to x and a Python number together."""
    if is_floating(x.dtype):
        return x
    return fitted(x, np.result_type(x.dtype, number))


def fitted(x: Array, dtype: Any) -> Array:
    """x as `dtype`, itself if it is."""
    return x if x.dtype == dtype else cast(x, np.dtype(dtype).name)


def _pair(kernel: str, a: Array, b: Array) -> Array:
    """Whole numbers of two dtypes meet in the one that NumPy gives them."""
    dtype = a.dtype if a.dtype == b.dtype else np.result_type(a.dtype, b.dtype)
    return _run(kernel, (fitted(a, dtype), fitted(b, dtype)))


def full(shape: Shape, value: float, like: Array) -> Array:
    """An array of one value, of like's dtype and device."""
    y = empty(shape, like.dtype)
    number = _number(y.dtype, value)
    _program(y.dtype)("full", blocks(y.size), THREADS, flat(y), number, y.size)
    return y


def cast(x: Array, dtype: str) -> Array:
    wanted = np.dtype(by_name(dtype))
    y, pack = empty(x.shape, wanted), 16 // max(x.itemsize, wanted.itemsize)
    run = program("cast", FROM=x.dtype, REAL=wanted)
    run("cast", blocks(x.size, THREADS * pack), THREADS, dense(x), flat(y), x.size)
    return y


def casts(arrays: Sequence[Array], dtype: str) -> list[Array]:
    """`cast` of each, 64 of them in a launch."""
    wanted = np.dtype(by_name(dtype))
    made = [empty(x.shape, wanted) for x in arrays]
    lines = [Lines(flat(y), dense(x), None) for x, y in zip(arrays, made, strict=True)]
    numbers.hold(lines)  # a graph has addresses only
    for given, same in groupby(lines, key=lambda one: one.g.dtype):
        run = program("cast", FROM=given, REAL=wanted)
        for _, group in launches(list(same)):
            struct = group_struct(group)
            run("casts", int(struct["from"][len(group)]), THREADS, struct)
    return made


def copy(x: Array) -> Array:
    y = empty(x.shape, x.dtype)
    put(x, y)
    return y


def count_up(x: Array) -> None:
    """x += 1, in place."""
    y = packed(x)
    grid, line = blocks(y.size, THREADS * (16 // y.itemsize)), flat(y)
    _program(y.dtype)("shift", grid, THREADS, line, _number(y.dtype, 1), line, y.size)
    if y is not x:
        put(y, x)


def add(a: Array, b: Array) -> Array:
    return _pair("add", a, b)


def subtract(a: Array, b: Array) -> Array:
    return _pair("subtract", a, b)


def multiply(a: Array, b: Array) -> Array:
    return _pair("multiply", a, b)


def divide(a: Array, b: Array) -> Array:
    if not is_floating(a.dtype):
        a, b = cast(a, "float64"), cast(b, "float64")
    return _run("divide", (a, b))


def scale(x: Array, factor: float) -> Array:
    x = _as_number(x, factor)
    return _run("scale", (x,), _number(x.dtype, factor))


def shift(x: Array, term: float) -> Array:
    x = _as_number(x, term)
    return _run("shift", (x,), _number(x.dtype, term))


def power(x: Array, exponent: float) -> Array:
    if x.dtype.kind in "iu" and exponent < 0:
        raise ValueError("power: whole numbers to a negative exponent, expected floats")
    return _run("power", (_as_number(x, exponent),), float(exponent))


def exp(x: Array) -> Array:
    return _run("exponential", (x,))


def log(x: Array) -> Array:
    return _run("logarithm", (x,))


def tanh(x: Array) -> Array:
    return _run("hyperbolic_tangent", (x,))


def sigmoid(x: Array) -> Array:
    return _run("sigmoid", (x,))


def softplus(x: Array) -> Array:
    return _run("softplus", (x,))


def absolute(x: Array) -> Array:
    return _run("absolute", (x,))


def sign(x: Array) -> Array:
    return _run("sign", (x,))


def maximum(a: Array, b: Array) -> Array:
    return _pair("maximum", a, b)


def minimum(a: Array, b: Array) -> Array:
    return _pair("minimum", a, b)


def larger_grad(gy: Array, a: Array, b: Array) -> Array:
    return _run("larger_grad", (gy, a, b))


def select(mask: Array, a: Array, b: Array) -> Array:
    dtype = a.dtype if a.dtype == b.dtype else np.result_type(a.dtype, b.dtype)
    return _masking(
        "select", dtype, mask, lambda m: (m, dense(fitted(a, dtype)), dense(fitted(b, dtype)))
    )


def masked(x: Array, mask: Array, keep: bool) -> Array:
    return _masking("masked", x.dtype, mask, lambda m: (dense(x), m, keep))


def _masking(kernel: str, dtype: Any, mask: Array, given: Any) -> Array:
    y = empty(mask.shape, dtype)
    m = dense(fitted(mask, np.dtype(bool)))
    _program(y.dtype)(kernel, blocks(y.size), THREADS, *given(m), flat(y), y.size)
    return y


def clamp(x: Array, low: float, high: float) -> Array:
    """min(max(x, low), high), infinite bounds for none."""
    if not is_floating(x.dtype):
        limits = np.iinfo(x.dtype)
        low, high = max(low, limits.min), min(high, limits.max)
    return _run("clamp", (x,), _number(x.dtype, low), _number(x.dtype, high))


def clamp_grad(gy: Array, x: Array, low: float, high: float) -> Array:
    return _run("clamp_grad", (gy, x), float(low), float(high))


def relu(x: Array) -> Array:
    return _run("relu", (x,))


def relu_grad(gy: Array, x: Array) -> Array:
    return _run("relu_grad", (gy, x))


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return _run("leaky_relu_grad", (x, x), float(negative_slope))


def leaky_relu_grad(gy: Array, x: Array, negative_slope: float) -> Array:
    return _run("leaky_relu_grad", (gy, x), float(negative_slope))


def prelu(a: Array, x: Array, w: Array) -> Array:
    return _run("prelu", (a, x, w))


def prelu_weight(a: Array, b: Array, x: Array) -> Array:
    return _run("prelu_weight", (a, b, x))
