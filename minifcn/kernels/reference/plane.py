"""Numbered pixels, one at a time."""

from __future__ import annotations

import math

import numpy as np

from ...device import Array
from ...shapes import Pair

__all__ = ["adaptive_max_indices", "max_unpool2d", "plane_put", "plane_take"]


def plane_take(x: Array, index: Array) -> Array:
    y = np.empty(index.shape, x.dtype)
    for n, c, i, j in np.ndindex(index.shape):
        h, w = divmod(int(index[n, c, i, j]), x.shape[3])
        y[n, c, i, j] = x[n, c, h, w]
    return y


def plane_put(g: Array, index: Array, image: Pair) -> Array:
    x = np.zeros((*g.shape[:2], *image), g.dtype)
    for n, c, i, j in np.ndindex(index.shape):
        h, w = divmod(int(index[n, c, i, j]), image[1])
        x[n, c, h, w] += g[n, c, i, j]
    return x


def max_unpool2d(g: Array, index: Array, image: Pair) -> Array:
    x = np.zeros((*g.shape[:2], *image), g.dtype)
    for n, c, i, j in np.ndindex(index.shape):
        h, w = divmod(int(index[n, c, i, j]), image[1])
        x[n, c, h, w] = g[n, c, i, j]
    return x


def adaptive_max_indices(x: Array, out: Pair) -> Array:
    (N, C, H, W), (P, Q) = x.shape, out
    index = np.empty((N, C, P, Q), np.int64)
    for n, c, i, j in np.ndindex(N, C, P, Q):
        best = None
        for h in range(math.floor(i * H / P), math.ceil((i + 1) * H / P)):
            for w in range(math.floor(j * W / Q), math.ceil((j + 1) * W / Q)):
                value = x[n, c, h, w]
                if best is None or value > best or value != value:
                    best, index[n, c, i, j] = value, h * W + w
    return index
