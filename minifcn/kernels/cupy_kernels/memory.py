"""How arrays lie in the memory of a GPU: images N H W C, seen as N C H W; all else in C order.

empty    room for a result
packed   any array in that order; by a copy if it lies otherwise
dense    its memory as one line, the way kernels see it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import Array, cupy
from ...shapes import Shape
from .launch import THREADS, TYPES, blocks, program, word
from .structs import view_struct

Axis = tuple[int, tuple[int, ...]]  # size, and stride in every array, in elements

__all__: list[str] = []  # tools of the other families


class Copies:
    """How many arrays were brought into another order; a test counts."""

    count = 0


def empty(shape: Shape, dtype: Any) -> Array:
    """Room for an array; with four axes the second is the fastest."""
    made: Array
    if len(shape) != 4:
        made = cupy().empty(shape, dtype)
        return made
    N, C, H, W = shape
    made = cupy().empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)
    return made


def packed_order(ndim: int) -> tuple[int, ...]:
    """The axes of a packed array from the slowest to the fastest."""
    return (0, 2, 3, 1) if ndim == 4 else tuple(range(ndim))


def is_packed(x: Array) -> bool:
    """Whether x lies as `empty` would have it."""
    return bool((x.transpose(0, 2, 3, 1) if x.ndim == 4 else x).flags.c_contiguous)


def packed(x: Array) -> Array:
    """x in our order; a copy unless it lies so."""
    if is_packed(x):
        return x
    Copies.count += 1
    y = empty(x.shape, x.dtype)
    put(x, y)
    return y


def flat(x: Array) -> Array:
    """The memory of a packed array as one line."""
    made: Array = (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x).reshape(-1)
    return made


def dense(x: Array) -> Array:
    """flat(packed(x)): what kernels are given."""
    return flat(packed(x))


def in_c_order(x: Array) -> Array:
    """x in C order, also with four axes; a copy unless it lies so."""
    if x.flags.c_contiguous:
        return x
    Copies.count += 1
    y: Array = cupy().empty(x.shape, x.dtype)
    put(x, y)
    return y


def put(x: Array, y: Array) -> None:
    """y[...] = x for equal shapes and dtypes, whatever the strides of both."""
    if not x.size:
        return
    axes = merged(x, y)
    n, dtype = words(x, y, axes)
    sizes = [size for size, _ in axes]
    steps = [[stride // n for stride in strides] for _, strides in axes]
    if n > 1:
        sizes[-1] //= n
        steps[-1] = [1, 1]
    run = program("copy", WORD=dtype)
    ends = [
        (start(a, dtype), view_struct(sizes, [s[k] for s in steps])) for k, a in enumerate((x, y))
    ]
    run("copy", blocks(x.size // n), THREADS, *ends[0], *ends[1], x.size // n)


WORDS = ("uint128", "uint64", "uint32", "uint16", "uint8")


def words(x: Array, y: Array, axes: Sequence[Axis]) -> tuple[int, str]:
    """How many elements can be moved as one word, and its type: they lie side by side in both."""
    if axes and axes[-1][1] == (1, 1):
        reach = [axes[-1][0], *(stride for _, strides in axes[:-1] for stride in strides)]
        for name in WORDS:
            size = np.dtype(TYPES[name]).itemsize
            n = size // x.itemsize
            aligned = all(address(a) % size == 0 for a in (x, y))
            if n > 1 and aligned and all(one % n == 0 for one in reach):
                return n, name
    return 1, word(x.dtype)


def address(x: Any) -> int:
    """Where x begins."""
    at: int = x.data.ptr
    return at


def merged(*arrays: Array) -> list[Axis]:
    """The axes of arrays of one shape, the fastest of the last array at the end.

    Neighbouring threads then write to neighbouring places. Axes that lie alike in all are one.
    """
    axes: list[Axis] = []
    for axis in by_speed(arrays[-1]):
        size = arrays[0].shape[axis]
        strides = tuple(a.strides[axis] // a.itemsize for a in arrays)
        if size == 1:
            continue
        if axes and axes[-1][1] == tuple(size * s for s in strides):
            axes[-1] = axes[-1][0] * size, strides
        else:
            axes.append((size, strides))
    return axes


def by_speed(x: Array) -> list[int]:
    """The axes of x from the slowest to the fastest."""
    return sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))


def views(*arrays: Array) -> list[tuple[Array, Any]]:
    """(pointer, View) of arrays of one shape, for kernels to which the order of elements is one."""
    axes = merged(*arrays)
    sizes = [size for size, _ in axes]
    return [
        (start(a), view_struct(sizes, [strides[k] for _, strides in axes]))
        for k, a in enumerate(arrays)
    ]


def start(x: Array, dtype: str = "") -> Array:
    """The first element of x as an array of its own, for kernels that are given a View too.

    With `dtype`, the first word of this type.
    """
    own = np.dtype(TYPES[dtype]) if dtype else x.dtype
    xp = cupy()  # an empty view may begin beyond the end of its memory
    made: Array = xp.ndarray((1,), own, memptr=x.data) if x.size else xp.empty(0, own)
    return made
