"""Batch normalisation, one channel and one value at a time.

mean = sum x / M     var = sum (x - mean)^2 / M     n(x) = (x - mean) / sqrt(var + eps)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ...device import Array

__all__ = [
    "batch_norm", "batch_norm_grad", "batch_norm_relu", "batch_norm_relu_grad",
    "batch_norm_weight", "channel_affine", "channel_affine_relu", "moments", "move_running",
]  # fmt: skip


def _places(x: Array) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(channel, index) of every value."""
    for index in np.ndindex(*x.shape):
        yield index[1], index


def moments(
    x: Array,
    running: tuple[Array | None, Array | None] = (None, None),
    momentum: float = 0.0,
    count: Array | None = None,
) -> tuple[Array, Array]:
    dtype = np.float32 if x.dtype == np.float16 else x.dtype
    mean, var = np.zeros(x.shape[1], dtype), np.zeros(x.shape[1], dtype)
    for c in range(x.shape[1]):
        values = [x[index].item() for channel, index in _places(x) if channel == c]
        if values:
            centre = math.fsum(values) / len(values)
            mean[c] = centre
            var[c] = math.fsum((value - centre) ** 2 for value in values) / len(values)
    M = sum(1 for channel, _ in _places(x) if channel == 0)
    if M > 1:
        move_running(running, mean, var, momentum, M / (M - 1))
    if count is not None:
        count[()] = count[()] + 1
    return mean, var


def move_running(
    running: tuple[Array | None, Array | None],
    mean: Array,
    var: Array,
    momentum: float,
    unbias: float,
) -> None:
    for own, batch, factor in zip(running, (mean, var), (1.0, unbias), strict=True):
        if own is None:
            continue
        for c in range(own.size):
            own[c] = (1 - momentum) * own[c].item() + momentum * (factor * batch[c].item())


def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    y = np.empty(x.shape, x.dtype)
    for c, index in _places(x):
        y[index] = weight[c] * (x[index] - mean[c]) / math.sqrt(var[c] + eps) + bias[c]
    return y


def batch_norm_relu(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> Array:
    y = batch_norm(x, weight, bias, mean, var, eps)
    for _, index in _places(x):
        y[index] = 0 if y[index] < 0 else y[index]
    return y


def channel_affine(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    y = np.empty(x.shape, x.dtype)
    for c, index in _places(x):
        y[index] = (x[index] - origin[c]) * scale[c] + shift[c]
    return y


def channel_affine_relu(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    y = channel_affine(x, origin, scale, shift)
    for _, index in _places(x):
        y[index] = 0 if y[index] < 0 else y[index]
    return y


def batch_norm_weight(gy: Array, x: Array, mean: Array, var: Array, eps: float) -> Array:
    gw = np.zeros(x.shape[1], mean.dtype)
    for c, index in _places(x):
        gw[c] += gy[index] * (x[index] - mean[c]) / math.sqrt(var[c] + eps)
    return gw


def batch_norm_grad(
    gy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    gw: Array,
    gb: Array,
    eps: float,
    M: int,
) -> Array:
    gx = np.empty(x.shape, x.dtype)
    for c, index in _places(x):
        n = (x[index] - mean[c]) / math.sqrt(var[c] + eps)
        gx[index] = weight[c] / math.sqrt(var[c] + eps) * (gy[index] - gb[c] / M - n * gw[c] / M)
    return gx


def batch_norm_relu_grad(
    gy: Array,
    y: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    eps: float,
    M: int,
    totals: Callable[[Array, Array], tuple[Array, Array]],
) -> tuple[Array, Array, Array]:
    g, gb = np.zeros(x.shape, x.dtype), np.zeros(x.shape[1], weight.dtype)
    for c, index in _places(x):
        if not y[index] <= 0:
            g[index] = gy[index]
            gb[c] += gy[index]
    gw = batch_norm_weight(g, x, mean, var, eps)
    return batch_norm_grad(g, x, weight, mean, var, *totals(gw, gb), eps, M), gw, gb
