"""unfold and fold: windows as columns N C KH KW P Q, and the adjoint that adds them up again."""

from __future__ import annotations

import numpy as np

from ....device import Array
from ....window import Window
from ..memory import buffer, empty, framed, pixels
from .frame import reach


def unfold(x: Array, window: Window) -> Array:
    """col[n, c, u, v, i, j] = x[n, c, s i + d u - p, s j + d v - p]; outside the image 0."""
    N, C = x.shape[:2]
    col = buffer((N, C, *window.kernel, *window.out), x.dtype)
    source = framed(x, window.pad, reach(window)).transpose(2, 3, 0, 1)  # N C H' W'
    for u, v in window.taps():
        np.copyto(col[:, :, u, v], source[(..., *_tap(u, v, window))])
    return col


def fold(col: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of col[n, c, u, v, i, j] over all taps that meet pixel (h, k)."""
    N, C = col.shape[:2]
    (top, left), (H, W) = window.pad, window.image
    high, wide = reach(window)
    canvas = buffer((max(high, top + H), max(wide, left + W), N, C), col.dtype)
    canvas[...] = 0
    for u, v in window.taps():
        part = canvas.transpose(2, 3, 0, 1)[(..., *_tap(u, v, window))]
        np.add(part, col[:, :, u, v], out=part)
    x = empty((N, C, H, W), col.dtype)
    np.copyto(pixels(x), canvas[top : top + H, left : left + W])
    return x


def _tap(u: int, v: int, window: Window) -> tuple[slice, slice]:
    """The pixels of the frame that tap (u, v) meets, over all output pixels."""
    (sh, sw), (dh, dw), (P, Q) = window.stride, window.dilation, window.out
    rows = slice(dh * u, dh * u + max(sh * (P - 1) + 1, 0), sh)
    return rows, slice(dw * v, dw * v + max(sw * (Q - 1) + 1, 0), sw)
