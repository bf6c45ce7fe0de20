"""im2col: unfold the image into columns, then one matrix product for each image and group.

    conv2d            y = w . col             O/G x (C/G KH KW)  times  (C/G KH KW) x (P Q)
    conv_transpose2d  col = w' . g, and fold
    conv2d_weight     w = sum_n g . col'      O/G x (P Q)  times  (P Q) x (C/G KH KW)

The readable way, against which the fast ones are held. It fits every window and every dtype.

Cost    the columns are KH KW times as large as the image, and all in memory at once
"""

from __future__ import annotations

from math import prod

from ....device import Array
from ....shapes import Shape
from ....window import Window
from ..launch import THREADS, blocks, program
from ..matmul import matmul
from ..memory import empty, flat, in_c_order, packed
from .problem import Problem
from .unfold import fold, unfold


def takes(problem: Problem) -> bool:
    """It does all there is."""
    return True


def conv2d(
    x: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """y[n, o, i, j] = act(bias[o] + sum_{c,u,v} w[o, c, u, v] x[n, c', ...])."""
    N, O, G = x.shape[0], w.shape[0], window.groups
    col = _grouped(unfold(x, window), (N, G), prod(w.shape[1:]), window)  # N G (C/G KH KW) (P Q)
    y = matmul(_kernels(w, G), col).reshape(N, O, *window.out)
    return _finish(y, bias, relu)


def conv_transpose2d(
    g: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """x[n, c, h, k] = act(bias[c] + sum of g[n, o, i, j] w[o, c, u, v] over the taps that meet)."""
    (N, O), G = g.shape[:2], window.groups
    C = w.shape[1] * G
    outputs = _grouped(in_c_order(g), (N, G), O // G, window)  # N G O/G (P Q)
    col = matmul(_kernels(w, G).swapaxes(-1, -2), outputs)  # N G (C/G KH KW) (P Q)
    return _finish(fold(col.reshape(N, C, *window.kernel, *window.out), window), bias, relu)


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    (N, C), O, G = x.shape[:2], g.shape[1], window.groups
    columns = C // G * window.kernel[0] * window.kernel[1]
    col = _grouped(unfold(x, window), (N, G), columns, window).transpose(
        1, 2, 0, 3
    )  # G (..) N (P Q)
    outputs = _grouped(in_c_order(g), (N, G), O // G, window).transpose(1, 2, 0, 3)  # G O/G N (P Q)
    pixels = N * window.out[0] * window.out[1]
    outputs = in_c_order(outputs).reshape(G, O // G, pixels)
    w = matmul(outputs, in_c_order(col).reshape(G, columns, pixels).swapaxes(-1, -2))
    return packed(w.reshape(O, C // G, *window.kernel))


def _grouped(x: Array, batch: Shape, rows: int, window: Window) -> Array:
    """N (G rows) ... as N G rows (P Q); x lies in C order."""
    made: Array = x.reshape(*batch, rows, prod(window.out))
    return made


def _kernels(w: Array, groups: int) -> Array:
    """O C/G KH KW as 1 G O/G (C/G KH KW)."""
    made: Array = in_c_order(w).reshape(1, groups, len(w) // groups, prod(w.shape[1:]))
    return made


def _finish(y: Array, bias: Array | None, relu: bool) -> Array:
    """act(y + bias), in the order in which images lie."""
    y = packed(y)
    if bias is None and not relu:
        return y
    made = empty(y.shape, y.dtype)
    run = program("unfold", REAL=y.dtype)
    run("finish", blocks(y.size), THREADS, flat(y), bias, flat(made), y.shape[1], relu, y.size)
    return made
