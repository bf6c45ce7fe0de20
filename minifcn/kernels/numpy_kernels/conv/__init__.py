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
from functools import cache, lru_cache
from typing import Any

from ....device import Array
from ....shapes import Pair
from ....window import Window
from ..memory import empty, framed
from . import blocks, grids, planes, weights
from .choose import Problem, choose, forced
from .frame import reach
from .phases import along
from .unfold import fold, unfold

__all__ = ["conv2d", "conv2d_weight", "conv_transpose2d", "fold", "unfold"]

WHOLE = {"blocks": blocks, "planes": planes}  # see to everything themselves
STRIDES = ("im2col", "depthwise")  # take any stride and dilation


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j] = sum_{c,u,v} w[o, c, u, v] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, O = x.shape[0], x.shape[1], w.shape[0]
    name, size = _plan("conv2d", N, C, O, window, x.dtype.char, forced())
    y: Array
    if name in WHOLE:
        y = WHOLE[name].conv2d(x, w, window)
        return y
    y = empty((N, O, *window.out), x.dtype)
    source, taps = framed(x, window.pad, size), weights.for_image(w)
    out = y.transpose(2, 3, 0, 1)  # P Q N O
    _correlate(name, source, taps, out, window.stride, window.dilation)
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
                taps = weights.for_transpose(w[:, :, a.taps, b.taps], window.groups)
                read = source[a.start :, b.start :]
                _correlate(name, read, taps, part, (1, 1), (rows.dilation, columns.dilation))
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
    kernel, out, dilation = window.kernel, window.out, window.dilation
    source, gp, way = framed(x, window.pad, size), framed(g, (0, 0), window.out), module(name)
    if name in STRIDES:
        options = window.stride, dilation, window.groups
        w = way.correlate_weight(source, gp, kernel, out, *options)
    elif name == "taps":
        w = way.correlate_weight(source, gp, kernel, out, dilation)
    else:
        w = grids.correlate_weight(way, source, gp, kernel, out, dilation)
    return weights.back(w)


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
