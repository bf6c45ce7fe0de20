"""Separable linear maps: cuda/resize.cu.

Maps of few taps, as bilinear ones are, take one launch; larger ones go along one axis after the
other, the intermediate of halves in float.

The taps of a map are sent to the device once, before a step is captured: nothing can be sent then.
The captured step holds them too, as it reads them at the same address in every replay.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ...device import Array, upload
from .elementwise import floating
from .launch import THREADS, blocks, program
from .memory import dense, empty, flat
from .numbers import hold

__all__ = ["resample"]

Taps = tuple[tuple[tuple[int, float], ...], ...]  # for every output, (input, weight) pairs
Table = tuple[Array | None, Array | None, Array | None]  # starts, inputs, weights

AT_ONCE = 16  # taps of both axes, in one launch


def resample(x: Array, rows: Taps, cols: Taps) -> Array:
    """y[..., i, j] = sum of a b x[..., h, w] over (h, a) in rows[i] and (w, b) in cols[j]."""
    wide = np.dtype(np.float32) if floating(x.dtype) and x.itemsize < 4 else x.dtype
    if _longest(rows) * _longest(cols) <= AT_ONCE:
        return _run(x, rows, cols, x.dtype)
    if len(rows) <= x.shape[-2]:  # fewer rows first, or more of them last
        return _run(_run(x, rows, None, wide), None, cols, x.dtype)
    return _run(_run(x, None, cols, wide), rows, None, x.dtype)


def _longest(taps: Taps) -> int:
    return max(map(len, taps), default=0)


def _run(x: Array, rows: Taps | None, cols: Taps | None, dtype: Any) -> Array:
    """One launch; None leaves an axis as it is."""
    *lead, H, W = x.shape
    P, Q = H if rows is None else len(rows), W if cols is None else len(cols)
    y = empty((*lead, P, Q), dtype)
    A, B = (lead[0], lead[1]) if x.ndim == 4 else (prod(lead), 1)
    by = np.dtype(np.float32 if floating(x.dtype) and x.itemsize < 8 else np.float64)
    tables = *_table(rows, by.name), *_table(cols, by.name)
    run = program("resize", REAL=x.dtype, OUT=y.dtype, BY=by)
    sizes = A, H, W, P, Q, B
    run("resample", blocks(y.size), THREADS, dense(x), *tables, flat(y), *sizes)
    return y


def _table(taps: Taps | None, dtype: str) -> Table:
    if taps is None:
        return None, None, None
    table = _sent(taps, dtype)
    hold(table)
    return table


@lru_cache(maxsize=256)
def _sent(taps: Taps, dtype: str) -> Table:
    """Where the taps of each output start, which inputs they read, and what they weigh."""
    starts = np.cumsum([0, *map(len, taps)]).astype(np.int32)
    flattened = [tap for row in taps for tap in row]
    inputs = np.array([place for place, _ in flattened], np.int32)
    weights = np.array([weight for _, weight in flattened], dtype)
    return upload(starts), upload(inputs), upload(weights)
