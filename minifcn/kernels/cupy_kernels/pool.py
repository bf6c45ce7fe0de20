"""Pooling: cuda/pool.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array, is_floating
from ...window import Sides, Window
from .columns import whole_packs
from .elementwise import cast
from .launch import THREADS, program
from .memory import dense, empty, flat
from .structs import window_struct

__all__ = [
    "avg_pool2d", "avg_pool_grad", "max_pool2d", "max_pool_grad", "max_pool_indices",
    "max_pool_take",
]  # fmt: skip


def _run(kernel: str, result: Array, tap: Any, lines: tuple[Array, ...], *arguments: Any) -> None:
    """Launch with a thread for 16 bytes of `result`; PACKED if that suits all `lines`."""
    N, C, P, Q = result.shape
    packed = whole_packs(C, *lines)
    real = lines[0].dtype
    across = Q * (C * real.itemsize // 16 if packed else C)
    threads = min(-(-across // 32) * 32, THREADS)
    grid = (N * P, -(-across // max(threads, 1)))
    program("pool", REAL=real, TAP=tap, PACKED=packed)(kernel, grid, threads, *arguments, C)


def _tap_dtype(window: Window) -> np.dtype[Any]:
    """What holds the numbers of taps up to KH KW, as in the NumPy kernels."""
    KH, KW = window.kernel
    return np.dtype(np.uint8) if KH * KW < 256 else np.min_scalar_type(KH * KW)


def _taps(tap: Array) -> Array:
    """Numbers of taps as an unsigned type of at most 32 bits."""
    return dense(tap if tap.dtype.name in ("uint8", "uint16", "uint32") else cast(tap, "uint32"))


def _lowest(dtype: Any) -> float:
    """What every value of the dtype beats or equals."""
    return -np.inf if is_floating(dtype) else float(np.iinfo(dtype).min)


def _largest(
    x: Array, window: Window, y: Array | None, tap: Array | None, index: Array | None
) -> None:
    result = next(one for one in (y, tap, index) if one is not None)
    line, out = dense(x), [None if one is None else flat(one) for one in (y, tap, index)]
    lines = (line,) if out[0] is None else (line, out[0])
    _run("max_pool", result, _tap_dtype(window), lines, line, window_struct(window),
         _lowest(x.dtype), *out)  # fmt: skip


def max_pool2d(x: Array, window: Window, taps: bool = True) -> tuple[Array, Array | None]:
    y = empty((*x.shape[:2], *window.out), x.dtype)
    tap = empty(y.shape, _tap_dtype(window)) if taps else None
    _largest(x, window, y, tap, None)
    return y, tap


def max_pool_indices(x: Array, window: Window) -> Array:
    index = empty((*x.shape[:2], *window.out), np.dtype(np.int64))
    _largest(x, window, None, None, index)
    return index


def max_pool_grad(g: Array, tap: Array, window: Window) -> Array:
    x = empty((*g.shape[:2], *window.image), g.dtype)
    line, taps, out = dense(g), _taps(tap), flat(x)
    _run("max_pool_grad", x, taps.dtype, (line, out), line, taps, window_struct(window), out)
    return x


def max_pool_take(x: Array, tap: Array, window: Window) -> Array:
    y = empty(tap.shape, x.dtype)
    line, taps, out = dense(x), _taps(tap), flat(y)
    _run("max_pool_take", y, taps.dtype, (line, out), line, taps, window_struct(window), out)
    return y


def avg_pool2d(x: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    y = empty((*x.shape[:2], *window.out), x.dtype)
    _mean("avg_pool", x, y, window, counts, divisor)
    return y


def avg_pool_grad(g: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    x = empty((*g.shape[:2], *window.image), g.dtype)
    _mean("avg_pool_grad", g, x, window, counts, divisor)
    return x


def _mean(
    kernel: str, x: Array, y: Array, window: Window, counts: Sides, divisor: int | None
) -> None:
    (top, bottom), (left, right) = counts
    line, out = dense(x), flat(y)
    _run(kernel, y, np.dtype(np.uint8), (line, out), line, window_struct(window), divisor or 0,
         top, bottom, left, right, out)  # fmt: skip
