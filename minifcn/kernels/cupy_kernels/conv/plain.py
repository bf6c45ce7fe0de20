"""plain: cuda/conv_plain.cu and cuda/conv_weight.cu, for every window and every dtype.

Sums are made in the image's dtype, in float32 for halves, 512 products at a time; those of
conv2d_weight in parts of at most MOST pixels besides, which are added at the end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ....device import Array, cupy
from ....window import Window
from ..launch import Program, program
from ..memory import dense, empty, flat
from ..structs import phases_struct, window_struct
from ..tiles import DEPTH, adders, tile_for, vector, wide
from .problem import Problem

LEAST = 256  # pixels of a part: fewer are not worth the addition
MOST = 65536  # more would be a long sum even so
BUSY = 528  # blocks that keep a large GPU busy


def takes(problem: Problem) -> bool:
    """It does all there is."""
    return True


def conv2d(
    x: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """y[n, o, i, j] = act(bias[o] + sum_{c,u,v} w[o, c, u, v] x[n, c', ...])."""
    (N, C), O = x.shape[:2], w.shape[0]
    y = empty((N, O, *window.out), x.dtype)
    source, weight = dense(x), dense(w)
    channels = C // window.groups
    vectors = vector(source, channels), vector(weight, channels)
    run, grid, threads = _forward("conv2d", N, C, O, window, x.dtype, vectors)
    sizes = N, C, O, channels, O // window.groups
    geometry = window_struct(window)
    run("conv2d", grid, threads, source, weight, bias, flat(y), geometry, *sizes, relu)
    return y


def conv_transpose2d(
    g: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """x[n, c, h, k] = act(bias[c] + sum of g[n, o, i, j] w[o, c, u, v] over the taps that meet)."""
    (N, O), G = g.shape[:2], window.groups
    C = w.shape[1] * G
    x = empty((N, C, *window.image), g.dtype)
    source, weight = dense(g), dense(w)
    vectors = vector(source, O // G), vector(weight, C // G)
    run, grid, threads = _forward("conv_transpose2d", N, C, O, window, g.dtype, vectors)
    sizes, geometry = (N, C, O, O // G, C // G), (window_struct(window), phases_struct(window))
    run("conv_transpose2d", grid, threads, source, weight, bias, flat(x), *geometry, *sizes, relu)
    return x


@lru_cache(maxsize=4096)
def _forward(
    direction: str, N: int, C: int, O: int, window: Window, dtype: Any, vectors: tuple[int, int]
) -> tuple[Program, int, int]:
    """The program, and how many blocks it takes, of how many threads."""
    phases, pixels, columns = 1, N * window.out[0] * window.out[1], O // window.groups
    if direction == "conv_transpose2d":
        (H, W), (sh, sw) = window.image, window.stride
        phases, pixels = min(sh, H) * min(sw, W), N * -(-H // sh) * -(-W // sw)
        columns = C // window.groups
    parts = phases * window.groups
    tile = tile_for(pixels, columns, parts, dtype, vectors)
    vectored = {"VECTOR_SOURCE": vectors[0], "VECTOR_WEIGHT": vectors[1]}
    run = program("conv_plain", REAL=dtype, **vectored, **tile.defines())
    return run, parts * tile.blocks(pixels, columns), tile.THREADS


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    (N, C), O, G = x.shape[:2], g.shape[1], window.groups
    w = empty((O, C // G, *window.kernel), x.dtype)
    image, outputs = dense(x), dense(g)
    vectors = vector(outputs, O // G), vector(image, C // G)
    run, grid, threads, parts, length = _weight(N, C, O, window, x.dtype, vectors)
    sums = flat(w)
    if parts > 1 or x.dtype != wide(x.dtype):
        sums = cupy().empty(parts * w.size, wide(x.dtype))
    geometry = window_struct(window)
    run("conv2d_weight", grid, threads, image, outputs, sums, geometry, N, C, O, length)
    if sums.size != w.size or sums.dtype != w.dtype:
        run("add_parts", *adders(w.size, parts), sums, flat(w), parts, w.size)
    return w


@lru_cache(maxsize=4096)
def _weight(
    N: int, C: int, O: int, window: Window, dtype: Any, vectors: tuple[int, int]
) -> tuple[Program, int, int, int, int]:
    """The program, its blocks and their threads, how many parts, and how long a part is."""
    pixels = N * window.out[0] * window.out[1]
    rows, columns = O // window.groups, window.kernel[0] * window.kernel[1] * (C // window.groups)
    tile = tile_for(rows, columns, window.groups * max(pixels // MOST, 1), dtype, vectors)
    count = window.groups * tile.blocks(rows, columns)
    wanted = max(min(BUSY // max(count, 1), pixels // LEAST), -(-pixels // MOST), 1)
    length = max(-(-pixels // wanted), 1)
    length = -(-length // DEPTH) * DEPTH
    parts = max(-(-pixels // length), 1)
    vectored = {"VECTOR_ROWS": vectors[0], "VECTOR_COLUMNS": vectors[1]}
    run = program(
        "conv_weight", REAL=dtype, WIDE=np.dtype(wide(dtype)), **vectored, **tile.defines()
    )
    return run, parts * count, tile.THREADS, parts, length
