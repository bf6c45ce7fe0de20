"""The triad, unfold and fold as loops over  T(x, w, g) = sum g[n,o,i,j] w[o,c,u,v] x[n,c',h,k]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...device import Array
from ...window import Window

__all__ = [
    "conv2d", "conv2d_bias", "conv2d_weight", "conv_transpose2d", "conv_transpose2d_bias", "fold",
    "unfold",
]  # fmt: skip


def _meetings(window: Window) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(i, j, u, v, h, k): output pixel, tap, and the image pixel it meets, if there is one."""
    (P, Q), (KH, KW), (H, W) = window.out, window.kernel, window.image
    (sh, sw), (dh, dw), (ph, pw) = window.stride, window.dilation, window.pad
    for i, j in np.ndindex(P, Q):
        for u, v in np.ndindex(KH, KW):
            h, k = sh * i + dh * u - ph, sw * j + dw * v - pw
            if 0 <= h < H and 0 <= k < W:
                yield i, j, u, v, h, k


def conv2d(x: Array, w: Array, window: Window) -> Array:
    O, CG = w.shape[:2]
    y = np.zeros((x.shape[0], O, *window.out), x.dtype)
    for i, j, u, v, h, k in _meetings(window):
        for n, o, c in np.ndindex(x.shape[0], O, CG):
            y[n, o, i, j] += w[o, c, u, v] * x[n, o // (O // window.groups) * CG + c, h, k]
    return y


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    O, CG = w.shape[:2]
    x = np.zeros((g.shape[0], CG * window.groups, *window.image), g.dtype)
    for i, j, u, v, h, k in _meetings(window):
        for n, o, c in np.ndindex(g.shape[0], O, CG):
            x[n, o // (O // window.groups) * CG + c, h, k] += g[n, o, i, j] * w[o, c, u, v]
    return x


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    O, CG = g.shape[1], x.shape[1] // window.groups
    w = np.zeros((O, CG, *window.kernel), x.dtype)
    for i, j, u, v, h, k in _meetings(window):
        for n, o, c in np.ndindex(x.shape[0], O, CG):
            w[o, c, u, v] += g[n, o, i, j] * x[n, o // (O // window.groups) * CG + c, h, k]
    return w


def conv2d_bias(x: Array, w: Array, b: Array, window: Window, relu: bool) -> Array:
    return _finished(conv2d(x, w, window), b, relu)


def conv_transpose2d_bias(g: Array, w: Array, b: Array, window: Window, relu: bool) -> Array:
    return _finished(conv_transpose2d(g, w, window), b, relu)


def _finished(y: Array, b: Array, relu: bool) -> Array:
    for n, c, i, j in np.ndindex(y.shape):
        y[n, c, i, j] += b[c]
        if relu and y[n, c, i, j] < 0:
            y[n, c, i, j] = 0
    return y


def unfold(x: Array, window: Window) -> Array:
    N, C = x.shape[:2]
    col = np.zeros((N, C, *window.kernel, *window.out), x.dtype)
    for i, j, u, v, h, k in _meetings(window):
        for n, c in np.ndindex(N, C):
            col[n, c, u, v, i, j] = x[n, c, h, k]
    return col


def fold(col: Array, window: Window) -> Array:
    N, C = col.shape[:2]
    x = np.zeros((N, C, *window.image), col.dtype)
    for i, j, u, v, h, k in _meetings(window):
        for n, c in np.ndindex(N, C):
            x[n, c, h, k] += col[n, c, u, v, i, j]
    return x
