"""Numbered pixels: reading and writing a channel's plane at h W + w.

Images lie N HW C, so a plane is the middle one of three axes: A = N, R = H W, B = C in gather.cu
and scatter.cu, and nothing is moved.
"""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Pair
from .gather import read
from .launch import THREADS, blocks, program
from .memory import dense, empty, flat
from .scatter import added, last_written

__all__ = ["adaptive_max_indices", "max_unpool2d", "plane_put", "plane_take"]


def plane_take(x: Array, index: Array) -> Array:
    """y[n,c,i,j] = x[n, c, index[n,c,i,j]]."""
    (N, C, P, Q), (H, W) = index.shape, x.shape[2:]
    y = empty(index.shape, x.dtype)
    read("take_along", x, dense(index), y, (N, P * Q, H * W, C))
    return y


def plane_put(g: Array, index: Array, image: Pair) -> Array:
    """x[n,c,k] = sum of g[n,c,i,j] over index[n,c,i,j] = k."""
    (N, C, P, Q), (H, W) = g.shape, image
    x = empty((N, C, H, W), g.dtype)
    added(g, dense(index), False, x, (N, P * Q, H * W, C))
    return x


def max_unpool2d(g: Array, index: Array, image: Pair) -> Array:
    """x[n,c,k] = the last g[n,c,i,j] with index[n,c,i,j] = k, 0 if there is none."""
    (N, C, P, Q), (H, W) = g.shape, image
    x = empty((N, C, H, W), g.dtype)
    last_written(g, dense(index), x, (N, P * Q, H * W, C))
    return x


def adaptive_max_indices(x: Array, out: Pair) -> Array:
    """h W + w of the largest pixel of bin floor(i H / P) <= h < ceil((i + 1) H / P), w likewise."""
    (N, C, H, W), (P, Q) = x.shape, out
    index = empty((N, C, P, Q), np.int64)
    run = program("plane", REAL=x.dtype)
    sizes = N, C, H, W, P, Q
    run("adaptive_max_indices", blocks(index.size), THREADS, dense(x), flat(index), *sizes)
    return index
