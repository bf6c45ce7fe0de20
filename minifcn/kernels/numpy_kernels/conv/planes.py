"""planes: images of few channels, as the first layer sees them. Columns of planes, not of pixels.

A pixel of 3 numbers is too short a run to copy. So the image is laid out as C planes of rows W N
(it comes so, but for N, from the loader), those columns apart that a stride takes apart; a tap of a
whole row then is one run Q N, and the columns are  (C KH KW) x pixels.

    conv2d             y = columns' . w
    conv2d_weight      w = columns . g
    conv_transpose2d   columns = w . g',  and every tap adds its runs to the planes

Cost    as im2col, with long runs instead of short ones
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....device import Array
from ....window import Window
from ..memory import buffer, empty, framed
from .frame import reach
from .im2col import tiles
from .runs import matrix, multiply
from .weights import add_product, in_order, zeros


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j], tile by tile of columns."""
    (N, C), O = x.shape[:2], len(w)
    y = empty((N, O, *window.out), x.dtype)
    if y.size == 0 or w.size == 0:
        y[...] = 0
        return y
    out = y.transpose(2, 3, 0, 1)  # P Q N O
    taps = _taps(_planes(x, window), window)
    wm = in_order(w.transpose(1, 2, 3, 0)).reshape(-1, O)  # (C KH KW) O
    for rows, cols in tiles((*window.out, N, C, *window.kernel), x.itemsize):
        multiply(_columns(taps, rows, cols, N).T, wm, out[rows, cols])
    return y


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v], summed over tiles of columns."""
    (N, C), O = x.shape[:2], g.shape[1]
    w = zeros((C * prod(window.kernel), O), g.dtype)
    if g.size and x.size:
        gp = framed(g, (0, 0), window.out)  # P Q N O
        taps = _taps(_planes(x, window), window)
        for rows, cols in tiles((*window.out, N, C, *window.kernel), x.itemsize):
            add_product(w, _columns(taps, rows, cols, N), matrix(gp[rows, cols]))
    return in_order(w.T).reshape(O, C, *window.kernel)


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    """x[n, c, h, k]: columns are added to planes, and the planes become pixels."""
    N, (O, C) = len(g), w.shape[:2]
    x = empty((N, C, *window.image), g.dtype)
    if g.size == 0 or w.size == 0:
        x[...] = 0
        return x
    planes = _empty_planes(N, C, window, g.dtype)
    taps = _taps(planes, window)
    gp = framed(g, (0, 0), window.out)  # P Q N O
    wm = in_order(w.transpose(1, 2, 3, 0)).reshape(-1, O)  # (C KH KW) O
    for rows, cols in tiles((*window.out, N, C, *window.kernel), g.itemsize):
        part = gp[rows, cols]
        high, wide = part.shape[:2]
        col = buffer((C, *window.kernel, high, wide * N), g.dtype)
        np.matmul(wm, matrix(part).T, out=col.reshape(len(wm), high * wide * N))
        for v, tap in enumerate(taps):
            for u in range(window.kernel[0]):
                target = tap[:, u, rows, cols.start * N : cols.stop * N]
                np.add(target, col[:, u, v], out=target)
    _between(x, planes, window, back=True)
    return x


def _empty_planes(N: int, C: int, window: Window, dtype: np.dtype[np.generic]) -> Array:
    """C H' s W'' N: image and zeros around it; column s q + r of a row stands at [r, q]."""
    (high, wide), s = reach(window), window.stride[1]
    planes = buffer((C, high, s, -(-wide // s), N), dtype)
    planes[...] = 0
    return planes


def _planes(x: Array, window: Window) -> Array:
    planes = _empty_planes(x.shape[0], x.shape[1], window, x.dtype)
    _between(x, planes, window, back=False)
    return planes


def _between(x: Array, planes: Array, window: Window, back: bool) -> None:
    """Copy the image to the planes, or back; pixels that no tap meets are zero."""
    (top, left), s = window.pad, window.stride[1]
    high, wide = reach(window)
    H, W = max(min(x.shape[2], high - top), 0), max(min(x.shape[3], wide - left), 0)
    if back:
        x[:, :, H:] = 0
        x[:, :, :, W:] = 0
    for r in range(s):
        first = (r - left) % s  # of the image's columns, the first in plane r
        cut = x[:, :, :H, first:W:s].transpose(1, 2, 3, 0)  # C H W/s N
        q = (first + left) // s
        part = planes[:, top : top + H, r, q : q + cut.shape[2]]
        if back:
            np.copyto(cut, part)
        else:
            np.copyto(part, cut)


def _taps(planes: Array, window: Window) -> list[Array]:
    """For each v, C KH P (Q N): what tap (u, v) meets, as a view."""
    (P, Q), (KH, KW) = window.out, window.kernel
    (sh, sw), (dh, dw) = window.stride, window.dilation
    C, N = planes.shape[0], planes.shape[4]
    plane, row, _, _, item = planes.strides
    strides = (plane, dh * row, sh * row, item)
    views = []
    for v in range(KW):
        q, r = divmod(dw * v, sw)
        views.append(as_strided(planes[:, :, r, q:], (C, KH, P, Q * N), strides))
    return views


def _columns(taps: list[Array], rows: slice, cols: slice, N: int) -> Array:
    """(C KH KW) x pixels of a tile."""
    C, KH = taps[0].shape[:2]
    high, run = rows.stop - rows.start, slice(cols.start * N, cols.stop * N)
    col = buffer((C, KH, len(taps), high, run.stop - run.start), taps[0].dtype)
    for v, tap in enumerate(taps):
        np.copyto(col[:, :, v], tap[:, :, rows, run])
    return col.reshape(C * KH * len(taps), -1)
