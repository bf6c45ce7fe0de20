"""Softmax and the losses made of it. Axis 1 of x (N C ...) holds the classes; labels are N ...

    z = x - max_c x     total = sum_c e^z     log softmax = z - log total

Subtracting the largest logit first keeps e^z at most 1; a difference of logits is never taken from
two large numbers. With s the smoothing and k = [label counts], a pixel's loss has the class weights

    q_c = k weight_c ((1 - s) [c = label] + s/C)      loss = -sum_c q_c log softmax_c
"""

from __future__ import annotations

import numpy as np

from ...device import Array

__all__ = [
    "cross_entropy", "cross_entropy_grad", "first_bad_label", "log_softmax",
    "nll_loss", "nll_loss_grad", "softmax", "target_weight",
]  # fmt: skip


def softmax(x: Array, axis: int) -> Array:
    """e^x / sum e^x along `axis`; inf - inf is nan, as in PyTorch."""
    y = np.asarray(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y


def log_softmax(x: Array, axis: int) -> Array:
    """x - log sum e^x along `axis`."""
    y = np.asarray(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def first_bad_label(target: Array, classes: int, ignore_index: int) -> int:
    """Flat position of the first label that is neither ignored nor 0 .. classes - 1; or -1."""
    if target.size == 0 or (target.min() >= 0 and target.max() < classes):
        return -1
    bad = ((target < 0) | (target >= classes)) & (target != ignore_index)
    return int(bad.argmax()) if bad.any() else -1


def target_weight(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> Array:
    """x sum_c q_c at every pixel; 0 where the label is ignored, even if x is infinite."""
    counted, label = _counted(target, ignore_index)
    return np.where(counted, x * _mass(weight, label, smoothing), x.dtype.type(0))


def nll_loss(x: Array, target: Array, weight: Array, ignore_index: int) -> Array:
    """-k weight[label] x[label]; 0 inf is nan, as in PyTorch."""
    counted, label = _counted(target, ignore_index)
    loss = weight[label] * x[_at(label)]
    return np.where(counted, -loss, x.dtype.type(0))


def nll_loss_grad(
    gy: Array, target: Array, weight: Array, ignore_index: int, classes: int
) -> Array:
    """-k weight[c] gy where c is the label, else 0."""
    counted, label = _counted(target, ignore_index)
    gx = np.zeros((target.shape[0], classes, *target.shape[1:]), gy.dtype)
    gx[_at(label)] = np.where(counted, -weight[label] * gy, gy.dtype.type(0))
    return gx


def cross_entropy(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> tuple[Array, Array, Array]:
    """The loss of every pixel; and for the gradient top = max_c x, total = sum_c e^z."""
    counted, label = _counted(target, ignore_index)
    top = x.max(axis=1, initial=-np.inf)  # N ...
    z = x - top[:, None]  # N C ...
    hit = z[_at(label)]
    flat = np.tensordot(weight, z, ([0], [1])) / x.shape[1] if smoothing else 0
    total = np.exp(z, out=z).sum(axis=1)
    log_total = np.log(total)
    loss = (1 - smoothing) * weight[label] * (log_total - hit)
    if smoothing:
        loss += smoothing * (weight.mean() * log_total - flat)
    return np.where(counted, loss, x.dtype.type(0)), top, total


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
    """gx = gy (sum_j q_j softmax_c - q_c)."""
    counted, label = _counted(target, ignore_index)
    g = np.where(counted, gy, gy.dtype.type(0))
    gx = x - top[:, None]
    np.exp(gx, out=gx)
    gx *= (g * _mass(weight, label, smoothing) / total)[:, None]
    if smoothing:
        column = weight.reshape(1, -1, *(1,) * (x.ndim - 2))
        gx -= column * (g * (smoothing / x.shape[1]))[:, None]
    gx[_at(label)] -= g * ((1 - smoothing) * weight[label])
    return gx


def _counted(target: Array, ignore_index: int) -> tuple[Array, Array]:
    """(k, label): which labels count, and labels that can be used as indices everywhere."""
    counted = target != ignore_index
    return counted, np.where(counted, target, 0).astype(np.intp, copy=False)


def _mass(weight: Array, label: Array, smoothing: float) -> Array:
    """sum_c q_c where the label counts:  (1 - s) weight[label] + s mean(weight)."""
    mass = (1 - smoothing) * weight[label]
    return np.asarray(mass + smoothing * weight.mean()) if smoothing else mass


def _at(label: Array) -> tuple[Array, ...]:
    """The index of every pixel's own class in an array N C ..."""
    n, *rest = np.ix_(*(np.arange(size) for size in label.shape))
    return n, label, *rest
