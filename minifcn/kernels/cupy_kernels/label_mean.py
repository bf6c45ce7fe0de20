"""The mean of a loss by labels: cuda/label_mean.cu."""

from __future__ import annotations

from ...device import Array, cupy
from .launch import THREADS, blocks, program
from .lines import labels_of, pixels_of
from .memory import dense

__all__ = ["label_mean"]

RUN = 1 << 13  # pixels of a block: two runs of a sum of each thread


def label_mean(loss: Array, target: Array, weight: Array, ignore_index: int) -> tuple[Array, Array]:
    labels, (mean, total) = labels_of(target), (cupy().empty((), loss.dtype) for _ in range(2))
    count = max(blocks(labels.size, RUN), 1)
    parts = cupy().empty(2 * count, "f8") if count > 1 else None
    run = program("label_mean", REAL=loss.dtype, LABEL=labels.dtype, TOTAL="double")
    run("label_mean", count, THREADS, pixels_of(loss), labels, dense(weight), ignore_index,
        weight.size, parts, mean, total, labels.size, RUN)  # fmt: skip
    if parts is not None:
        run("label_mean_total", 1, THREADS, parts, mean, total, count)
    return mean, total
