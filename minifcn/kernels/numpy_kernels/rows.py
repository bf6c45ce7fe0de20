"""rows: how kernels that are bound by memory walk over an image: by pieces that fit the cache.

A ufunc is one pass over memory. Several passes over a piece of some rows cost hardly more than one,
as long as the piece stays in the cache between them.

    lines(x)          H (W N C): every row of pixels as one run; x of other than 4 axes: 1 run
    pieces(shape)     keys that cut such an array into blocks of at most PIECE numbers
    grid(x)           H K L: every row as K runs of L = k N C numbers, k pixels long
    tiled(c, x)       L: one number per channel, repeated to go with a run of grid(x)
    pixel_sums(x)     sums over H and W, or N, H and W; Sums: of blocks

Per-channel numbers are repeated to runs of some thousand: NumPy's inner loop over the 12 channels
of a pixel would take longer to start than to run. Sums take shorter runs, see `narrow`.
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
RUN = 4096  # numbers; NumPy copies operands of shorter broadcast loops to buffers of its own
SUMMED = 1024  # numbers; runs that are added up: so short that many of them meet in one sum

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
    """N C numbers times a divisor k of W: the least that makes a run longer than RUN.

    Without one that fits a piece, the greatest that does.
    """
    pixel = N * C
    if pixel == 0 or W == 0:
        return 0
    fits = [k for k in range(1, W + 1) if W % k == 0 and (k == 1 or k * pixel <= PIECE)]
    return pixel * next((k for k in fits if k * pixel > RUN), fits[-1])


def narrow(rows: Array, pixel: int) -> Array:
    """Some H K L of a grid in shorter runs, of whole pixels: a view."""
    H, K, L = rows.shape
    short = _short(L, pixel)
    return rows.reshape(H, K * L // short if short else 0, short)


@lru_cache(maxsize=256)
def _short(L: int, pixel: int) -> int:
    """The greatest divisor of L, in pixels, that is no more than SUMMED numbers, or one pixel."""
    if L == 0:
        return 0
    count = L // pixel
    return pixel * max(
        k for k in range(1, count + 1) if count % k == 0 and (k == 1 or k * pixel <= SUMMED)
    )


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


class Sums:
    """Sums over the pixels of a grid's blocks: a block's in its dtype, these in float64."""

    def __init__(self, rows: Array, shape: Shape) -> None:
        self.pixel, self.C = shape[0] * shape[1], shape[1]
        self.total = np.zeros(_short(rows.shape[2], self.pixel))

    def add(self, a: Array) -> None:
        """Add a block, as a product with ones, which is one fast pass."""
        short = narrow(a, self.pixel)
        self.total += np.matmul(_ones(short.shape[1], a.dtype), short).sum((0, 1))

    def add_product(self, a: Array, b: Array) -> None:
        """Add a b of two blocks."""
        self.total += np.einsum("hkl,hkl->l", narrow(a, self.pixel), narrow(b, self.pixel))

    def by_pixel(self) -> Array:
        """N C, one after the other: the sums over H and W."""
        sums: Array = self.total.reshape(-1, self.pixel).sum(0) if self.pixel else self.total
        return sums

    def by_channel(self) -> Array:
        """C: the sums over N, H and W."""
        return self.total.reshape(-1, self.C).sum(0) if self.total.size else np.zeros(self.C)


def pixel_sums(x: Array) -> Sums:
    """The sums of an image, in a Sums."""
    rows = grid(x)
    sums = Sums(rows, x.shape)
    for (part,) in blocks(rows):
        sums.add(part)
    return sums


@lru_cache(maxsize=64)
def _ones(K: int, dtype: Any) -> Array:
    return np.ones((1, K), dtype)


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The matching pieces of arrays of one shape."""
    for at in pieces(arrays[0].shape):
        yield tuple(a[at] for a in arrays)
