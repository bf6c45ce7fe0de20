"""depthwise: cuda/depthwise.cu, for groups of few channels; as fast as memory."""

from __future__ import annotations

import numpy as np

from ....device import Array, cupy
from ....window import Window
from ..launch import THREADS, blocks, program
from ..memory import dense, empty, flat
from ..structs import phases_struct, window_struct
from ..tiles import adders, wide
from .problem import Problem

FEW = 8  # channels of a group, on either side
RUN, TAPS, PAIRS, LINES = 4, 9, 32, 8  # as in the .cu file
LEAST = 256  # pixels of a part: fewer are not worth the addition
MOST = 16384  # more would be a long sum, of which a thread adds every eighth
BUSY = 1056  # blocks that keep a large GPU busy


def takes(problem: Problem) -> bool:
    """Groups of at most FEW channels."""
    G = problem.window.groups
    return G > 1 and max(problem.C, problem.O) <= FEW * G


def conv2d(
    x: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """y[n, o, i, j] = act(bias[o] + sum_{c,u,v} w[o, c, u, v] x[n, c', ...])."""
    (N, C), O, (P, Q) = x.shape[:2], w.shape[0], window.out
    y = empty((N, O, P, Q), x.dtype)
    run = program("depthwise", REAL=x.dtype, WIDE=wide(x.dtype))
    count, arrays = N * P * blocks(Q, RUN) * O, (dense(x), dense(w), bias, flat(y))
    run("conv2d", blocks(count), THREADS, *arrays, window_struct(window), C, O, relu, count)
    return y


def conv_transpose2d(
    g: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """x[n, c, h, k] = act(bias[c] + sum of g[n, o, i, j] w[o, c, u, v] over the taps that meet)."""
    (N, O), C = g.shape[:2], w.shape[1] * window.groups
    x = empty((N, C, *window.image), g.dtype)
    run = program("depthwise", REAL=g.dtype, WIDE=wide(g.dtype))
    arrays, geometry = (
        (dense(g), dense(w), bias, flat(x)),
        (window_struct(window), phases_struct(window)),
    )
    run("conv_transpose2d", blocks(x.size), THREADS, *arrays, *geometry, C, O, relu, x.size)
    return x


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    (N, C), O, (P, Q), (KH, KW) = x.shape[:2], g.shape[1], window.out, window.kernel
    w = empty((O, C // window.groups, KH, KW), x.dtype)
    pairs, pixels = w.size // (KH * KW), N * P * Q
    count = blocks(pairs, PAIRS) * blocks(KH * KW, TAPS)
    parts = max(min(BUSY // max(count, 1), pixels // LEAST), blocks(pixels, MOST), 1)
    length = max(blocks(pixels, parts), 1)
    parts = max(blocks(pixels, length), 1)
    sums = flat(w)
    if parts > 1 or w.dtype != wide(w.dtype):
        sums = cupy().empty(parts * w.size, wide(w.dtype))
    run = program("depthwise", REAL=x.dtype, WIDE=np.dtype(wide(x.dtype)))
    grid = (count, parts) if count else 0
    run("conv2d_weight", grid, (PAIRS, LINES), dense(x), dense(g), sums, window_struct(window),
        N, C, O, length, pairs)  # fmt: skip
    if sums.size != w.size or sums.dtype != w.dtype:
        run("add_parts", *adders(w.size, parts), sums, flat(w), parts, w.size)
    return w
