"""How arrays lie in the memory of a GPU: images N H W C, seen as N C H W; all else in C order.

empty    room for a result
packed   any array in that order; by a copy if it lies otherwise
dense    its memory as one line, the way kernels see it
"""

from __future__ import annotations

from typing import Any

from ...device import Array, cupy
from ...shapes import Shape
from .launch import THREADS, blocks, program, word
from .structs import view_struct

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
    from_, to = views(x, y)
    run = program("copy", WORD=word(x.dtype))
    run("copy", blocks(x.size), THREADS, *from_, *to, x.size)


def views(*arrays: Array) -> list[tuple[Array, Any]]:
    """(pointer, View) of arrays of one shape; axes that lie alike in all are one axis."""
    axes: list[tuple[int, tuple[int, ...]]] = []  # (size, stride in every array)
    for axis, size in enumerate(arrays[0].shape):
        strides = tuple(a.strides[axis] // a.itemsize for a in arrays)
        if size == 1:
            continue
        if axes and axes[-1][1] == tuple(size * s for s in strides):
            axes[-1] = axes[-1][0] * size, strides
        else:
            axes.append((size, strides))
    sizes = [size for size, _ in axes]
    return [
        (start(a), view_struct(sizes, [strides[k] for _, strides in axes]))
        for k, a in enumerate(arrays)
    ]


def start(x: Array) -> Array:
    """The first element of x as an array of its own, for kernels that are given a View too."""
    xp = cupy()  # an empty view may begin beyond the end of its memory
    made: Array = xp.ndarray((1,), x.dtype, memptr=x.data) if x.size else xp.empty(0, x.dtype)
    return made
