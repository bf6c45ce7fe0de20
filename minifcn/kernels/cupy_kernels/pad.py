"""Padding with a constant, and cropping: cuda/place.cu."""

from __future__ import annotations

from ...device import Array
from ...shapes import Pair
from .views import placed

__all__ = ["pad"]


def pad(x: Array, pads: tuple[Pair, ...], value: float) -> Array:
    """`before` and `after` more elements per axis, all equal to value; negative ones are cut."""
    shape = [size + before + after for size, (before, after) in zip(x.shape, pads, strict=True)]
    return placed(x, tuple(shape), [before for before, _ in pads], [1] * x.ndim, value)
