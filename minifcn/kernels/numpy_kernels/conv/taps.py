"""taps: one matrix product for each tap of the kernel, on the image shifted by it. No columns.

    correlate          out[i] = sum_{u,v} source[i + d u, d v :] . w[u,v]     (Q N) x C . C x O
    correlate_weight   w[u,v] = sum_i source[i + d u, d v :]' . g[i]          C x (Q N) . (Q N) x O

A row of pixels is a matrix as it lies. The terms of a tile of pixels are added while they are in
the core's cache. The choice for kernels that are large or have many channels, where the products
take nearly all the time; where they are narrow, columns are less work (see im2col).

Cost    P Q N O KH KW C multiply-adds, P Q N O (KH KW - 1) additions
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....device import Array
from ....shapes import Pair
from ..memory import buffer

CACHE = 1 << 20  # bytes: a tile of source, of out and of one tap's term
LEAST = 64  # pixels of a tile; with fewer, the products read the weight more often than the pixels

Tile = tuple[slice, slice]  # output rows, and which of their Q N pixels


def correlate(source: Array, w: Array, out: Array, dilation: Pair = (1, 1)) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[i + d u, j + d v, n, c] w[u,v,c,o]."""
    KH, KW, C, O = w.shape
    P, Q, N, _ = out.shape
    if out.size == 0 or w.size == 0:
        out[...] = 0
        return
    rows, target, w = matrices(source), matrices(out), products(w)
    term = None
    for i, j in tiles(P, Q * N, (C + 2 * O) * out.itemsize):
        y = target[i, j]
        for u in range(KH):
            for v in range(KW):
                down, right = u * dilation[0], v * dilation[1] * N
                x = rows[i.start + down : i.stop + down, j.start + right : j.stop + right]
                if u == v == 0:
                    np.matmul(x, w[u, v], out=y)
                    continue
                term = buffer(y.shape, y.dtype) if term is None else term
                part = term[: y.shape[0], : y.shape[1]]
                np.matmul(x, w[u, v], out=part)
                np.add(y, part, out=y)


def correlate_weight(
    source: Array, g: Array, kernel: Pair, size: Pair, dilation: Pair = (1, 1)
) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[i + d u, j + d v, n, c] g[i,j,n,o]; KH KW C O."""
    (KH, KW), (P, Q) = kernel, size
    N, C, O = g.shape[2], source.shape[3], g.shape[3]
    if P * Q * N * C * O == 0:
        return np.zeros((KH, KW, C, O), g.dtype)
    row, item = source.strides[0], source.itemsize
    shape = (P, KH, KW, Q * N, C)
    strides = (row, dilation[0] * row, dilation[1] * N * C * item, C * item, item)
    taps = as_strided(source, shape, strides, writeable=False)
    turned = matrices(g)[:P, : Q * N].swapaxes(1, 2)  # P O (Q N)
    w = buffer((KH, KW, O, C), g.dtype)
    np.matmul(turned[0], taps[0], out=w)
    term = buffer(w.shape, w.dtype) if P > 1 else w
    for i in range(1, P):
        np.matmul(turned[i], taps[i], out=term)
        np.add(w, term, out=w)
    return w.swapaxes(2, 3)


def matrices(image: Array) -> Array:
    """P Q N C as P matrices (Q N) x C; a view, as each row lies in one piece."""
    P, Q, N, C = image.shape
    return image.reshape(P, Q * N, C)


def products(w: Array) -> Array:
    """w, KH KW C O, such that BLAS takes each tap as it lies; copied if it lies as O C KH KW."""
    if w.itemsize in w.strides[2:]:
        return w
    made = buffer(w.shape, w.dtype)
    np.copyto(made, w)
    return made


def tiles(P: int, QN: int, size: int) -> Iterator[Tile]:
    """Tiles of whole rows if these are short, else parts of one; `size` bytes for each pixel."""
    count = max(CACHE // size, LEAST)
    cols = ceil(QN / ceil(QN / count))  # all about equally wide
    rows = max(count // cols, 1)
    for i in range(0, P, rows):
        for j in range(0, QN, cols):
            yield slice(i, min(i + rows, P)), slice(j, min(j + cols, QN))
