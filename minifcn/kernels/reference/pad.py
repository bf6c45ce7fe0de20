"""Padding with a constant, one element at a time."""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Pair

__all__ = ["pad"]


def pad(x: Array, pads: tuple[Pair, ...], value: float) -> Array:
    y = np.empty(
        [n + before + after for n, (before, after) in zip(x.shape, pads, strict=True)], x.dtype
    )
    for index in np.ndindex(y.shape):
        place = tuple(i - before for i, (before, _) in zip(index, pads, strict=True))
        inside = all(0 <= i < n for i, n in zip(place, x.shape, strict=True))
        y[index] = x[place] if inside else value
    return y
