"""Numbered pixels: reading and writing a channel's plane at h W + w."""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Pair
from .memory import buffer

__all__ = ["adaptive_max_indices", "max_unpool2d", "plane_put", "plane_take"]


def plane_take(x: Array, index: Array) -> Array:
    """y[n,c,i,j] = x[n, c, index[n,c,i,j]]."""
    N, C, P, Q = index.shape
    flat = _flat(x)
    y = np.take_along_axis(flat, index.reshape(N, C, P * Q), 2)
    return y.reshape(N, C, P, Q)


def plane_put(g: Array, index: Array, image: Pair) -> Array:
    """x[n,c,k] = sum of g[n,c,i,j] over index[n,c,i,j] = k."""
    x = buffer((*g.shape[:2], *image), g.dtype)
    x[...] = 0
    np.add.at(x.reshape(-1), _places(index, image), _flat(g).reshape(-1))
    return x


def max_unpool2d(g: Array, index: Array, image: Pair) -> Array:
    """x[n,c,k] = the last g[n,c,i,j] with index[n,c,i,j] = k, 0 if there is none."""
    x = buffer((*g.shape[:2], *image), g.dtype)
    x[...] = 0
    x.reshape(-1)[_places(index, image)] = _flat(g).reshape(-1)  # NumPy writes in order
    return x


def adaptive_max_indices(x: Array, out: Pair) -> Array:
    """h W + w of the largest pixel of bin floor(i H / P) <= h < ceil((i + 1) H / P), w likewise."""
    (N, C, H, W), (P, Q) = x.shape, out
    index = np.empty((N, C, P, Q), np.int64)
    for i, j in np.ndindex(P, Q):
        top, left = i * H // P, j * W // Q
        bottom, right = -(-(i + 1) * H // P), -(-(j + 1) * W // Q)
        part = x[:, :, top:bottom, left:right].reshape(N, C, (bottom - top) * (right - left))
        best = part.argmax(2)
        if part.dtype.kind == "f" and (nan := np.isnan(part)).any():  # the last NaN wins
            last = part.shape[2] - 1 - nan[:, :, ::-1].argmax(2)
            best = np.where(nan.any(2), last, best)
        h, w = np.divmod(best, right - left)
        index[:, :, i, j] = (top + h) * W + left + w
    return index


def _flat(x: Array) -> Array:
    """N C HW in C order, as the numbers count: planes are what these kernels are about."""
    N, C, H, W = x.shape
    if not x.flags.c_contiguous:
        made = buffer(x.shape, x.dtype)
        np.copyto(made, x)
        x = made
    return x.reshape(N, C, H * W)


def _places(index: Array, image: Pair) -> Array:
    """The same pixels in the flat memory of all planes."""
    N, C = index.shape[:2]
    planes = np.arange(N * C).reshape(N, C, 1, 1) * (image[0] * image[1])
    return np.asarray((planes + index).reshape(-1))
