"""Softmax and the losses made of it. Axis 1 of x (N C ...) holds the classes; labels are N ...

    z = x - max_c x     total = sum_c e^z     log softmax = z - log total

Subtracting the largest logit first keeps e^z at most 1; a difference of logits is never taken from
two large numbers. With s the smoothing and k = [label counts], a pixel's loss has the class weights

    q_c = k weight_c ((1 - s) [c = label] + s/C)      loss = -sum_c q_c log softmax_c

NumPy is slow along the few classes of a pixel, and fast along the pixels of a class. So where sums
over classes are wanted some rows at a time are copied to planes, C S with S pixels, and everything
is done there, in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ...device import Array
from .memory import buffer, empty, pixels
from .rows import PIECE, image, pieces, result

__all__ = [
    "confusion", "cross_entropy", "cross_entropy_grad", "first_bad_label", "log_softmax",
    "nll_loss", "nll_loss_grad", "softmax", "target_weight",
]  # fmt: skip

Place = tuple[slice, slice]  # rows, columns


def softmax(x: Array, axis: int) -> Array:
    """e^x / sum e^x along `axis`; inf - inf is nan, as in PyTorch."""
    if x.ndim != 4 or axis != 1:
        y = result(x)
        np.subtract(x, x.max(axis=axis, keepdims=True, initial=-np.inf), out=y)
        np.exp(y, out=y)
        np.divide(y, y.sum(axis=axis, keepdims=True), out=y)
        return y
    y = empty(x.shape, x.dtype)
    for place, z in _planes(x):
        z -= _largest(z)
        np.exp(z, out=z)
        z /= z.sum(0)
        _put(y, place, z)
    return y


def log_softmax(x: Array, axis: int) -> Array:
    """x - log sum e^x along `axis`."""
    if x.ndim != 4 or axis != 1:
        y = result(x)
        np.subtract(x, x.max(axis=axis, keepdims=True, initial=-np.inf), out=y)
        np.subtract(y, np.log(np.exp(y).sum(axis=axis, keepdims=True)), out=y)
        return y
    y = empty(x.shape, x.dtype)
    for place, z in _planes(x):
        z -= _largest(z)
        z -= np.log(np.exp(z).sum(0))
        _put(y, place, z)
    return y


def first_bad_label(target: Array, classes: int, ignore_index: int) -> int:
    """Flat position of the first label that is neither ignored nor 0 .. classes - 1; or -1."""
    if target.size == 0 or (target.min() >= 0 and target.max() < classes):
        return -1
    flat = target.reshape(-1)
    for start in range(0, flat.size, PIECE):
        part = flat[start : start + PIECE]
        bad = ((part < 0) | (part >= classes)) & (part != ignore_index)
        if bad.any():
            return start + int(bad.argmax())
    return -1


def confusion(x: Array, target: Array, ignore_index: int | None = None) -> Array:
    """m_tp: how many pixels of class t have their largest logit at p; a nan is the largest.

    Labels that are ignored, or no classes, are not counted.
    """
    C = x.shape[1]
    counted = (target >= 0) & (target < C)
    if ignore_index is not None:
        counted &= target != ignore_index
    pairs = C * target[counted].astype(np.int64) + x.argmax(1)[counted]
    return np.bincount(pairs, minlength=C * C).reshape(C, C)


def target_weight(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> Array:
    """x sum_c q_c at every pixel; 0 where the label is ignored, even if x is infinite."""
    y, values, labels = _pixel_numbers(x), _by_rows(x), _by_rows(target)
    out, weights = _by_rows(y), _Weights(weight, smoothing)
    for place in _places(labels.shape, 1):
        ignored, label = _counted(labels[place], ignore_index)
        np.multiply(values[place], weights.mass(label), out=out[place])
        _leave_out(out[place], ignored)
    return y


def nll_loss(x: Array, target: Array, weight: Array, ignore_index: int) -> Array:
    """-k weight[label] x[label]; 0 inf is nan, as in PyTorch."""
    ignored, label = _counted(target, ignore_index)
    loss = weight[label] * x[_at(label)]
    loss = np.asarray(np.negative(loss, out=loss))
    _leave_out(loss, ignored)
    return loss


def nll_loss_grad(
    gy: Array, target: Array, weight: Array, ignore_index: int, classes: int
) -> Array:
    """-k weight[c] gy where c is the label, else 0."""
    ignored, label = _counted(target, ignore_index)
    gx = empty((target.shape[0], classes, *target.shape[1:]), gy.dtype)
    gx[...] = 0
    own = np.asarray(-weight[label] * gy)
    _leave_out(own, ignored)
    gx[_at(label)] = own
    return gx


def cross_entropy(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> tuple[Array, Array, Array]:
    """The loss of every pixel; and for the gradient top = max_c x, total = sum_c e^z."""
    made = [_pixel_numbers(target, x.dtype) for _ in range(3)]
    losses, tops, totals = map(_by_rows, made)
    labels, C, weights = _by_rows(target), x.shape[1], _Weights(weight, smoothing)
    for place, z in _planes(x):
        ignored, label = _counted(labels[place], ignore_index)
        top = _largest(z)
        tops[place] = top.reshape(label.shape)
        z -= top
        hit = np.take(z.reshape(-1), _own(label)).reshape(label.shape)
        flat = (weight @ z).reshape(label.shape) / C if smoothing else None
        np.exp(z, out=z)
        total = z.sum(0).reshape(label.shape)
        totals[place] = total
        log_total = np.log(total, out=total)
        loss = np.subtract(log_total, hit, out=hit)
        loss *= weights.own(label)
        if flat is not None:
            loss += smoothing * (weight.mean() * log_total - flat)
        _leave_out(loss, ignored)
        losses[place] = loss
    return made[0], made[1], made[2]


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
    """gx = gy (sum_j q_j softmax_c - q_c).

    Pixel by pixel, as the logits lie: no sum over classes is needed here. What all classes of a
    pixel share is repeated by a product with ones, the fastest way to do so.
    """
    values, C = image(x), x.shape[1]
    gx = empty(values.shape, x.dtype)
    rows, out = pixels(values), pixels(gx)  # H W N C
    gys, labels, tops, totals = map(_by_rows, (gy, target, top, total))
    weights, ones = _Weights(weight, smoothing), np.ones((1, C), x.dtype)
    room, more = (_room(labels.shape, C, x.dtype) for _ in range(2))
    for place in _places(labels.shape, C):
        part = rows[place]
        z, repeated = (r[: part.size].reshape(part.size // C, C) for r in (room, more))  # S C
        ignored, label = _counted(labels[place], ignore_index)
        g = np.array(gys[place])
        _leave_out(g, ignored)
        np.dot(tops[place].reshape(-1, 1), ones, out=repeated)
        np.subtract(part, repeated.reshape(part.shape), out=z.reshape(part.shape))
        np.exp(z, out=z)
        share = g * weights.mass(label)
        share /= totals[place]
        z *= np.dot(share.reshape(-1, 1), ones, out=repeated)
        if smoothing:
            z -= np.dot((g * (smoothing / C)).reshape(-1, 1), weight[None], out=repeated)
        g *= weights.own(label)
        own = label.reshape(-1)  # ours to write
        own += _count(own.size, C)
        z.reshape(-1)[own] -= g.reshape(-1)
        np.copyto(out[place], z.reshape(part.shape))
    return gx.reshape(x.shape)


def _planes(x: Array) -> Iterator[tuple[Place, Array]]:
    """(rows and columns, their logits as C S), a copy that may be written; S counts H W N."""
    rows = image(x).transpose(1, 2, 3, 0)  # C H W N
    C, H, W, N = rows.shape
    scratch = _room((H, W, N), C, x.dtype)
    for place in _places((H, W, N), C):
        part = rows[(slice(None), *place)]
        z = scratch[: part.size].reshape(part.shape)
        np.copyto(z, part)
        yield place, z.reshape(C, part.size // C)


def _room(shape: tuple[int, ...], C: int, dtype: Any) -> Array:
    """Scratch for the largest of the pieces that `_places` names."""
    return buffer((min(prod(shape) * C, max(PIECE, shape[2] * C)),), dtype)


def _places(shape: tuple[int, ...], C: int) -> tuple[Place, ...]:
    """Rows and columns of H W N pixels that make a piece with C numbers per pixel."""
    H, W, N = shape
    return pieces((H, W, N * C))


def _put(y: Array, place: Place, z: Array) -> None:
    """Planes back into their place of N C ..."""
    part = image(y).transpose(1, 2, 3, 0)[(slice(None), *place)]  # C H W N
    np.copyto(part, z.reshape(part.shape))


def _by_rows(numbers: Array) -> Array:
    """N ... as H W N, in the order of image(x); a view, whatever `_pixel_numbers` made."""
    N, *rest = numbers.shape
    high = rest[0] if len(rest) > 1 else 1
    return numbers.reshape(N, high, prod(rest[len(rest) > 1 :])).transpose(1, 2, 0)


def _pixel_numbers(target: Array, dtype: Any = None) -> Array:
    """Memory for one number per pixel, N ..., that lies as the logits do: the images last."""
    N, *rest = target.shape
    made = buffer((*rest, N), target.dtype if dtype is None else dtype)
    return made.transpose(len(rest), *range(len(rest)))


def _largest(z: Array) -> Array:
    top: Array = np.maximum.reduce(z, axis=0, initial=-np.inf)
    return top


def _counted(target: Array, ignore_index: int) -> tuple[Array | None, Array]:
    """(not k, label): which labels do not count, None for none; labels that can be indices."""
    ignored = target == ignore_index
    label = target.astype(np.intp)  # a copy
    if not ignored.any():
        return None, label
    np.copyto(label, 0, where=ignored)
    return ignored, label


def _leave_out(numbers: Array, ignored: Array | None) -> None:
    """0 where the label does not count, whatever stood there."""
    if ignored is not None:
        np.copyto(numbers, 0, where=ignored)


def _own(label: Array) -> Array:
    """S: where every pixel's own class lies in flat planes C S."""
    flat: Array = label.reshape(-1) * label.size
    flat += _count(label.size, 1)
    return flat


@lru_cache(maxsize=8)
def _count(size: int, step: int) -> Array:
    return np.arange(0, size * step, step)


class _Weights:
    """(1 - s) weight[label] and the like; numbers where all classes weigh the same."""

    def __init__(self, weight: Array, smoothing: float) -> None:
        self.hard = (1 - smoothing) * weight
        self.soft = smoothing * weight.mean() if smoothing else None
        self.alike = weight.size > 0 and bool((weight == weight[0]).all())

    def own(self, label: Array) -> Any:
        """(1 - s) weight[label]."""
        return self.hard[0] if self.alike else self.hard.take(label)

    def mass(self, label: Array) -> Any:
        """sum_c q_c where the label counts:  (1 - s) weight[label] + s mean(weight)."""
        hard = self.own(label)
        return hard if self.soft is None else hard + self.soft


def _at(label: Array) -> tuple[Array, ...]:
    """The index of every pixel's own class in an array N C ..."""
    n, *rest = np.ix_(*(np.arange(size) for size in label.shape))
    return n, label, *rest
