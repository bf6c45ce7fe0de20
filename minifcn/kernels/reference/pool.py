"""Pooling, one window at a time, one pixel at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...device import Array
from ...window import Sides, Window

__all__ = [
    "avg_pool2d", "avg_pool_grad", "max_pool2d", "max_pool_grad", "max_pool_indices",
    "max_pool_take",
]  # fmt: skip


def _pixels(window: Window, i: int, j: int) -> Iterator[tuple[int, int, int]]:
    """(t, h, k): tap u KW + v of window (i, j) and the image pixel it meets, if it meets one."""
    for t, (u, v) in enumerate(window.taps()):
        h = window.stride[0] * i + window.dilation[0] * u - window.pad[0]
        k = window.stride[1] * j + window.dilation[1] * v - window.pad[1]
        if 0 <= h < window.image[0] and 0 <= k < window.image[1]:
            yield t, h, k


def max_pool2d(x: Array, window: Window, taps: bool = True) -> tuple[Array, Array | None]:
    KH, KW = window.kernel
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    y = np.full((*x.shape[:2], *window.out), lowest, x.dtype)
    tap = np.full(y.shape, KH * KW, np.min_scalar_type(KH * KW))
    for n, c, i, j in np.ndindex(y.shape):
        for t, h, k in _pixels(window, i, j):
            value = x[n, c, h, k]
            if value > y[n, c, i, j] or tap[n, c, i, j] == KH * KW or value != value:
                y[n, c, i, j], tap[n, c, i, j] = value, t
    return y, tap if taps else None


def max_pool_grad(g: Array, tap: Array, window: Window) -> Array:
    x = np.zeros((*g.shape[:2], *window.image), g.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        for t, h, k in _pixels(window, i, j):
            if t == tap[n, c, i, j]:
                x[n, c, h, k] += g[n, c, i, j]
    return x


def max_pool_take(x: Array, tap: Array, window: Window) -> Array:
    y = np.zeros(tap.shape, x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        for t, h, k in _pixels(window, i, j):
            if t == tap[n, c, i, j]:
                y[n, c, i, j] = x[n, c, h, k]
    return y


def max_pool_indices(x: Array, window: Window) -> Array:
    tap = max_pool2d(x, window)[1]
    assert tap is not None
    index = np.full(tap.shape, -1, np.int64)
    for n, c, i, j in np.ndindex(tap.shape):
        for t, h, k in _pixels(window, i, j):
            if t == tap[n, c, i, j]:
                index[n, c, i, j] = h * window.image[1] + k
    return index


def _divisor(window: Window, counts: Sides, divisor: int | None, i: int, j: int) -> int:
    """How many pixels of window (i, j), inside the image or not, lie in the counted range."""
    if divisor is not None:
        return divisor
    count = 0
    for u, v in window.taps():
        h = window.stride[0] * i + window.dilation[0] * u - window.pad[0]
        k = window.stride[1] * j + window.dilation[1] * v - window.pad[1]
        (top, bottom), (left, right) = counts
        count += top <= h < bottom and left <= k < right
    return max(count, 1)


def avg_pool2d(x: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    y = np.zeros((*x.shape[:2], *window.out), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        for _, h, k in _pixels(window, i, j):
            y[n, c, i, j] += x[n, c, h, k]
        y[n, c, i, j] /= _divisor(window, counts, divisor, i, j)
    return y


def avg_pool_grad(g: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    x = np.zeros((*g.shape[:2], *window.image), g.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        for _, h, k in _pixels(window, i, j):
            x[n, c, h, k] += g[n, c, i, j] / _divisor(window, counts, divisor, i, j)
    return x
