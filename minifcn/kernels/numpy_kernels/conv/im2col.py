"""The triad by im2col: unfold the image into columns, then one matrix product per tile.

    conv2d            y = w . unfold(x)          sum over c, u, v
    conv_transpose2d  x = fold(w' . g)           sum over o, then overlapping taps add up
    conv2d_weight     w = g . unfold(x)'         sum over n, i, j

The column matrix is KH KW times as large as the image; tiles of whole output rows keep it within
`workspace_limit`. A 1x1 window without stride or padding needs no columns: the image is the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....device import Array
from ....window import Window
from ..workspace import workspace_limit

__all__ = ["conv2d", "conv2d_weight", "conv_transpose2d", "fold", "unfold"]

Rows = tuple[int, int]  # output rows i0 <= i < i1

# A tile that stays in a core's cache is read back by the matrix product for free.
CACHE = 1 << 20


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j] = sum_{c,u,v} w[o, c, u, v] x[n, c', s i + d u - p, s j + d v - p]."""
    N, O, G = x.shape[0], w.shape[0], window.groups
    P, Q = window.out
    y = np.empty((N, G, O // G, P * Q), x.dtype)
    wm = _matrix(w, G)  # G O/G CKK
    if _is_matrix(window):
        xm = x.reshape(N, G, wm.shape[2], P * Q)  # N G C/G HW
        np.matmul(wm, xm, out=y)
        return y.reshape(N, O, P, Q)
    source = _padded(x, window)
    for n, rows in _tiles(x, window):
        col = _columns(source[n], window, rows)  # C KH KW rows Q
        part = slice(rows[0] * Q, rows[1] * Q)
        np.matmul(wm, col.reshape(G, wm.shape[2], part.stop - part.start), out=y[n, :, :, part])
    return y.reshape(N, O, P, Q)


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of g[n, o, i, j] w[o, c, u, v] over all taps that meet pixel (h, k)."""
    N, O, G = g.shape[0], g.shape[1], window.groups
    P, Q = window.out
    H, W = window.image
    KH, KW = window.kernel
    C = w.shape[1] * G
    wt = _matrix(w, G).transpose(0, 2, 1)  # G CKK O/G
    gm = g.reshape(N, G, O // G, P * Q)
    if _is_matrix(window):
        image: Array = np.matmul(wt, gm).reshape(N, C, H, W)
        return image
    x = np.zeros((N, C, *_padded_size(window)), g.dtype)
    for n, rows in _tiles_of(N, C, g.dtype.itemsize, window):
        col = np.matmul(wt, gm[n, :, :, rows[0] * Q : rows[1] * Q])  # G CKK rows*Q
        col = col.reshape(C, KH, KW, rows[1] - rows[0], Q)
        _add_columns(x[n], np.moveaxis(col, 0, 2), window, rows)
    return _cropped(x, window)


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, G = x.shape[0], x.shape[1], window.groups
    O = g.shape[1]
    P, Q = window.out
    KH, KW = window.kernel
    gm = g.reshape(N, G, O // G, P * Q)
    w = np.zeros((G, O // G, C // G * KH * KW), x.dtype)
    if _is_matrix(window):
        xm = x.reshape(N, G, C // G, P * Q)
        for n in range(N):
            w += np.matmul(gm[n], xm[n].transpose(0, 2, 1))
        return w.reshape(O, C // G, KH, KW)
    source = _padded(x, window)
    for n, rows in _tiles(x, window):
        part = slice(rows[0] * Q, rows[1] * Q)
        col = _columns(source[n], window, rows)  # C KH KW rows Q
        col = col.reshape(G, w.shape[2], part.stop - part.start)
        w += np.matmul(gm[n, :, :, part], col.transpose(0, 2, 1))
    return w.reshape(O, C // G, KH, KW)


def unfold(x: Array, window: Window) -> Array:
    """col[n, c, u, v, i, j] = x[n, c, s i + d u - p, s j + d v - p]; outside the image 0."""
    source = _padded(x, window)
    return _columns(source.swapaxes(0, 1), window, (0, window.out[0])).transpose(3, 0, 1, 2, 4, 5)


def fold(col: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of col[n, c, u, v, i, j] over all taps that meet pixel (h, k)."""
    N, C = col.shape[:2]
    x = np.zeros((N, C, *_padded_size(window)), col.dtype)
    _add_columns(x, np.moveaxis(col, (2, 3), (0, 1)), window, (0, window.out[0]))
    return _cropped(x, window)


def _matrix(w: Array, groups: int) -> Array:
    """(O, C/G, KH, KW) -> (G, O/G, C/G KH KW)."""
    O, CG, KH, KW = w.shape
    return w.reshape(groups, O // groups, CG * KH * KW)


def _is_matrix(window: Window) -> bool:
    """Whether unfold would copy the image unchanged: kernel 1x1, stride 1, no padding."""
    return (
        window.kernel == (1, 1)
        and window.stride == (1, 1)
        and window.pad == (0, 0)
        and window.out == window.image
    )


def _padded_size(window: Window) -> tuple[int, int]:
    """The image with every pixel that a tap can meet: near pad + image + far pad, if positive."""
    near, far = window.pad, window.far_pad
    return (
        near[0] + window.image[0] + max(far[0], 0),
        near[1] + window.image[1] + max(far[1], 0),
    )


def _padded(x: Array, window: Window) -> Array:
    (H, W), (top, left) = window.image, window.pad
    size = _padded_size(window)
    if size == (H, W):
        return x
    source = np.zeros((*x.shape[:2], *size), x.dtype)
    source[:, :, top : top + H, left : left + W] = x
    return source


def _cropped(x: Array, window: Window) -> Array:
    (H, W), (top, left) = window.image, window.pad
    if x.shape[2:] == (H, W):
        return x
    return np.ascontiguousarray(x[:, :, top : top + H, left : left + W])


def _tap(u: int, v: int, window: Window, rows: Rows) -> tuple[slice, slice]:
    """The padded pixels that tap (u, v) meets for output rows i0..i1 and all columns."""
    (sh, sw), (dh, dw) = window.stride, window.dilation
    Q = window.out[1]
    first, last = rows[0] * sh + u * dh, (rows[1] - 1) * sh + u * dh
    return slice(first, last + 1, sh), slice(v * dw, v * dw + (Q - 1) * sw + 1, sw)


def _columns(source: Array, window: Window, rows: Rows) -> Array:
    """(C, [N,] H, W) -> (C, KH, KW, [N,] rows, Q): each tap is one strided copy."""
    C, middle = source.shape[0], source.shape[1:-2]
    col = np.empty((C, *window.kernel, *middle, rows[1] - rows[0], window.out[1]), source.dtype)
    for u, v in window.taps():
        col[:, u, v] = source[(..., *_tap(u, v, window, rows))]
    return col


def _add_columns(x: Array, col: Array, window: Window, rows: Rows) -> None:
    """(KH, KW, [N,] C, rows, Q) into ([N,] C, H, W): each tap adds its column where it was read."""
    for u, v in window.taps():
        x[(..., *_tap(u, v, window, rows))] += col[u, v]


def _tiles(x: Array, window: Window) -> Iterator[tuple[int, Rows]]:
    return _tiles_of(x.shape[0], x.shape[1], x.dtype.itemsize, window)


def _tiles_of(N: int, C: int, itemsize: int, window: Window) -> Iterator[tuple[int, Rows]]:
    """(image, output rows): a tile's columns fit the cache if they can, the limit always."""
    P, Q = window.out
    row = max(C * window.kernel[0] * window.kernel[1] * Q * itemsize, 1)
    # Few rows waste the matrix product, so at least 4, within the limit; never less than one.
    count = max(min(max(CACHE // row, 4), workspace_limit() // row), 1)
    for n in range(N):
        for i in range(0, P, count):
            yield n, (i, min(i + count, P))
