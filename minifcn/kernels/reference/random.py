"""Random masks, one draw at a time."""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = ["dropout", "keep"]


def keep(generator: np.random.Generator, shape: Shape, p: float) -> Array:
    mask = np.empty(shape, bool)
    for index in np.ndindex(*shape):
        mask[index] = generator.random(dtype=np.float32) >= p
    return mask


def dropout(x: Array, mask: Array, p: float) -> Array:
    y = np.empty(x.shape, x.dtype)
    for index in np.ndindex(*x.shape):
        y[index] = x[index] / (1 - p) if mask[index] else 0 * x[index]
    return y
