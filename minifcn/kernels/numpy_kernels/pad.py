"""Padding with a constant, and cropping: one copy."""

from __future__ import annotations

from ...device import Array
from ...shapes import Pair
from .memory import empty
from .structure import fill_around

__all__ = ["pad"]


def pad(x: Array, pads: tuple[Pair, ...], value: float) -> Array:
    """`before` and `after` more elements per axis, all equal to value; negative ones are cut."""
    shape = [size + before + after for size, (before, after) in zip(x.shape, pads, strict=True)]
    y = empty(tuple(shape), x.dtype)
    target, source = [], []
    for size, (before, after) in zip(x.shape, pads, strict=True):
        first, stop = max(0, -before), size - max(0, -after)
        target.append(slice(first + before, max(stop, first) + before))
        source.append(slice(first, max(stop, first)))
    fill_around(y, target, value)
    y[tuple(target)] = x[tuple(source)]
    return y
