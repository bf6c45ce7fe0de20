"""Moving and adding elements, one index at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "amax", "amin", "argmax", "argmin", "broadcast_to", "concatenate", "extent", "get_slice",
    "matmul", "nonzero", "permute", "put_slice", "ravel_index", "reshape", "scatter_add",
    "scatter_along", "sum_to", "take", "take_along", "ties_put", "ties_take",
]  # fmt: skip


def _folded(index: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """`index` with 0 on the axes that have size 1 in `shape`."""
    return tuple(0 if size == 1 else i for i, size in zip(index, shape, strict=True))


def broadcast_to(x: Array, shape: Shape) -> Array:
    y = np.empty(shape, x.dtype)
    for index in np.ndindex(*shape):
        y[index] = x[_folded(index, x.shape)]
    return y


def sum_to(x: Array, shape: Shape, dtype: str = "") -> Array:
    y = np.zeros(shape, dtype or x.dtype)
    for index in np.ndindex(*x.shape):
        y[_folded(index, shape)] += x[index]
    return y


def reshape(x: Array, shape: Shape) -> Array:
    y = np.empty(shape, x.dtype)
    for target, source in zip(np.ndindex(*shape), np.ndindex(*x.shape), strict=True):
        y[target] = x[source]
    return y


def permute(x: Array, axes: Sequence[int]) -> Array:
    y = np.empty([x.shape[axis] for axis in axes], x.dtype)
    for index in np.ndindex(*x.shape):
        y[tuple(index[axis] for axis in axes)] = x[index]
    return y


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    y = np.empty(shape, arrays[0].dtype)
    start = 0
    for x in arrays:
        for index in np.ndindex(*x.shape):
            y[(*index[:axis], start + index[axis], *index[axis + 1 :])] = x[index]
        start += x.shape[axis]
    return y


def matmul(a: Array, b: Array) -> Array:
    y = np.zeros((*a.shape[:-1], b.shape[-1]), a.dtype)
    for index in np.ndindex(*y.shape):
        for k in range(a.shape[-1]):
            y[index] += a[(*index[:-1], k)] * b[(*index[:-2], k, index[-1])]
    return y


def get_slice(x: Array, key: Sequence[range]) -> Array:
    y = np.empty([len(places) for places in key], x.dtype)
    for index in np.ndindex(*y.shape):
        y[index] = x[tuple(places[i] for places, i in zip(key, index, strict=True))]
    return y


def put_slice(g: Array, key: Sequence[range], shape: Shape) -> Array:
    x = np.zeros(shape, g.dtype)
    for index in np.ndindex(*g.shape):
        x[tuple(places[i] for places, i in zip(key, index, strict=True))] = g[index]
    return x


def extent(index: Array) -> tuple[int, int]:
    numbers = sorted(index.reshape(-1).tolist()) or [0]
    return numbers[0], numbers[-1]


def nonzero(mask: Array) -> tuple[Array, ...]:
    places = [index for index in np.ndindex(*mask.shape) if mask[index]]
    return tuple(np.array([p[axis] for p in places], np.int64) for axis in range(mask.ndim))


def ravel_index(indices: Sequence[Array], sizes: Sequence[int]) -> Array:
    flat = []
    for place in np.ndindex(*indices[0].shape):
        number = 0
        for index, size in zip(indices, sizes, strict=True):
            number = number * size + int(index[place]) % size
        flat.append(number)
    return np.array(flat, np.int64)


def take(x: Array, index: Array, axis: int) -> Array:
    y = np.empty((*x.shape[:axis], len(index), *x.shape[axis + 1 :]), x.dtype)
    for place in np.ndindex(*y.shape):
        y[place] = x[(*place[:axis], index[place[axis]], *place[axis + 1 :])]
    return y


def scatter_add(g: Array, index: Array, axis: int, size: int) -> Array:
    x = np.zeros((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    for place in np.ndindex(*g.shape):
        x[(*place[:axis], index[place[axis]], *place[axis + 1 :])] += g[place]
    return x


def _first(x: Array, axis: int, better: Callable[[Any, Any], bool]) -> Array:
    """The first index along `axis` that no other beats; the first nan beats all."""
    best = np.zeros((*x.shape[:axis], 1, *x.shape[axis + 1 :]), np.int64)
    for index in np.ndindex(*x.shape):
        place = (*index[:axis], 0, *index[axis + 1 :])
        champion = x[(*index[:axis], best[place], *index[axis + 1 :])]
        if champion == champion and (better(x[index], champion) or x[index] != x[index]):
            best[place] = index[axis]
    return best


def argmax(x: Array, axis: int) -> Array:
    return _first(x, axis, lambda a, b: bool(a > b))


def argmin(x: Array, axis: int) -> Array:
    return _first(x, axis, lambda a, b: bool(a < b))


def amax(x: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        x = take_along(x, argmax(x, axis), axis)
    return x


def amin(x: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        x = take_along(x, argmin(x, axis), axis)
    return x


def _tied(x: Array, best: Array) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The places of all x that equal the best (nan equals nan), each with the place of its best."""
    found = []
    for index in np.ndindex(*x.shape):
        place = _folded(index, best.shape)
        if x[index] == best[place] or (x[index] != x[index] and best[place] != best[place]):
            found.append((index, place))
    return found


def ties_put(gy: Array, x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    gx = np.zeros(x.shape, gy.dtype)
    places = [place for _, place in _tied(x, best)]
    for index, place in _tied(x, best):
        gx[index] = gy[place] / places.count(place)
    return gx


def ties_take(g: Array, x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    y = np.zeros(best.shape, g.dtype)
    places = [place for _, place in _tied(x, best)]
    for index, place in _tied(x, best):
        y[place] += g[index] / places.count(place)
    return y


def take_along(x: Array, index: Array, axis: int) -> Array:
    y = np.empty(index.shape, x.dtype)
    for place in np.ndindex(*index.shape):
        y[place] = x[(*place[:axis], index[place], *place[axis + 1 :])]
    return y


def scatter_along(g: Array, index: Array, axis: int, size: int) -> Array:
    shape = list(g.shape)
    shape[axis] = size
    x = np.zeros(shape, g.dtype)
    for place in np.ndindex(*g.shape):
        x[(*place[:axis], index[place], *place[axis + 1 :])] += g[place]
    return x
