"""Separable linear maps, one product at a time."""

from __future__ import annotations

import numpy as np

from ...device import Array

__all__ = ["resample"]

Taps = tuple[tuple[tuple[int, float], ...], ...]


def resample(x: Array, rows: Taps, cols: Taps) -> Array:
    y = np.zeros((*x.shape[:-2], len(rows), len(cols)), x.dtype)
    for *lead, i, j in np.ndindex(y.shape):
        for h, a in rows[i]:
            for w, b in cols[j]:
                y[(*lead, i, j)] += a * b * x[(*lead, h, w)]
    return y
