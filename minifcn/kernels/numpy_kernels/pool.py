"""Pooling by taps: one strided pass over the whole batch per kernel tap.

A tap meets the image for a rectangle of output pixels; `_meetings` gives that rectangle on both
sides, so no padded copy of the image is made, and padding can neither win nor count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...device import Array
from ...window import Sides, Window

__all__ = [
    "avg_pool2d", "avg_pool_grad", "max_pool2d", "max_pool_grad", "max_pool_indices",
    "max_pool_take",
]  # fmt: skip

Key = tuple[Any, slice, slice]  # [..., rows, columns]


def max_pool2d(x: Array, window: Window) -> tuple[Array, Array]:
    """(y, tap): the largest pixel of every window, and the tap u KW + v that met it.

    Of equals the first; a NaN wins, the last one; KH KW where no tap meets the image.
    """
    KH, KW = window.kernel
    y = np.full((*x.shape[:2], *window.out), _lowest(x.dtype), x.dtype)
    for _, out, image in _meetings(window):
        np.maximum(y[out], x[image], out=y[out])
    tap = np.zeros(y.shape, np.min_scalar_type(KH * KW))
    searching = np.ones(y.shape, bool)  # for the first tap that met the maximum
    for _, out, image in _meetings(window):
        searching[out] &= x[image] != y[out]
        tap += searching
    if np.isnan(y).any():
        for t, out, image in _meetings(window):
            np.copyto(tap[out], t, where=np.isnan(x[image]))
    return y, tap


def max_pool_grad(g: Array, tap: Array, window: Window) -> Array:
    """x[h, k] = sum of g[i, j] over the windows whose tap meets pixel (h, k)."""
    x = np.zeros((*g.shape[:2], *window.image), g.dtype)
    zero = g.dtype.type(0)
    for t, out, image in _meetings(window):
        x[image] += np.where(tap[out] == t, g[out], zero)
    return x


def max_pool_take(x: Array, tap: Array, window: Window) -> Array:
    """y[i, j] = the pixel that tap[i, j] meets; 0 where it meets none."""
    y = np.zeros(tap.shape, x.dtype)
    for t, out, image in _meetings(window):
        np.copyto(y[out], x[image], where=tap[out] == t)
    return y


def max_pool_indices(x: Array, window: Window) -> Array:
    """h W + w of every window's largest pixel; -1 where no tap meets the image."""
    _, tap = max_pool2d(x, window)
    (KH, KW), W = window.kernel, window.image[1]
    (sh, sw), (dh, dw), (top, left) = window.stride, window.dilation, window.pad
    u, v = np.divmod(tap.astype(np.int64), KW)
    h = sh * np.arange(window.out[0])[:, None] + dh * u - top
    w = sw * np.arange(window.out[1]) + dw * v - left
    return np.where(tap == KH * KW, -1, h * W + w)


def avg_pool2d(x: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    """y[i, j] = sum_{u,v} x[s i + d u - p, s j + d v - p] / div[i, j]; first along H, then W."""
    (P, Q), (_, W) = window.out, window.image
    rows = np.zeros((*x.shape[:2], P, W), x.dtype)
    for out, image in _axis_meetings(window, 0):
        rows[..., out, :] += x[..., image, :]
    y = np.zeros((*x.shape[:2], P, Q), x.dtype)
    for out, image in _axis_meetings(window, 1):
        y[..., out] += rows[..., image]
    y /= _divisors(window, counts, divisor).astype(x.dtype)
    return y


def avg_pool_grad(g: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    """x[h, k] = sum of g[i, j] / div[i, j] over the windows that cover pixel (h, k)."""
    (P, _), (H, W) = window.out, window.image
    g = g / _divisors(window, counts, divisor).astype(g.dtype)
    rows = np.zeros((*g.shape[:2], P, W), g.dtype)
    for out, image in _axis_meetings(window, 1):
        rows[..., image] += g[..., out]
    x = np.zeros((*g.shape[:2], H, W), g.dtype)
    for out, image in _axis_meetings(window, 0):
        x[..., image, :] += rows[..., out, :]
    return x


def _lowest(dtype: np.dtype[Any]) -> float:
    """What every value of the dtype beats or equals."""
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _meetings(window: Window) -> Iterator[tuple[int, Key, Key]]:
    """(t, out, image): where tap t = u KW + v meets the image, on either side."""
    across = list(_axis_meetings(window, 1))
    for u, (out_rows, image_rows) in enumerate(_axis_meetings(window, 0)):
        for v, (out_columns, image_columns) in enumerate(across):
            t = u * len(across) + v
            yield t, (..., out_rows, out_columns), (..., image_rows, image_columns)


def _axis_meetings(window: Window, axis: int) -> Iterator[tuple[slice, slice]]:
    """For each tap u: the i with 0 <= s i + d u - p < H, and those s i + d u - p."""
    s, d, H = window.stride[axis], window.dilation[axis], window.image[axis]
    for u in range(window.kernel[axis]):
        offset = d * u - window.pad[axis]
        first = max(-(offset // s), 0)
        count = max(min((H - 1 - offset) // s + 1, window.out[axis]) - first, 0)
        start = s * first + offset
        yield slice(first, first + count), slice(start, start + s * count, s) if count else slice(0)


def _divisors(window: Window, counts: Sides, divisor: int | None) -> Array:
    """div[i, j]: how many pixels of window (i, j) lie in the counted range, at least 1."""
    if divisor is not None:
        return np.array(divisor)
    sizes: list[Array] = []
    for axis in (0, 1):
        start = window.stride[axis] * np.arange(window.out[axis]) - window.pad[axis]
        place = start[:, None] + window.dilation[axis] * np.arange(window.kernel[axis])
        first, stop = counts[axis]
        size = ((place >= first) & (place < stop)).sum(1)
        sizes.append(np.maximum(size, 1))
    return sizes[0][:, None] * sizes[1]
