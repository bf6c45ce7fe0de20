"""Softmax and the losses: cuda/softmax.cu, cuda/loss.cu and cuda/confusion.cu.

A label that is neither ignored nor a class is never used as an index; its loss is nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array, cupy, to_host
from ...shapes import Shape
from . import numbers
from .columns import rows_of, size_of, wide_dtype
from .launch import STATIC_SHARED, THREADS, blocks, program
from .lines import labels_of, lines_of, pixels_of
from .memory import dense, empty, flat

__all__ = [
    "confusion", "cross_entropy", "cross_entropy_grad", "first_bad_label", "log_softmax",
    "nll_loss", "nll_loss_grad", "softmax", "target_weight",
]  # fmt: skip

BLOCKS = 1024  # of the walk that counts


def softmax(x: Array, axis: int) -> Array:
    return _along("softmax", x, axis)


def log_softmax(x: Array, axis: int) -> Array:
    return _along("log_softmax", x, axis)


def _along(kernel: str, x: Array, axis: int) -> Array:
    y, lines = empty(x.shape, x.dtype), lines_of(x, axis)
    run = program("softmax", REAL=x.dtype, WIDE=wide_dtype(x.dtype))
    run(kernel, lines.grid, THREADS, lines.memory, flat(y), *lines.shape)
    return y


def _program(dtype: Any, labels: Array) -> Any:
    return program("loss", REAL=dtype, WIDE=wide_dtype(dtype), LABEL=labels.dtype)


def _room(shape: Shape, dtype: Any) -> Array:
    """Room for a number per pixel, in the order of `pixels_of`."""
    made: Array = cupy().empty(shape, dtype)
    return made


def first_bad_label(target: Array, classes: int, ignore_index: int) -> int:
    """The position is read back, but for a captured step: there a flag of its table gets it."""
    labels, table = labels_of(target), numbers.current.table
    least = _room((1,), np.int64) if table is None else table.flag("first_bad_label")
    run = program("confusion", REAL=np.float32, LABEL=labels.dtype)
    run("start", 1, 1, least.view(np.uint64), 2**64 - 1, 1)
    run("first_bad_label", blocks(labels.size), THREADS, labels, classes, ignore_index,
        least.view(np.uint64), labels.size)  # fmt: skip
    return int(to_host(least)[0]) if table is None else -1


def confusion(x: Array, target: Array, ignore_index: int | None = None) -> Array:
    """matrix[t, p]: how many pixels of class t have their largest logit at p. int64, C C."""
    (pixels, C), labels = size_of(x), labels_of(target)
    matrix = _room((C, C), np.uint64)
    spare = C * C if 4 * C * C <= STATIC_SHARED else 0
    run = program("confusion", REAL=x.dtype, LABEL=labels.dtype)
    run("start", blocks(matrix.size), THREADS, matrix, 0, matrix.size)
    ignored = ignore_index is not None, ignore_index or 0
    run("confusion", min(blocks(pixels), BLOCKS), THREADS, rows_of(x), labels, *ignored, matrix,
        pixels, C, spare, shared=4 * spare)  # fmt: skip
    made: Array = matrix.view(np.int64)
    return made


def target_weight(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> Array:
    y, labels = _room(target.shape, x.dtype), labels_of(target)
    run = _program(x.dtype, labels)
    run("target_weight", blocks(y.size), THREADS, pixels_of(x), labels, dense(weight),
        ignore_index, float(smoothing), y, y.size, weight.size)  # fmt: skip
    return y


def nll_loss(x: Array, target: Array, weight: Array, ignore_index: int) -> Array:
    y, labels, lines = _room(target.shape, x.dtype), labels_of(target), lines_of(x, 1)
    run = _program(x.dtype, labels)
    run("nll_loss", blocks(y.size), THREADS, lines.memory, labels, dense(weight), ignore_index, y,
        *lines.shape[:3])  # fmt: skip
    return y


def nll_loss_grad(
    gy: Array, target: Array, weight: Array, ignore_index: int, classes: int
) -> Array:
    gx, labels = empty((target.shape[0], classes, *target.shape[1:]), gy.dtype), labels_of(target)
    lines, run = lines_of(gx, 1), _program(gy.dtype, labels)
    run("nll_loss_grad", lines.grid, THREADS, pixels_of(gy), labels, dense(weight), ignore_index,
        flat(gx), *lines.shape)  # fmt: skip
    return gx


def cross_entropy(
    x: Array, target: Array, weight: Array, ignore_index: int, smoothing: float
) -> tuple[Array, Array, Array]:
    """The loss of every pixel; and for the gradient top = max_c x, total = sum_c e^(x - top)."""
    loss, top, total = (_room(target.shape, x.dtype) for _ in range(3))
    lines, labels = lines_of(x, 1), labels_of(target)
    run = _program(x.dtype, labels)
    run("cross_entropy", lines.grid, THREADS, lines.memory, labels, dense(weight), ignore_index,
        float(smoothing), loss, top, total, *lines.shape)  # fmt: skip
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
    gx, lines, labels = empty(x.shape, x.dtype), lines_of(x, 1), labels_of(target)
    run = _program(x.dtype, labels)
    run("cross_entropy_grad", lines.grid, THREADS, pixels_of(gy), lines.memory, labels,
        dense(weight), pixels_of(top), pixels_of(total), ignore_index, float(smoothing), flat(gx),
        *lines.shape)  # fmt: skip
    return gx
