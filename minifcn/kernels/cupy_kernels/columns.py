"""columns: an array of N C ... as rows of C numbers for cuda/columns.cuh, and who takes which."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...device import Array, is_half
from ...shapes import Shape
from .launch import THREADS
from .memory import dense, empty, flat, in_c_order

__all__: list[str] = []  # tools of the other families

WIDEST = 16  # bytes of one load
BLOCKS = 4096  # of a walk that writes every row
RUNS = 528  # of a walk that sums; a number that no card decides, so that sums are the same on all
ROWS_PER_THREAD = 8  # at least, while there are rows


class Plan(NamedTuple):
    """Launch shapes for rows of C numbers."""

    block: tuple[int, int]  # threads along a row, and rows
    spread: tuple[int, int]  # blocks of a walk that writes every row
    runs: tuple[int, int]  # blocks of a sum
    run: int  # rows of one such block
    final: tuple[int]  # blocks that put 32 channels' partial sums together


def rows_of(x: Array) -> Array:
    """The memory of x with the channels fastest; a copy unless x is an image or has two axes."""
    return dense(x if x.ndim in (2, 4) else as_image(x))


def as_image(x: Array) -> Array:
    """N C ... as N C L 1."""
    N, C, *rest = x.shape
    made: Array = in_c_order(x).reshape(N, C, prod(rest), 1)
    return made


def room(shape: Shape, dtype: Any) -> tuple[Array, Array]:
    """(a result of this shape, its memory as rows of C numbers)."""
    if len(shape) in (2, 4):
        y = empty(shape, dtype)
        return y, flat(y)
    y = empty((*shape[:2], prod(shape[2:]), 1), dtype)
    return y, flat(y)


def shaped(y: Array, shape: Shape) -> Array:
    """What `room` gave, once it is filled, in its shape and the order of our arrays."""
    return y if y.shape == shape else in_c_order(y.reshape(shape))


def size_of(x: Array) -> tuple[int, int]:
    """(rows, C)."""
    C = x.shape[1]
    return x.size // max(C, 1), C


def wide_dtype(dtype: Any) -> np.dtype[Any]:
    """What is computed in: float32 for halves."""
    return np.dtype(np.float32) if is_half(dtype) else np.dtype(dtype)


def whole_packs(C: int, *lines: Any) -> bool:
    """Whether rows of C numbers can be moved 16 bytes at a time."""
    return all(
        line is None or (C * line.itemsize % WIDEST == 0 and line.data.ptr % WIDEST == 0)
        for line in lines
    )


@lru_cache(maxsize=1024)
def plan(rows: int, C: int, pack: int) -> Plan:
    """Launch shapes for `pack` channels per thread."""
    wide = C // pack
    across = -(-wide // THREADS)
    x = -(-wide // across) if wide else 1
    y = max(THREADS // x, 1)
    blocks = -(-rows // (y * ROWS_PER_THREAD))
    runs = min(blocks, max(RUNS // max(across, 1), 1))
    run = -(-rows // runs) if runs else 1
    parts = -(-rows // run)
    spread = min(-(-rows // (y * 4)), BLOCKS)
    return Plan((x, y), (spread, across), (parts, across), run, (-(-C // 32),))
