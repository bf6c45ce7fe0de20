"""Moving and adding elements: broadcast and sum, reshape, transpose, slices, concatenation, matmul."""

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


def broadcast_to(x: Array, shape: Shape) -> Array:
    return np.broadcast_to(x, shape)


def sum_to(x: Array, shape: Shape) -> Array:
    """Sum over the axes that have size 1 in `shape`; both have as many axes."""
    axes = tuple(a for a, (n, m) in enumerate(zip(x.shape, shape, strict=True)) if m == 1 and n != 1)
    return np.asarray(x.sum(axis=axes, keepdims=True)) if axes else x


def reshape(x: Array, shape: Shape) -> Array:
    return x.reshape(shape)


def permute(x: Array, axes: Sequence[int]) -> Array:
    return x.transpose(axes)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    return np.concatenate(arrays, axis)


def matmul(a: Array, b: Array) -> Array:
    """y[..., m, n] = sum_k a[..., m, k] b[..., k, n]; equal leading axes."""
    return np.asarray(np.matmul(a, b))


def get_slice(x: Array, key: tuple[slice, ...]) -> Array:
    return x[key]


def put_slice(g: Array, key: tuple[slice, ...], shape: Shape) -> Array:
    """Zeros of `shape` with g written into the slice."""
    x = np.zeros(shape, g.dtype)
    x[key] = g
    return x


def take(x: Array, key: tuple[Any, ...]) -> Array:
    """x[key] with index arrays: a copy."""
    return np.asarray(x[key])


def scatter_add(g: Array, key: tuple[Any, ...], shape: Shape) -> Array:
    """Zeros of `shape` with g added at key; an index that occurs twice gets both."""
    x = np.zeros(shape, g.dtype)
    np.add.at(x, key, g)
    return x


def argmax(x: Array, axis: int) -> Array:
    """The first index of the largest value along `axis`; the axis stays with size 1."""
    return np.argmax(x, axis=axis, keepdims=True)


def take_along(x: Array, index: Array, axis: int) -> Array:
    return np.take_along_axis(x, index, axis)


def scatter_along(g: Array, index: Array, axis: int, size: int) -> Array:
    """Zeros, with g added at `index` along `axis`, which gets `size` elements."""
    shape = list(g.shape)
    shape[axis] = size
    x = np.zeros(shape, g.dtype)
    where = list(np.indices(g.shape, sparse=True))
    where[axis] = index
    np.add.at(x, tuple(where), g)
    return x
