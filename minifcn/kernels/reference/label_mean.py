"""The mean of a loss by labels, one pixel at a time."""

from __future__ import annotations

import math

import numpy as np

from ...device import Array

__all__ = ["label_mean"]


def label_mean(loss: Array, target: Array, weight: Array, ignore_index: int) -> tuple[Array, Array]:
    places = [at for at in np.ndindex(*target.shape) if target[at] != ignore_index]
    total = math.fsum(float(weight[target[at]]) for at in places) or math.nan
    mean = math.fsum(float(loss[at]) for at in np.ndindex(*loss.shape)) / total
    return np.array(mean, loss.dtype), np.array(total, loss.dtype)
