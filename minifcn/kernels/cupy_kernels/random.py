"""Random numbers on the device: cuda/random.cu, a generator that counts.

The caller's generator gives one 64-bit key per mask; the device makes the mask of it. So the masks
of one generator state are equal wherever a GPU makes them, but not the bits of the NumPy twin,
which draws one number per element.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from ...device import Array
from ...shapes import Shape
from .elementwise import cast
from .launch import THREADS, blocks, program
from .memory import dense, empty, flat
from .numbers import fresh

__all__ = ["dropout", "keep"]

FOUR = 4  # elements of a mask per call of the generator


def keep(generator: np.random.Generator, shape: Shape, p: float) -> Array:
    """A mask that is False with probability p: 24 random bits per element, in memory order."""
    key = fresh(lambda: generator.integers(0, 2**63), "u8")
    mask = empty(shape, np.bool_)
    run = program("random", REAL=np.dtype(np.float32))
    grid = blocks(mask.size, FOUR * THREADS)
    run("keep", grid, THREADS, key, ceil(p * 2**24), flat(mask), mask.size)
    return mask


def dropout(x: Array, mask: Array, p: float) -> Array:
    """x / (1 - p) where mask, else 0 x; with p = 1 nothing is kept, and nothing divided."""
    y = empty(x.shape, x.dtype)
    seen = mask if mask.dtype.kind == "b" else cast(mask, "bool")
    run = program("random", REAL=x.dtype)
    factor = 1 / (1 - p) if p < 1 else 1.0
    run("dropout", blocks(y.size), THREADS, dense(x), dense(seen), factor, flat(y), y.size)
    return y
