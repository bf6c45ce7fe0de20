"""The convolution triad on the CPU: one file per way to compute it; choose.py says which.

    frame, phases, grids   a window as dense correlations: pads, strides and dilations taken apart
    weights, runs          the orders in which weights and pixels lie
    im2col, depthwise      ways that take any stride and dilation
    blocks, planes         ways that see to the whole triad: stride divides kernel; few channels
    taps                   stride 1 and any dilation
    pointwise, winograd1, winograd2
                           dense correlations: stride 1, no dilation
    bias                   what follows in the same kernel

A dense correlation reads pixels H W N C with zeros around them, and weights KH KW C O.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from ....device import Array
from ....shapes import Pair
from ....window import Window
from ...forced import forced
from ..memory import empty, framed
from ..threads import each, shares
from . import (
    blocks,
    depthwise,
    grids,
    im2col,
    planes,
    pointwise,
    taps,
    weights,
    winograd1,
    winograd2,
)
from .bias import finished
from .choose import Problem, choose
from .frame import reach, seen
from .phases import along
from .unfold import fold, unfold

__all__ = [
    "conv2d", "conv2d_bias", "conv2d_weight", "conv_transpose2d", "conv_transpose2d_bias", "fold",
    "unfold",
]  # fmt: skip

ROWS = 4  # of a thread: a multiple, so that no tile of Winograd's is cut
WHOLE: dict[str, ModuleType] = {"blocks": blocks, "planes": planes}
STRIDES: dict[str, ModuleType] = {"im2col": im2col, "depthwise": depthwise}
DENSE: dict[str, grids.Dense] = {
    "pointwise": pointwise,
    "winograd1": winograd1,
    "winograd2": winograd2,
}


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j] = sum_{c,u,v} w[o, c, u, v] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, O = x.shape[0], x.shape[1], w.shape[0]
    name, size = _plan("conv2d", N, C, O, window, x.dtype.char, forced())
    y: Array
    if name in WHOLE:
        y = WHOLE[name].conv2d(x, w, window)
        return y
    y = empty((N, O, *window.out), x.dtype)
    source, wt = framed(x, window.pad, size), weights.for_image(w)
    out = y.transpose(2, 3, 0, 1)  # P Q N O
    _correlate(name, source, wt, out, window.stride, window.dilation)
    return y


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of g[n, o, i, j] w[o, c, u, v] over all taps that meet pixel (h, k)."""
    N, O, C = g.shape[0], g.shape[1], w.shape[1] * window.groups
    name, size = _plan("conv_transpose2d", N, C, O, window, g.dtype.char, forced())
    x: Array
    if name in WHOLE:
        x = WHOLE[name].conv_transpose2d(g, w, window)
        return x
    x = empty((N, C, *window.image), g.dtype)
    rows, columns = along(window, 0), along(window, 1)
    source = framed(g, (rows.near, columns.near), size)
    for a in rows.phases:
        for b in columns.phases:
            pixels = a.pixels(window.stride[0]), b.pixels(window.stride[1])
            part = x.transpose(2, 3, 0, 1)[pixels]  # of H W N C
            if a.size and b.size:
                wt = weights.for_transpose(w[:, :, a.taps, b.taps], window.groups)
                read = source[a.start :, b.start :]
                _correlate(name, read, wt, part, (1, 1), (rows.dilation, columns.dilation))
            else:
                part[...] = 0
    return x


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, O = x.shape[0], x.shape[1], g.shape[1]
    name, size = _plan("conv2d_weight", N, C, O, window, x.dtype.char, forced())
    w: Array
    if name in WHOLE:
        w = WHOLE[name].conv2d_weight(x, g, window)
        return w
    source, gp = framed(x, window.pad, size), framed(g, (0, 0), window.out)

    def work(rows: slice) -> Array:
        read = source[seen(rows, window.kernel[0], window.stride[0], window.dilation[0])]
        return _correlate_weight(name, read, gp[rows], window, rows.stop - rows.start)

    w, *others = each(work, shares(window.out[0], g.size, ROWS))
    for other in others:
        np.add(w, other, out=w)
    return weights.back(w)


def conv2d_bias(x: Array, w: Array, b: Array, window: Window, relu: bool) -> Array:
    """conv2d(x, w) + b; then max(y, 0) if wanted."""
    return finished(conv2d(x, w, window), b, relu)


def conv_transpose2d_bias(g: Array, w: Array, b: Array, window: Window, relu: bool) -> Array:
    """conv_transpose2d(g, w) + b; then max(x, 0) if wanted."""
    return finished(conv_transpose2d(g, w, window), b, relu)


@lru_cache(maxsize=4096)
def _plan(
    direction: str, N: int, C: int, O: int, window: Window, dtype: str, wish: str | None
) -> tuple[str, Pair]:
    """The algorithm, and the size of the frame that it reads."""
    name = choose(Problem(direction, N, C, O, window, dtype), wish).algorithm
    if direction == "conv_transpose2d":
        return name, (along(window, 0).size, along(window, 1).size)
    return name, reach(window)


def _correlate(
    name: str, source: Array, w: Array, out: Array, stride: Pair, dilation: Pair
) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[s i + d u, s j + d v, n, c'] w[u,v,c,o]."""
    parts = shares(len(out), out.size, ROWS)
    if len(parts) > 1:
        K, s, d = w.shape[0], stride[0], dilation[0]

        def work(rows: slice) -> None:
            read = source[seen(rows, K, s, d)]
            _correlate_rows(name, read, w, out[rows], stride, dilation)

        each(work, parts)
    else:
        _correlate_rows(name, source, w, out, stride, dilation)


def _correlate_rows(
    name: str, source: Array, w: Array, out: Array, stride: Pair, dilation: Pair
) -> None:
    """The same in one thread."""
    if name in STRIDES:
        STRIDES[name].correlate(source, w, out, stride, dilation)
    elif name == "taps":
        taps.correlate(source, w, out, dilation)
    else:
        grids.correlate(DENSE[name], source, w, out, dilation)


def _correlate_weight(name: str, source: Array, g: Array, window: Window, rows: int) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[s i + d u, s j + d v, n, c'] g[i,j,n,o] over `rows` rows."""
    kernel, dilation, size = window.kernel, window.dilation, (rows, window.out[1])
    w: Array
    if name in STRIDES:
        options = window.stride, dilation, window.groups
        w = STRIDES[name].correlate_weight(source, g, kernel, size, *options)
    elif name == "taps":
        w = taps.correlate_weight(source, g, kernel, size, dilation)
    else:
        w = grids.correlate_weight(DENSE[name], source, g, kernel, size, dilation)
    return w
