"""Separable linear maps: down the rows and across the columns, in the cheaper order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array

__all__ = ["resample"]

Taps = tuple[tuple[tuple[int, float], ...], ...]  # for every output, (input, weight) pairs


def resample(x: Array, rows: Taps, cols: Taps) -> Array:
    """y[..., i, j] = sum of a b x[..., h, w] over (h, a) in rows[i] and (w, b) in cols[j]."""
    H, W = x.shape[-2:]
    if len(rows) * W <= H * len(cols):
        return _along(_along(x, rows, -2), cols, -1)
    return _along(_along(x, cols, -1), rows, -2)


def _along(x: Array, taps: Taps, axis: int) -> Array:
    """One axis: the t-th tap of every output at once, for t = 0, 1, ..."""
    shape = list(x.shape)
    shape[axis] = len(taps)
    y = np.zeros(shape, x.dtype)
    for t in range(max(map(len, taps), default=0)):
        outputs = [i for i, row in enumerate(taps) if len(row) > t]
        inputs = [taps[i][t][0] for i in outputs]
        weights = [taps[i][t][1] for i in outputs]
        part = x[_key(inputs, axis)]
        if any(weight != 1 for weight in weights):
            column = np.array(weights, x.dtype)
            part = part * (column[:, None] if axis == -2 else column)
        target = _key(outputs, axis)
        if t == 0:
            y[target] = part
        else:
            y[target] += part
    return y


def _key(places: list[int], axis: int) -> tuple[Any, ...]:
    """The places along the axis; as a slice, which copies nothing, if they are evenly spaced."""
    step = places[1] - places[0] if len(places) > 1 else 1
    even = step > 0 and all(b - a == step for a, b in zip(places, places[1:], strict=False))
    where = slice(places[0], places[-1] + 1, step) if even else np.array(places)
    return (..., where, slice(None)) if axis == -2 else (..., where)
