"""Softmax and the losses, one pixel at a time, with Python's arithmetic.

log softmax_c = x_c - log sum_j e^x_j       q_c = k weight_c ((1 - s) [c = label] + s/C)
loss = -sum_c q_c log softmax_c             d loss / d x_c = sum_j q_j softmax_c - q_c
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...device import Array
from ...shapes import Shape

__all__ = [
    "confusion", "cross_entropy", "cross_entropy_grad", "first_bad_label", "log_softmax",
    "nll_loss", "nll_loss_grad", "softmax", "target_weight",
]  # fmt: skip


def _lines(shape: Shape, axis: int) -> Iterator[tuple[int | slice, ...]]:
    """The index of every line of `shape` along `axis`."""
    for place in np.ndindex(*shape[:axis], *shape[axis + 1 :]):
        yield (*place[:axis], slice(None), *place[axis:])


def _log_softmax(values: list[float]) -> list[float]:
    top = max(values, default=0.0)
    log_sum = top + math.log(math.fsum(math.exp(value - top) for value in values) or 1)
    return [value - log_sum for value in values]


def _class_weights(label: int, weight: Array, ignore_index: int, smoothing: float) -> list[float]:
    """q_c of one pixel."""
    if label == ignore_index:
        return [0.0 for _ in weight]
    share = smoothing / len(weight)
    return [float(one) * ((1 - smoothing) * (c == label) + share) for c, one in enumerate(weight)]


def softmax(x: Array, axis: int) -> Array:
    y = np.empty(x.shape, x.dtype)
    for line in _lines(x.shape, axis):
        y[line] = [math.exp(value) for value in _log_softmax(x[line].tolist())]
    return y


def log_softmax(x: Array, axis: int) -> Array:
    y = np.empty(x.shape, x.dtype)
    for line in _lines(x.shape, axis):
        y[line] = _log_softmax(x[line].tolist())
    return y


def first_bad_label(target: Array, classes: int, ignore_index: int) -> int:
    for position, label in enumerate(target.ravel().tolist()):
        if label != ignore_index and label not in range(classes):
            return position
    return -1


def confusion(x: Array, target: Array, ignore_index: int | None = None) -> Array:
    matrix = np.zeros((x.shape[1], x.shape[1]), np.int64)
    for n, *pixel in np.ndindex(*target.shape):
        label = int(target[(n, *pixel)])
        if label == ignore_index or label not in range(x.shape[1]):
            continue
        values, best = x[(n, slice(None), *pixel)].tolist(), 0
        for c, value in enumerate(values):
            if value > values[best] or (math.isnan(value) and not math.isnan(values[best])):
                best = c
        matrix[label, best] += 1
    return matrix


def target_weight(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> Array:
    y = np.zeros(target.shape, x.dtype)
    for index in np.ndindex(*target.shape):
        q = _class_weights(int(target[index]), weight, ignore_index, smoothing)
        if target[index] != ignore_index:
            y[index] = x[index] * math.fsum(q)
    return y


def nll_loss(x: Array, target: Array, weight: Array, ignore_index: int) -> Array:
    y = np.zeros(target.shape, x.dtype)
    for n, *pixel in np.ndindex(*target.shape):
        label = int(target[(n, *pixel)])
        if label != ignore_index:
            y[(n, *pixel)] = -weight[label] * x[(n, label, *pixel)]
    return y


def nll_loss_grad(
    gy: Array, target: Array, weight: Array, ignore_index: int, classes: int
) -> Array:
    gx = np.zeros((target.shape[0], classes, *target.shape[1:]), gy.dtype)
    for n, *pixel in np.ndindex(*target.shape):
        label = int(target[(n, *pixel)])
        if label != ignore_index:
            gx[(n, label, *pixel)] = -weight[label] * gy[(n, *pixel)]
    return gx


def cross_entropy(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> tuple[Array, Array, Array]:
    loss, top, total = (np.zeros(target.shape, x.dtype) for _ in range(3))
    for n, *pixel in np.ndindex(*target.shape):
        place = (n, *pixel)
        values = x[(n, slice(None), *pixel)].tolist()
        q = _class_weights(int(target[place]), weight, ignore_index, smoothing)
        loss[place] = -math.fsum(
            q_c * log_p for q_c, log_p in zip(q, _log_softmax(values), strict=True)
        )
        top[place] = max(values)
        total[place] = math.fsum(math.exp(value - max(values)) for value in values)
    return loss, top, total


def cross_entropy_grad(
    gy: Array,
    x: Array,
    target: Array,
    weight: Array,
    top: Array,
    total: Array,
    ignore_index: int,
    smoothing: float,
) -> Array:
    gx = np.zeros(x.shape, x.dtype)
    for n, *pixel in np.ndindex(*target.shape):
        place = (n, *pixel)
        q = _class_weights(int(target[place]), weight, ignore_index, smoothing)
        for c, q_c in enumerate(q):
            p = math.exp(x[(n, c, *pixel)] - top[place]) / total[place]
            gx[(n, c, *pixel)] = gy[place] * (math.fsum(q) * p - q_c)
    return gx
