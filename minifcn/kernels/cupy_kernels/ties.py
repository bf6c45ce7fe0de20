"""Sharing among equals: cuda/ties.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array
from .elementwise import cast, divide
from .launch import THREADS, blocks, program
from .memory import empty, views
from .reduce import total
from .views import broadcast_to

__all__: list[str] = []  # structure.py offers them

COUNT = np.dtype(np.float64)


def _run(kernel: str, x: Array, best: Array, g: Array | None, dtype: Any, *more: Array) -> Array:
    """kernel(x, best, g, more..., y), all repeated to x's shape."""
    y = empty(x.shape, dtype)
    given = [x, broadcast_to(best, x.shape), x if g is None else broadcast_to(g, x.shape)]
    seen: list[Any] = views(*given, *(broadcast_to(one, x.shape) for one in more), y)
    if g is None:
        seen[2] = None, seen[2][1]
    run = program("ties", REAL=x.dtype, MARK=dtype)
    run(kernel, blocks(x.size), THREADS, *(part for pair in seen for part in pair), x.size)
    return y


def ties_put(gy: Array, x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    """gy in equal parts to all x that equal the best over `axes`, else 0."""
    return _run("share", x, best, gy, gy.dtype, _count(x, best, axes))


def ties_take(g: Array, x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    """The mean of g over all x that equal the best over `axes`."""
    chosen = total(_run("mark", x, best, g, g.dtype), axes, COUNT)
    return cast(divide(chosen, _count(x, best, axes)), g.dtype.name)


def _count(x: Array, best: Array, axes: tuple[int, ...]) -> Array:
    return total(_run("mark", x, best, None, COUNT), axes, COUNT)
