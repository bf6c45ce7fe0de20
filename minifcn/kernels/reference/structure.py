"""Moving and adding elements, one index at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "argmax", "broadcast_to", "concatenate", "get_slice", "matmul", "permute", "put_slice", "reshape",
    "scatter_add", "sum_to", "take", "take_along", "scatter_along",
]  # fmt: skip


def _folded(index: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """`index` with 0 on the axes that have size 1 in `shape`."""
    return tuple(0 if size == 1 else i for i, size in zip(index, shape, strict=True))


def broadcast_to(x: Array, shape: Shape) -> Array:
    y = np.empty(shape, x.dtype)
    for index in np.ndindex(*shape):
        y[index] = x[_folded(index, x.shape)]
    return y


def sum_to(x: Array, shape: Shape) -> Array:
    y = np.zeros(shape, x.dtype)
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


def _positions(key: tuple[slice, ...], shape: Shape) -> list[range]:
    return [range(*part.indices(size)) for part, size in zip(key, shape, strict=True)]


def get_slice(x: Array, key: tuple[slice, ...]) -> Array:
    places = _positions(key, x.shape)
    y = np.empty([len(place) for place in places], x.dtype)
    for index in np.ndindex(*y.shape):
        y[index] = x[tuple(place[i] for place, i in zip(places, index, strict=True))]
    return y


def put_slice(g: Array, key: tuple[slice, ...], shape: Shape) -> Array:
    places = _positions(key, shape)
    x = np.zeros(shape, g.dtype)
    for index in np.ndindex(*g.shape):
        x[tuple(place[i] for place, i in zip(places, index, strict=True))] = g[index]
    return x


def _number(x_shape: Shape) -> Array:
    """Every element's own number: indexing it says which element an index meets."""
    return np.arange(int(np.prod(x_shape))).reshape(x_shape)


def take(x: Array, key: tuple[Any, ...]) -> Array:
    numbers = np.asarray(_number(x.shape)[key])
    y = np.empty(numbers.shape, x.dtype)
    for index in np.ndindex(*y.shape):
        y[index] = x[np.unravel_index(numbers[index], x.shape)]
    return y


def scatter_add(g: Array, key: tuple[Any, ...], shape: Shape) -> Array:
    numbers = np.asarray(_number(shape)[key])
    x = np.zeros(shape, g.dtype)
    for index in np.ndindex(*g.shape):
        x[np.unravel_index(numbers[index], shape)] += g[index]
    return x


def argmax(x: Array, axis: int) -> Array:
    shape = list(x.shape)
    shape[axis] = 1
    best = np.zeros(shape, np.int64)
    for index in np.ndindex(*x.shape):
        place = (*index[:axis], 0, *index[axis + 1 :])
        if x[index] > x[(*index[:axis], best[place], *index[axis + 1 :])]:
            best[place] = index[axis]
    return best


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
