"""Reading at indexed places along one axis: cuda/gather.cu.

In memory the axis stands between what is before and after it, [A, R, B]: so for planes of images
too, where R counts the pixels of N HW C.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...device import Array, cupy
from ...shapes import Shape
from .elementwise import cast
from .launch import THREADS, blocks, program, word
from .memory import dense, empty, flat, in_c_order, packed_order

__all__: list[str] = []  # structure.py and plane.py offer them


def around(shape: Shape, axis: int) -> tuple[int, int]:
    """(A, B): how many elements of a packed array stand before and after one along `axis`."""
    order = packed_order(len(shape))
    place = order.index(axis)
    return prod(shape[a] for a in order[:place]), prod(shape[a] for a in order[place + 1 :])


def take(x: Array, index: Array, axis: int) -> Array:
    """The entries of `axis` that a flat index names: a copy."""
    y = empty((*x.shape[:axis], index.size, *x.shape[axis + 1 :]), x.dtype)
    A, B = around(x.shape, axis)
    read("take", x, in_c_order(index).reshape(-1), y, (A, index.size, x.shape[axis], B))
    return y


def take_along(x: Array, index: Array, axis: int) -> Array:
    """y[i, j] = x[i, index[i, j]], j along `axis`."""
    y = empty(index.shape, x.dtype)
    A, B = around(x.shape, axis)
    read("take_along", x, dense(index), y, (A, index.shape[axis], x.shape[axis], B))
    return y


def labels(index: Array) -> Array:
    """Indices of a type that kernels are compiled for."""
    return index if index.dtype in (np.int64, np.int32) else cast(index, "int64")


def read(kernel: str, x: Array, index: Array, y: Array, sizes: tuple[int, ...]) -> None:
    """y = x at the index, which lies as the kernel sees it; sizes A J R B."""
    index = labels(index)
    run = program("gather", WORD=word(x.dtype), LABEL=index.dtype)
    run(kernel, blocks(y.size), THREADS, dense(x), index, flat(y), *sizes)


def room(count: int, dtype: Any) -> Array:
    """A line of memory."""
    made: Array = cupy().empty(count, dtype)
    return made
