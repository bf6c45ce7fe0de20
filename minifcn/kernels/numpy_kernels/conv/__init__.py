"""The convolution triad on the CPU: one file per way to compute it; choose.py says which.

frame, phases, grids   a window as dense correlations: pad, split strides, split dilations
weights, runs          the orders in which weights and pixels lie
im2col, depthwise      ways for any stride and dilation
blocks                 strides that divide the kernel
pointwise, taps, winograd1, winograd2
                       dense correlations: stride 1, no dilation
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from ....device import Array
from ....shapes import Pair
from ....window import Window
from ..memory import empty, framed
from . import blocks, grids, planes, weights
from .choose import Problem, algorithm_for
from .frame import reach, roomy
from .phases import frame_of
from .unfold import fold, unfold

__all__ = ["conv2d", "conv2d_weight", "conv_transpose2d", "fold", "unfold"]

WHOLE = {"blocks": blocks, "planes": planes}  # see to everything themselves
STRIDES = ("im2col", "depthwise")  # take any stride and dilation
TILES = ("winograd1", "winograd2")  # read whole tiles, and so like zeros beyond the last pixel


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j] = sum_{c,u,v} w[o, c, u, v] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, O = x.shape[0], x.shape[1], w.shape[0]
    name = algorithm_for(Problem("conv2d", N, C, O, window, x.dtype.char))
    if name in WHOLE:
        return WHOLE[name].conv2d(x, w, window)
    y = empty((N, O, *window.out), x.dtype)
    out = y.transpose(2, 3, 0, 1)  # P Q N O
    size = reach(window)
    if name in TILES:
        size = roomy(window.image, window.pad, size, window.out)
    source = framed(x, window.pad, size)
    _correlate(name, source, weights.for_image(w), out, window.stride, window.dilation)
    return y


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of g[n, o, i, j] w[o, c, u, v] over all taps that meet pixel (h, k)."""
    N, O, C = g.shape[0], g.shape[1], w.shape[1] * window.groups
    name = algorithm_for(Problem("conv_transpose2d", N, C, O, window, g.dtype.char))
    if name in WHOLE:
        return WHOLE[name].conv_transpose2d(g, w, window)
    x = empty((N, C, *window.image), g.dtype)
    out = x.transpose(2, 3, 0, 1)  # H W N C
    rows, columns, near, size = frame_of(window)
    if name in TILES:
        size = roomy(window.out, near, size, window.image)
    source = framed(g, near, size)
    for a in rows.phases:
        for b in columns.phases:
            part = out[a.pixels(window.stride[0]), b.pixels(window.stride[1])]
            taps = weights.for_transpose(w[:, :, a.taps, b.taps], window.groups)
            if a.size and b.size:
                read = source[a.start :, b.start :]
                _correlate(name, read, taps, part, (1, 1), (rows.dilation, columns.dilation))
            else:
                part[...] = 0
    return x


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, O = x.shape[0], x.shape[1], g.shape[1]
    name = algorithm_for(Problem("conv2d_weight", N, C, O, window, x.dtype.char))
    if name in WHOLE:
        return WHOLE[name].conv2d_weight(x, g, window)
    kernel, out, size = window.kernel, window.out, reach(window)
    beyond = out
    if name in TILES:
        size, beyond = roomy(window.image, window.pad, size, out), roomy(out, (0, 0), out, out)
    source, gp = framed(x, window.pad, size), framed(g, (0, 0), beyond)
    way, dilation = module(name), window.dilation
    if name in STRIDES:
        options = window.stride, dilation, window.groups
        made = way.correlate_weight(source, gp, kernel, out, *options)
    elif name == "taps":
        made = way.correlate_weight(source, gp, kernel, out, dilation)
    else:
        made = grids.correlate_weight(way, source, gp, kernel, out, dilation)
    return weights.back(made)


def _correlate(
    name: str, source: Array, w: Array, out: Array, stride: Pair, dilation: Pair
) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[s i + d u, s j + d v, n, c'] w[u,v,c,o]."""
    way = module(name)
    if name in STRIDES:
        way.correlate(source, w, out, stride, dilation)
    elif name == "taps":
        way.correlate(source, w, out, dilation)
    else:
        grids.correlate(way, source, w, out, dilation)


@cache
def module(name: str) -> Any:
    """The file of an algorithm, loaded when it is first chosen."""
    return importlib.import_module(f".{name}", __name__)
