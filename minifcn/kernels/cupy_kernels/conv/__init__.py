"""The convolution triad on a GPU: one file per way to compute it; choose.py says which.

    plain       one product of tiles in registers, gathered as it goes: every window, every dtype
    depthwise   few channels in a group: multiply-adds, no product
    im2col      unfold, a matrix product, fold: the readable way

Each is a module of the same functions, for images N H W C and weights O KH KW C/G in memory:

    takes(problem)                                      whether it can do this at all
    conv2d(x, w, window, bias=None, relu=False)
    conv_transpose2d(g, w, window, bias=None, relu=False)
    conv2d_weight(x, g, window)
"""

from __future__ import annotations

from ....device import Array
from ....window import Window
from ...forced import forced
from ..elementwise import fitted
from ..memory import dense
from .choose import WAYS, choose
from .problem import Problem
from .unfold import fold, unfold

__all__ = [
    "conv2d", "conv2d_bias", "conv2d_weight", "conv_transpose2d", "conv_transpose2d_bias", "fold",
    "unfold",
]  # fmt: skip


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j] = sum_{c,u,v} w[o, c, u, v] x[n, c', s i + d u - p, s j + d v - p]."""
    return _conv2d(x, w, None, window, False)


def conv2d_bias(x: Array, w: Array, b: Array, window: Window, relu: bool) -> Array:
    """conv2d(x, w) + b; then max(y, 0) if wanted."""
    return _conv2d(x, w, dense(fitted(b, x.dtype)), window, relu)


def _conv2d(x: Array, w: Array, b: Array | None, window: Window, relu: bool) -> Array:
    problem = Problem("conv2d", x.shape[0], x.shape[1], w.shape[0], window, x.dtype)
    y: Array = WAYS[choose(problem, forced())].conv2d(x, w, window, b, relu)
    return y


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of g[n, o, i, j] w[o, c, u, v] over all taps that meet pixel (h, k)."""
    return _conv_transpose2d(g, w, None, window, False)


def conv_transpose2d_bias(g: Array, w: Array, b: Array, window: Window, relu: bool) -> Array:
    """conv_transpose2d(g, w) + b; then max(x, 0) if wanted."""
    return _conv_transpose2d(g, w, dense(fitted(b, g.dtype)), window, relu)


def _conv_transpose2d(g: Array, w: Array, b: Array | None, window: Window, relu: bool) -> Array:
    N, O, C = g.shape[0], g.shape[1], w.shape[1] * window.groups
    problem = Problem("conv_transpose2d", N, C, O, window, g.dtype)
    x: Array = WAYS[choose(problem, forced())].conv_transpose2d(g, w, window, b, relu)
    return x


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    problem = Problem("conv2d_weight", x.shape[0], x.shape[1], g.shape[1], window, x.dtype)
    w: Array = WAYS[choose(problem, forced())].conv2d_weight(x, g, window)
    return w
