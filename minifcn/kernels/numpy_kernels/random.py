"""Random numbers from a generator that the caller owns."""

from __future__ import annotations

import numpy as np

from ...device import Array
from ...shapes import Shape
from .memory import buffer
from .rows import result

__all__ = ["dropout", "keep"]


def keep(generator: np.random.Generator, shape: Shape, p: float) -> Array:
    """A mask that is False with probability p: one float32 draw per element, in row order."""
    draws, mask = buffer(shape, np.float32), buffer(shape, np.bool_)
    generator.random(dtype=np.float32, out=draws)
    np.greater_equal(draws, p, out=mask)
    return mask


def dropout(x: Array, mask: Array, p: float) -> Array:
    """x / (1 - p) where mask, else 0 x; with p = 1 nothing is kept, and nothing divided."""
    y = result(x)
    np.copyto(y, mask)
    if p < 1:
        np.multiply(y, 1 / (1 - p), out=y)
    np.multiply(y, x, out=y)
    return y
