"""Mean and variance of the channels of an image, to the last digits, in one walk.

The values of a channel are measured from an origin near to them before they are squared: the mean
of their first row. Since the rows of H have a variance of at least (their means' distance)^2 / H,
what the two sums of  var = sum d^2 / M - (sum d / M)^2  lose by cancelling is bounded by H, for
mean 10,000 and deviation 1 too. Rows are added up in x's dtype, and these sums in float64.

Where all means are as small as the deviations, no origin is subtracted: a pass less.
"""

from __future__ import annotations

import numpy as np

from ...device import Array
from .rows import Scratch, Sums, blocks, grid, tiled

__all__: list[str] = []  # a tool of norm.py

NEAR = 2.0  # deviations; an origin so near to the mean costs about as many roundings more


def exact_moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) in float64."""
    C, rows = x.shape[1], grid(x)
    M = x.size // max(C, 1)
    if M == 0:
        return np.zeros(C), np.zeros(C)
    origin, var = _first_row(rows, C)
    origin[~np.isfinite(origin)] = 0  # x - inf would make the mean nan, which is inf
    if (np.square(origin) <= NEAR**2 * var).all():
        origin[:] = 0
    origin = origin.astype(x.dtype)  # exactly what the rows are measured from
    sums, squares = _power_sums(rows, origin, x)
    rest = sums / M
    return origin + rest, np.maximum(squares / M - np.square(rest), 0)


def _first_row(rows: Array, C: int) -> tuple[Array, Array]:
    """(mean, variance) of the first row, in float64."""
    row = rows[0].reshape(-1, C).astype(np.float64)
    mean = row.mean(0)
    row -= mean
    return mean, np.square(row, out=row).mean(0)


def _power_sums(rows: Array, origin: Array, x: Array) -> tuple[Array, Array]:
    """(sum d, sum d^2) of d = x - origin; rows: grid(x)."""
    scratch, sums, squares = Scratch(rows.shape, x.dtype), Sums(rows, x.shape), Sums(rows, x.shape)
    moved, tile = bool(origin.any()), tiled(origin, x)
    for (part,) in blocks(rows):
        d = np.subtract(part, tile, out=scratch.like(part)) if moved else part
        sums.add(d)
        squares.add_product(d, d)
    return sums.by_channel(), squares.by_channel()


def few_moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) of a small array, all of it in float64."""
    C, M = x.shape[1], x.size // max(x.shape[1], 1)
    if M == 0:
        return np.zeros(C), np.zeros(C)
    values = x.swapaxes(0, 1).reshape(C, M).astype(np.float64)
    mean = np.add.reduce(values, 1) / M
    values -= mean[:, None]
    return mean, np.einsum("cm,cm->c", values, values) / M


def near_mean(mean: Array, var: Array) -> bool:
    """Whether measuring from another origin than the mean costs next to no digits."""
    return bool((np.square(mean) <= NEAR**2 * var).all())
