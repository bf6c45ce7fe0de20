"""depthwise: every channel has a kernel of its own, so no matrix product fits; C = O, C/G = 1.

    correlate          out = sum over taps of source * w       one multiply-add for each tap
    correlate_weight   w = sum over pixels of source * g

A row of pixels is one run Q N C. The weight of a tap is tiled to a run of equal channels, and
`einsum` adds up products of long runs, tap after tap, without a temporary between them.

Shape   source: H W N C, w: KH KW 1 C, out and g: P Q N C
Cost    P Q N C KH KW multiply-adds each, bound by memory
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....device import Array
from ....shapes import Pair
from ..memory import buffer

RUN = 1 << 14  # numbers of a tiled weight; several such runs stay in a core's cache


def correlate(
    source: Array, w: Array, out: Array, stride: Pair = (1, 1), dilation: Pair = (1, 1)
) -> None:
    """out[i,j,n,c] = sum_{u,v} source[s i + d u, s j + d v, n, c] w[u,v,0,c]."""
    P, Q, N, C = out.shape
    if out.size == 0:
        return
    (KH, KW), pixel = w.shape[:2], N * C
    width = 1  # pixels of a run
    if stride[1] == 1 and (Q == 1 or out.strides[1] == pixel * out.itemsize):
        width = min(max(RUN // pixel, 1), Q)
    tiled = buffer((KH, KW, width * N, C), w.dtype)
    np.copyto(tiled, w)  # the same for every pixel: KH KW run
    tiled = tiled.reshape(KH, KW, width * pixel)
    views = _windows(source, (KH, KW), (P, Q), stride, dilation)  # P Q KH KW (N C)
    row, column, item = *out.strides[:2], out.itemsize
    for j, count in ((0, Q // width), (Q // width * width, Q % width)):
        run = (width if j == 0 else 1) * pixel
        if count == 0:
            continue
        step = run // pixel
        x = as_strided(
            views[:, j:],
            (P, count, KH, KW, run),
            (views.strides[0], step * views.strides[1], *views.strides[2:4], item),
            writeable=False,
        )
        y = as_strided(out[:, j:], (P, count, run), (row, step * column, item))
        np.einsum("iquvr,uvr->iqr", x, tiled[..., :run], out=y)


def correlate_weight(
    source: Array,
    g: Array,
    kernel: Pair,
    size: Pair,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 0,
) -> Array:
    """w[u,v,0,c] = sum_{i,j,n} source[s i + d u, s j + d v, n, c] g[i,j,n,c]; KH KW 1 C."""
    (P, Q), (N, C) = size, source.shape[2:]
    w = np.zeros((*kernel, N * C))  # float64: it is added to as often as there are rows
    if P * Q * N * C:
        views = _windows(source, kernel, size, stride, dilation)  # P Q KH KW (N C)
        for i in range(P):
            w += np.einsum("quvr,qr->uvr", views[i], g[i, :Q].reshape(Q, N * C))
    summed: Array = w.reshape(*kernel, 1, N, C).sum(3).astype(g.dtype)
    return summed


def _windows(source: Array, kernel: Pair, size: Pair, stride: Pair, dilation: Pair) -> Array:
    """P Q KH KW (N C): every window as a view, each of its pixels one run."""
    (row, pixel), (sh, sw), (dh, dw) = source.strides[:2], stride, dilation
    strides = (sh * row, sw * pixel, dh * row, dw * pixel, source.itemsize)
    shape = (*size, *kernel, source.shape[2] * source.shape[3])
    return as_strided(source, shape, strides, writeable=False)
