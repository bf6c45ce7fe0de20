"""unfold and fold: windows as columns N C KH KW P Q, and the adjoint that adds them up again."""

from __future__ import annotations

from ....device import Array, cupy
from ....window import Window
from ..launch import THREADS, blocks, program
from ..memory import dense, empty, flat, in_c_order
from ..structs import window_struct


def unfold(x: Array, window: Window) -> Array:
    """col[n, c, u, v, i, j] = x[n, c, s i + d u - p, s j + d v - p]; outside the image 0."""
    N, C = x.shape[:2]
    col: Array = cupy().empty((N, C, *window.kernel, *window.out), x.dtype)
    run, geometry = program("unfold", REAL=x.dtype), window_struct(window)
    run("unfold", blocks(col.size), THREADS, dense(x), col, geometry, C, col.size)
    return col


def fold(col: Array, window: Window) -> Array:
    """x[n, c, h, k] = sum of col[n, c, u, v, i, j] over all taps that meet pixel (h, k)."""
    N, C = col.shape[:2]
    x = empty((N, C, *window.image), col.dtype)
    run, geometry = program("unfold", REAL=col.dtype), window_struct(window)
    run("fold", blocks(x.size), THREADS, in_c_order(col), flat(x), geometry, C, x.size)
    return x
