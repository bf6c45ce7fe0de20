"""rows: how kernels that are bound by memory walk over an image: by pieces that fit the cache.

A ufunc is one pass over memory. Several passes over a piece of some rows cost hardly more than one,
as long as the piece stays in the cache between them.

    lines(x)          H (W N C): every row of pixels as one run; x of other than 4 axes: 1 run
    pieces(shape)     keys that cut such an array into blocks of at most PIECE numbers
    grid(x)           H K L: every row as K runs of L = k N C numbers, k pixels long
    tiled(c, x)       L: one number per channel, repeated to go with a run of grid(x)
    channel_sums(x)   C: sums over all axes but 1

Per-channel numbers are repeated to runs of some thousand: NumPy's inner loop over the 12 channels
of a pixel would take longer to start than to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape
from .memory import LEAST, SMALL, buffer, empty, pixels

__all__: list[str] = []  # tools of kernels, not kernels

PIECE = 1 << 16  # numbers; 256 KiB of float32: a few such blocks fit a second-level cache
RUN = 1024  # numbers; 4 KiB of float32, and rarely more than 100 runs to be summed in a row

Key = tuple[slice, slice]


def result(x: Array, dtype: Any = None) -> Array:
    """Memory for a result of this shape: images lie H W N C, all else (weights) lies as x does."""
    if x.nbytes < SMALL:
        return np.empty_like(x, dtype)
    dtype = x.dtype if dtype is None else dtype
    if x.ndim == 4 and x.shape[2] * x.shape[3] >= LEAST:
        return empty(x.shape, dtype)
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    made = buffer(tuple(x.shape[axis] for axis in order), dtype)
    return made.transpose(sorted(range(x.ndim), key=order.__getitem__))


def lines(x: Array) -> Array:
    """x as H (W N C), or 1 S if it has not 4 axes; a view of whatever `empty` or `buffer` made."""
    if x.ndim != 4:
        return x.reshape(1, x.size)
    N, C, H, W = x.shape
    return pixels(x).reshape(H, W * N * C)


def image(x: Array) -> Array:
    """N C ... as N C H W: H is 1 where there is at most one more axis, else W is all but one."""
    if x.ndim == 4:
        return x
    N, C, *rest = x.shape
    high = rest[0] if len(rest) > 1 else 1
    return x.reshape(N, C, high, prod(rest[len(rest) > 1 :]))


def grid(x: Array) -> Array:
    """N C H W as H K L; a view of whatever `empty` made."""
    N, C, H, W = x.shape
    L = _run(N, C, W)
    return pixels(x).reshape(H, W * N * C // L if L else 0, L)


def tiled(c: Array, x: Array) -> Array:
    """The C numbers of c, repeated to the L of grid(x)."""
    N, C, _, W = x.shape
    made = buffer((_run(N, C, W) // C if C else 0, C), c.dtype)
    made[...] = c
    return made.reshape(-1)


@lru_cache(maxsize=256)
def _run(N: int, C: int, W: int) -> int:
    """N C numbers times the largest divisor k of W with which a run is not too long."""
    pixel = N * C
    if pixel == 0 or W == 0:
        return 0
    return pixel * max(k for k in range(1, W + 1) if W % k == 0 and (k == 1 or k * pixel <= RUN))


@lru_cache(maxsize=256)
def pieces(shape: Shape) -> tuple[Key, ...]:
    """Keys of blocks of whole rows, or of parts of one row, of an array H K or H K L."""
    H, K = shape[:2]
    L = prod(shape[2:])
    if H * K * L == 0:
        return ()
    wide = max(min(PIECE // L, K), 1)
    high = max(PIECE // (K * L), 1)
    return tuple(
        (slice(h, min(h + high, H)), slice(k, min(k + wide, K)))
        for h in range(0, H, high)
        for k in range(0, K, wide)
    )


class Scratch:
    """Room for one piece of an array of this shape at a time."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        L = prod(shape[2:])
        self.flat = buffer((min(max(PIECE, L), prod(shape)),), dtype)

    def like(self, piece: Array) -> Array:
        """The room in the shape of a piece."""
        return self.flat[: piece.size].reshape(piece.shape)


def channel_sums(x: Array) -> Array:
    """C: the sum over N, H and W of an image: of each row in x's dtype, of these in float64."""
    return folded(row_sums(grid(x)), x.shape[1])


def row_sums(x: Array) -> Array:
    """H L: the sum over K of H K L, as a product with ones, which is one fast pass."""
    H, K, L = x.shape
    sums = buffer((H, 1, L), x.dtype)
    np.matmul(_ones(K, x.dtype), x, out=sums)
    return sums.reshape(H, L)


@lru_cache(maxsize=64)
def _ones(K: int, dtype: Any) -> Array:
    return np.ones((1, K), dtype)


def folded(sums: Array, C: int) -> Array:
    """... (k N C) summed to C, in float64."""
    if sums.size == 0:
        return np.zeros(C)
    total = sums.reshape(-1, sums.shape[-1]).sum(0, dtype=np.float64)
    folds: Array = total.reshape(-1, C).sum(0)
    return folds


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The matching pieces of arrays of one shape."""
    for at in pieces(arrays[0].shape):
        yield tuple(a[at] for a in arrays)
