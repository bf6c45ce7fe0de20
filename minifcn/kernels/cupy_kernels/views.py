"""Views: the same memory under another shape, order or step; and cuda/place.cu, the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import Array, cupy
from ...shapes import Shape
from .launch import THREADS, blocks, program, word
from .memory import empty, in_c_order, packed_order, put, start
from .structs import grid_struct, view_struct

__all__: list[str] = []  # structure.py offers them


def strided(x: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """x's memory from its first element on, with this shape and these strides in bytes."""
    made: Array
    if 0 in shape:  # an empty view may begin beyond the end of its memory
        made = cupy().empty(tuple(shape), x.dtype)
    else:
        made = cupy().ndarray(tuple(shape), x.dtype, memptr=x.data, strides=tuple(strides))
    return made


def broadcast_to(x: Array, shape: Shape) -> Array:
    """x repeated along its axes of size 1 and along new leading axes: a view."""
    if x.shape == tuple(shape):
        return x
    sizes = (1,) * (len(shape) - x.ndim) + x.shape
    strides = (0,) * (len(shape) - x.ndim) + x.strides
    steps = [0 if n == 1 else s for n, s in zip(sizes, strides, strict=True)]
    return strided(x, shape, steps)


def permute(x: Array, axes: Sequence[int]) -> Array:
    made: Array = x.transpose(tuple(axes))
    return made


def get_slice(x: Array, key: Sequence[range]) -> Array:
    """The elements at the places of `key`, one range per axis: a view."""
    slices = (slice(r.start, r.stop if r.stop >= 0 else None, r.step) for r in key)
    y: Array = x[(*slices, Ellipsis)]
    return y


def reshape(x: Array, shape: Shape) -> Array:
    """x read in row order: a view if strides can say it, else one copy."""
    strides = _strides(x, shape)
    if strides is not None:
        return strided(x, shape, strides)
    y = empty(tuple(shape), x.dtype)
    back = _strides(y, x.shape)
    if back is None:  # images that lie N H W C, to other images
        made: Array = in_c_order(x).reshape(shape)
        return made
    put(x, strided(y, x.shape, back))
    return y


def _strides(x: Array, shape: Sequence[int]) -> list[int] | None:
    """The strides under which x's memory is, read in row order, an array of `shape`; None if none.

    Axes are matched from the last one back: as soon as a group of x's axes and a group of new ones
    have equally many elements, x's group has to be one even run, which the new axes then divide.
    """
    if x.size == 0 or x.ndim == 0:
        return _even(shape, x.itemsize)
    old = [(n, s) for n, s in zip(x.shape, x.strides, strict=True) if n != 1]
    strides = [x.itemsize] * len(shape)
    new = [axis for axis, n in enumerate(shape) if n != 1]
    while old:
        count, step = old.pop()
        run = [new.pop()]
        inner = shape[run[0]]
        end = count  # x's elements in the group
        while inner != end:
            if inner < end:
                run.append(new.pop())
                inner *= shape[run[-1]]
            else:
                size, stride = old.pop()
                if stride != step * end:
                    return None
                end *= size
        for axis in run:
            strides[axis] = step
            step *= shape[axis]
    return strides


def _even(shape: Sequence[int], step: int) -> list[int]:
    """The strides of an array without gaps."""
    strides = []
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return strides[::-1]


def placed(
    x: Array, shape: Shape, starts: Sequence[int], steps: Sequence[int], value: float
) -> Array:
    """`value` everywhere, but x at start + step k of every axis."""
    y = empty(tuple(shape), x.dtype)
    axes = packed_order(x.ndim)
    source, target = x.transpose(axes), y.transpose(axes)
    grid = grid_struct([starts[a] for a in axes], [steps[a] for a in axes])
    run = program("place", WORD=word(x.dtype))
    run(
        "place_on_grid", blocks(y.size), THREADS,
        start(x), placed_view(source), grid, bits(value, x.dtype),
        start(y), placed_view(target), y.size,
    )  # fmt: skip
    return y


def placed_view(x: Array) -> Any:
    """`struct View` of x with all its axes, for kernels that count in row order."""
    return view_struct(x.shape, [stride // x.itemsize for stride in x.strides])


def bits(value: Any, dtype: Any) -> Any:
    """A number as the unsigned one with the bits of an element."""
    with np.errstate(all="ignore"):  # too large is inf, as everywhere
        return np.array(value, dtype).view(f"u{np.dtype(dtype).itemsize}")[()]
