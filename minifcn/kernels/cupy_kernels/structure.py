"""Moving and adding elements: broadcast, sum, reshape, transpose, slice, gather, join, multiply.

Broadcasts, transposes and slices are views; so is a reshape wherever strides can express it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...device import Array
from ...shapes import Shape
from .elementwise import cast
from .gather import take, take_along
from .matmul import matmul
from .memory import empty, put
from .nonzero import nonzero, ravel_index
from .reduce import arg_extreme, extreme, total
from .scatter import scatter_add, scatter_along
from .ties import ties_put, ties_take
from .views import broadcast_to, get_slice, permute, placed, reshape

__all__ = [
    "amax", "amin", "argmax", "argmin", "broadcast_to", "concatenate", "extent", "get_slice",
    "matmul", "nonzero", "permute", "put_slice", "ravel_index", "reshape", "scatter_add",
    "scatter_along", "sum_to", "take", "take_along", "ties_put", "ties_take",
]  # fmt: skip


def sum_to(x: Array, shape: Shape, dtype: str = "") -> Array:
    """Sum over the axes that have size 1 in `shape`; whole numbers become 64 bits wide."""
    sizes = zip(x.shape, shape, strict=True)
    axes = [axis for axis, (n, m) in enumerate(sizes) if m == 1 and n != 1]
    if not axes:
        return x if dtype in ("", x.dtype.name) else cast(x, dtype)
    wide = {"b": np.dtype("i8"), "i": np.dtype("i8"), "u": np.dtype("u8")}
    return total(x, axes, np.dtype(dtype) if dtype else wide.get(x.dtype.kind, x.dtype))


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """One copy per input."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    dtype = np.result_type(*(a.dtype for a in arrays))
    y, start = empty(tuple(shape), dtype), 0
    for x in arrays:
        stop = start + x.shape[axis]
        part = y[(slice(None),) * axis + (slice(start, stop),)]
        put(x if x.dtype == dtype else cast(x, dtype.name), part)
        start = stop
    return y


def put_slice(g: Array, key: Sequence[range], shape: Shape) -> Array:
    """Zeros of `shape` with g written at the places of `key`."""
    return placed(g, shape, [r.start for r in key], [r.step for r in key], 0)


def extent(index: Array) -> tuple[int, int]:
    """The least and the greatest number, read back by the host; 0, 0 of none."""
    if not index.size:
        return 0, 0
    axes = tuple(range(index.ndim))
    return int(amin(index, axes).item()), int(amax(index, axes).item())


def argmax(x: Array, axis: int) -> Array:
    """The first index of the largest (nan wins) along `axis`, which stays with size 1."""
    return arg_extreme(x, axis, True)


def argmin(x: Array, axis: int) -> Array:
    """The first index of the smallest (nan wins) along `axis`, which stays with size 1."""
    return arg_extreme(x, axis, False)


def amax(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest over `axes`, which stay with size 1; nan wins."""
    return extreme(x, axes, True)


def amin(x: Array, axes: tuple[int, ...]) -> Array:
    """The smallest over `axes`, which stay with size 1; nan wins."""
    return extreme(x, axes, False)
