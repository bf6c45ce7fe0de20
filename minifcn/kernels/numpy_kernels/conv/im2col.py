"""im2col: unfold the image into columns, then one matrix product per tile. Fits every window.

    correlate          out = columns . w         (P Q N) x (KH KW C)  times  (KH KW C) x O
    correlate_weight   w = columns' . g          (KH KW C) x (P Q N)  times  (P Q N) x O

The columns are KH KW times as large as the image. They are made tile by tile, so that a tile is
still in the core's cache when the matrix product reads it, and never exceeds `workspace_limit`.
For fewer pixels than output channels they are made in the weight's own order, C KH KW, and the
weight, which is larger than they are, is not copied.
Groups are a batch of such products.

Shape   source: >= s (P-1) + d (KH-1) + 1 by ... by N by C, zeros around the image included
        w: KH KW C/G O, out and g: P Q N O
Cost    P Q N O KH KW C/G multiply-adds and P Q N KH KW C copies each
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....device import Array
from ....shapes import Pair, Shape
from ..memory import SMALL, buffer
from ..workspace import workspace_limit
from .runs import copy_runs, matrix, multiply
from .weights import add_product, in_order, zeros

TILE = 1 << 19  # bytes of columns that stay in a core's cache
LEAST = 256  # pixels; with fewer, the product reads the weight more often than the columns

Part = tuple[slice, slice]  # rows and columns of the output


def correlate(
    source: Array, w: Array, out: Array, stride: Pair = (1, 1), dilation: Pair = (1, 1)
) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[s i + d u, s j + d v, n, c] w[u,v,c,o]."""
    if out.size == 0 or w.size == 0:
        out[...] = 0
        return
    KH, KW, CG, O = w.shape
    P, Q = out.shape[:2]
    G = source.shape[3] // CG
    view = windows(source, (KH, KW), (P, Q), stride, dilation)  # P Q N KH KW C
    lies = w.transpose(3, 2, 0, 1)  # O C/G KH KW
    if G == 1 and prod(out.shape[:3]) < O and lies.flags.c_contiguous:
        wm = lies.reshape(O, -1).T  # (C KH KW) O, as it lies
        view = view.transpose(0, 1, 2, 5, 3, 4)  # P Q N C KH KW
    else:
        wm = in_order(w).reshape(-1, O) if G == 1 else _grouped(w, G)  # [G] (KH KW C/G) O/G
    for part in tiles(view.shape, view.itemsize):
        col, target = columns(view[part], G), out[part]  # [G] pixels (KH KW C/G)
        if G == 1:
            multiply(col, wm, target)
        else:
            y = np.matmul(col, wm, out=buffer((*col.shape[:-1], O // G), col.dtype))
            y = y.reshape(G, *target.shape[:3], O // G)
            split = target.reshape(*target.shape[:3], G, O // G)
            np.copyto(split, y.transpose(1, 2, 3, 0, 4))


def correlate_weight(
    source: Array,
    g: Array,
    kernel: Pair,
    size: Pair,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[s i + d u, s j + d v, n, c] g[i,j,n,o]; KH KW C/G O."""
    (P, Q), G = size, groups
    N, C, O = g.shape[2], source.shape[3], g.shape[3]
    w = zeros((G, prod(kernel) * C // G, O // G), g.dtype)
    to = w if G > 1 else w[0]
    if w.size and P * Q * N:
        view = windows(source, kernel, size, stride, dilation)  # P Q N KH KW C
        for part in tiles(view.shape, view.itemsize):
            col = columns(view[part], G)  # [G] pixels (KH KW C/G)
            gm = matrix(g[part])  # pixels O
            if G > 1:
                gm = gm.reshape(-1, G, O // G).transpose(1, 0, 2)  # G pixels O/G
            add_product(to, col.swapaxes(-1, -2), gm)
    if G == 1:
        return w.reshape(*kernel, C, O)
    split = w.reshape(G, *kernel, C // G, O // G).transpose(1, 2, 3, 0, 4)
    return in_order(split).reshape(*kernel, C // G, O)


def windows(source: Array, kernel: Pair, size: Pair, stride: Pair, dilation: Pair) -> Array:
    """P Q N KH KW C: every window as a view of the source."""
    H, W, N, C = source.strides
    strides = (stride[0] * H, stride[1] * W, N, dilation[0] * H, dilation[1] * W, C)
    shape = (*size, source.shape[2], *kernel, source.shape[3])
    if source.flags.c_contiguous and source.flags.writeable:
        return np.ndarray(shape, source.dtype, source, 0, strides)  # cheaper, by microseconds
    return as_strided(source, shape, strides, writeable=False)


def columns(view: Array, groups: int) -> Array:
    """rows cols N KH KW C -> [G] (rows cols N) (KH KW C/G)."""
    *pixels, KH, KW, C = view.shape
    shape = prod(pixels), KH * KW * C // groups
    if groups == 1:
        if view.nbytes < 2 * SMALL:
            return view.reshape(shape)
        col = buffer(view.shape, view.dtype)
        copy_runs(col, view)
        return col.reshape(shape)
    split = view.reshape(*view.shape[:5], groups, C // groups)
    col = buffer((groups, *view.shape[:5], C // groups), view.dtype)
    copy_runs(col, split.transpose(5, 0, 1, 2, 3, 4, 6))
    return col.reshape(groups, *shape)


def tiles(shape: Shape, itemsize: int) -> Iterable[Part]:
    """Output pixels, tile by tile: whole rows if the columns of one are small, else parts of it."""
    P, Q = shape[:2]
    if prod(shape) * itemsize <= min(TILE, workspace_limit()):
        return ((slice(0, P), slice(0, Q)),)
    return _tiles(P, Q, shape[2], prod(shape[3:]) * itemsize)


def _tiles(P: int, Q: int, N: int, pixel: int) -> Iterator[Part]:
    count = min(max(TILE // pixel, LEAST), max(workspace_limit() // pixel, 1)) // N  # times N
    if count >= Q:
        rows = count // Q
        for i in range(0, P, rows):
            yield slice(i, min(i + rows, P)), slice(0, Q)
        return
    parts = -(-Q // max(count, 1))
    cols = -(-Q // parts)  # all about equally wide
    for i in range(P):
        for j in range(0, Q, cols):
            yield slice(i, i + 1), slice(j, min(j + cols, Q))


def _grouped(w: Array, groups: int) -> Array:
    """KH KW C/G O -> G (KH KW C/G) O/G."""
    KH, KW, CG, O = w.shape
    split = w.reshape(KH, KW, CG, groups, O // groups).transpose(3, 0, 1, 2, 4)
    return in_order(split).reshape(groups, KH * KW * CG, O // groups)
