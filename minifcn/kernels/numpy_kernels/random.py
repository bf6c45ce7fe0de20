"""Random numbers from a generator that the caller owns."""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = ["dropout", "keep"]


def keep(generator: np.random.Generator, shape: Shape, p: float) -> Array:
    """A mask that is False with probability p: one float32 draw per element, in row order."""
    return np.asarray(generator.random(shape, np.float32) >= p)


def dropout(x: Array, mask: Array, p: float) -> Array:
    """x / (1 - p) where mask, else 0 x; with p = 1 nothing is kept, and nothing divided."""
    factor = mask.astype(x.dtype)
    if p < 1:
        factor *= 1 / (1 - p)
    factor *= x
    return factor
