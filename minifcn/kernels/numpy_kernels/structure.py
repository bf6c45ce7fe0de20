"""Moving and adding elements: broadcast, sum, reshape, transpose, slice, gather, join, multiply.

A sum over the pixels of an image adds up rows in the image's dtype, and these in float64: better
than one long sum in float32, and as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape
from .memory import SMALL, buffer, empty
from .rows import pixel_sums

__all__ = [
    "amax", "amin", "argmax", "argmin", "broadcast_to", "concatenate", "extent", "get_slice",
    "matmul", "nonzero", "permute", "put_slice", "ravel_index", "reshape", "scatter_add",
    "scatter_along", "sum_to", "take", "take_along", "ties_put", "ties_take",
]  # fmt: skip


def broadcast_to(x: Array, shape: Shape) -> Array:
    return np.broadcast_to(x, shape)


def sum_to(x: Array, shape: Shape, dtype: str = "") -> Array:
    """Sum over the axes that have size 1 in `shape`, in x's dtype or another; as many axes."""
    if dtype not in ("", x.dtype.name):
        x = x.astype(dtype)
    axes = tuple(
        a for a, (n, m) in enumerate(zip(x.shape, shape, strict=True)) if m == 1 and n != 1
    )
    if not axes:
        return x
    if x.ndim == 4 and x.dtype.kind == "f" and x.nbytes >= SMALL:
        if axes == (0, 2, 3):
            return pixel_sums(x).by_channel().astype(x.dtype).reshape(shape)
        if axes == (2, 3):
            return pixel_sums(x).by_pixel().astype(x.dtype).reshape(shape)
    return np.asarray(x.sum(axis=axes, keepdims=True))


def reshape(x: Array, shape: Shape) -> Array:
    return x.reshape(shape)


def permute(x: Array, axes: Sequence[int]) -> Array:
    return x.transpose(axes)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    y = empty(tuple(shape), np.result_type(*arrays))
    np.concatenate(arrays, axis, out=y)
    return y


def matmul(a: Array, b: Array) -> Array:
    """y[..., m, n] = sum_k a[..., m, k] b[..., k, n]; equal leading axes."""
    y = buffer((*a.shape[:-1], b.shape[-1]), np.result_type(a, b))
    np.matmul(a, b, out=y)
    return y


def _slices(key: Sequence[range]) -> tuple[Any, ...]:
    """Each range as a slice; one that runs back past 0 has no stop."""
    return tuple(slice(r.start, r.stop if r.stop >= 0 else None, r.step) for r in key)


def get_slice(x: Array, key: Sequence[range]) -> Array:
    """The elements at the places of `key`, one range per axis: a view."""
    y: Array = x[(*_slices(key), Ellipsis)]  # the Ellipsis makes an array of a single element
    return y


def put_slice(g: Array, key: Sequence[range], shape: Shape) -> Array:
    """Zeros of `shape` with g written at the places of `key`."""
    x, places = empty(shape, g.dtype), _slices(key)
    if all(r.step == 1 for r in key):
        fill_around(x, places, 0)
    else:
        x[...] = 0
    x[places] = g
    return x


def fill_around(x: Array, inside: Sequence[slice], value: float) -> None:
    """Write `value` everywhere but into the box of these slices, in slabs, one axis by another."""
    box: tuple[slice, ...] = ()
    for one in inside:
        x[(*box, slice(0, one.start))] = value
        x[(*box, slice(one.stop, None))] = value
        box = (*box, one)


def extent(index: Array) -> tuple[int, int]:
    """The least and the greatest number; 0, 0 of none."""
    return (int(index.min()), int(index.max())) if index.size else (0, 0)


def nonzero(mask: Array) -> tuple[Array, ...]:
    """Where mask is true, in row order: one index array per axis."""
    return np.nonzero(mask)


def ravel_index(indices: Sequence[Array], sizes: Sequence[int]) -> Array:
    """The indices of axes of these sizes, of equal shape, as one flat index of the axes merged.

    A negative index counts from the end; all are within their axis.
    """
    flat = np.zeros(indices[0].size, np.int64)
    for index, size in zip(indices, sizes, strict=True):
        own = index.reshape(-1).astype(np.int64)
        flat = flat * size + np.where(own < 0, own + size, own)
    return flat


def take(x: Array, index: Array, axis: int) -> Array:
    """The entries of `axis` that a flat index names: a copy."""
    return np.take(x, index, axis)


def scatter_add(g: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros, with the entries of g added along `axis` (of `size`) where a flat index says.

    Sorted by place, so that equal places stand together and one reduceat adds them, in order.
    """
    x = np.zeros((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    if index.size:
        order = np.argsort(index, kind="stable")
        places = index[order]
        starts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        rows = (slice(None),) * axis + (places[starts],)
        x[rows] = np.add.reduceat(np.take(g, order, axis), starts, axis, dtype=g.dtype)
    return x


def argmax(x: Array, axis: int) -> Array:
    """The first index of the largest (nan wins) along `axis`, which stays with size 1."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=True))


def argmin(x: Array, axis: int) -> Array:
    """The first index of the smallest (nan wins) along `axis`, which stays with size 1."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=True))


def amax(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest over `axes`, which stay with size 1; nan wins."""
    return np.asarray(np.max(x, axis=axes, keepdims=True))


def amin(x: Array, axes: tuple[int, ...]) -> Array:
    """The smallest over `axes`, which stay with size 1; nan wins."""
    return np.asarray(np.min(x, axis=axes, keepdims=True))


def _ties(x: Array, best: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Which x equal the best, and how many do over `axes`; nan equals nan."""
    equal = np.asarray((x == best) | ((x != x) & (best != best)))
    return equal, np.asarray(equal.sum(axis=axes, keepdims=True, dtype=x.dtype))


def ties_put(gy: Array, x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    """gy in equal parts to all x that equal the best over `axes`, else 0."""
    equal, count = _ties(x, best, axes)
    return np.where(equal, gy / count, gy.dtype.type(0))


def ties_take(g: Array, x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    """The mean of g over all x that equal the best over `axes`."""
    equal, count = _ties(x, best, axes)
    return np.asarray(g.sum(axis=axes, keepdims=True, where=equal) / count)


def take_along(x: Array, index: Array, axis: int) -> Array:
    """y[i, j] = x[i, index[i, j]], j along `axis`."""
    return np.take_along_axis(x, index, axis)


def scatter_along(g: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros, with g added at `index` along `axis`, which gets `size` elements."""
    shape = (*g.shape[:axis], size, *g.shape[axis + 1 :])
    if g.shape[axis] == 1:  # no place twice
        x = np.zeros(shape, g.dtype)
        np.put_along_axis(x, index, g, axis)
        return x
    where = [*np.ogrid[tuple(slice(n) for n in g.shape)]]
    where[axis] = index
    flat = ravel_index(np.broadcast_arrays(*where), shape)
    added = np.bincount(flat, g.reshape(-1), prod(shape))
    return added.reshape(shape).astype(g.dtype)
