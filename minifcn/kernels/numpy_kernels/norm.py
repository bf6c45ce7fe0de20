"""Batch normalisation over all axes of x (N C ...) but 1; mean, var, weight, bias: C.

The variance is that of x - mean, never a difference of two large sums, and a second pass over
x - mean takes out the rounding error of the mean: mean 10,000 and deviation 1 lose nothing.
"""

from __future__ import annotations

import numpy as np

from ...device import Array

__all__ = ["batch_norm", "batch_norm_grad", "batch_norm_weight", "channel_affine", "moments"]


@np.errstate(all="ignore")  # it is called outside of operators too, see Op.__call__
def moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) of every channel; of no values 0."""
    axes = _axes(x)
    count = x.size // max(x.shape[1], 1)
    if count == 0:
        return np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    mean = x.sum(axis=axes) / count
    d = x - _column(mean, x)
    rest = d.sum(axis=axes) / count  # what rounding left in the mean
    var = np.square(d, out=d).sum(axis=axes) / count - np.square(rest)
    return mean + rest, np.maximum(var, 0)


def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """y = weight (x - mean) r + bias,  r = 1 / sqrt(var + eps)."""
    return channel_affine(x, mean, weight / np.sqrt(var + eps), bias)


def channel_affine(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    """y = (x - origin) scale + shift, each one number per channel."""
    y = x - _column(origin, x)  # first, so that no two large products cancel
    y *= _column(scale, x)
    y += _column(shift, x)
    return y


def batch_norm_weight(gy: Array, x: Array, mean: Array, var: Array, eps: float) -> Array:
    """gw = sum gy (x - mean) r."""
    d = x - _column(mean, x)
    d *= gy
    return np.asarray(d.sum(axis=_axes(x)) / np.sqrt(var + eps))


def batch_norm_grad(
    gy: Array, x: Array, weight: Array, mean: Array, var: Array, gw: Array, gb: Array, eps: float
) -> Array:
    """gx = weight r (gy - gb/M - (x - mean) r gw/M),  M = values per channel."""
    M = max(x.size // max(x.shape[1], 1), 1)
    r = 1 / np.sqrt(var + eps)
    gx = x - _column(mean, x)
    gx *= _column(-r * gw / M, x)
    gx += gy
    gx -= _column(gb / M, x)
    gx *= _column(weight * r, x)
    return gx


def _axes(x: Array) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return 0, *range(2, x.ndim)


def _column(c: Array, x: Array) -> Array:
    """C as 1 C 1 1, to go with x."""
    return c.reshape(1, -1, *(1,) * (x.ndim - 2))
