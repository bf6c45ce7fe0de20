"""Adding, or writing, to indexed places along one axis: cuda/scatter.cu and sort.cu."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...device import Array
from .elementwise import floating, full
from .gather import around, labels, room
from .launch import THREADS, blocks, program
from .memory import dense, empty, flat, in_c_order

__all__: list[str] = []  # structure.py and plane.py offer them

FEW = 16  # indices that are compared one by one
TILE = 1024  # as in sort.cu

Sizes = tuple[int, int, int, int]  # A J R B: elements before the axis, of g, of x, after it


def scatter_add(g: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros, with the entries of g added along `axis` (of `size`) where a flat index says."""
    x = empty((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    A, B = around(g.shape, axis)
    added(g, in_c_order(index).reshape(-1), True, x, (A, g.shape[axis], size, B))
    return x


def scatter_along(g: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros, with g added at `index` along `axis`, which gets `size` elements."""
    x = empty((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    A, B = around(g.shape, axis)
    added(g, dense(index), False, x, (A, g.shape[axis], size, B))
    return x


def added(g: Array, index: Array, shared: bool, x: Array, sizes: Sizes) -> None:
    """x = sums of g, in the order of the index, which is one line; `shared`: for all of A and B."""
    A, J, R, B = sizes
    index = labels(index)
    run = _program(g, index)
    if J <= FEW:
        line = dense(g), index, shared, flat(x), *sizes
        run("add_few", blocks(x.size), THREADS, *line)
        return
    places = R if shared else A * R * B
    if places * index.size >= 1 << 64:
        raise ValueError(
            f"cuda: {index.size} indices to {places} places, expected a product below 2^64"
        )
    key = room(1 << (index.size - 1).bit_length(), np.uint64)
    of = key.size, index.size, J, R, B
    run("keys", blocks(key.size), THREADS, index, shared, key, *of)
    sort(key)
    rest = dense(g), key, shared, index.size, flat(x), *sizes
    run("add_runs", blocks(x.size), THREADS, *rest)


def sort(key: Array) -> None:
    """Sort a power of two of different uint64, in place."""
    n, run = key.size, program("sort")
    if n < 2:
        return
    tile = min(n, TILE)
    run("tiles", n // tile, tile // 2, key, n)
    size = 2 * TILE
    while size <= n:
        far = size // 2
        while far >= TILE:
            run("far_step", blocks(n // 2), THREADS, key, n, size, far)
            far //= 2
        run("near_steps", n // TILE, TILE // 2, key, n, size)
        size *= 2


def last_written(g: Array, index: Array, x: Array, sizes: Sizes) -> None:
    """x = the last g of every place, 0 without any; the index is one line, A J B."""
    A, J, R, B = sizes
    if J >= 1 << 31:
        raise ValueError(f"cuda: {J} values for one plane, expected less than 2^31")
    index = labels(index)
    run = _program(g, index)
    last = full((prod((A, R, B)),), -1, room(0, np.int32))
    run("mark_last", blocks(index.size), THREADS, index, last, *sizes)
    run("write_last", blocks(x.size), THREADS, dense(g), last, flat(x), *sizes)


def _program(g: Array, index: Array) -> Any:
    """scatter.cu for these types."""
    kind = "u8" if g.dtype.kind == "u" else "f8" if floating(g.dtype) else "i8"
    return program("scatter", REAL=g.dtype, LABEL=index.dtype, TOTAL=np.dtype(kind))
