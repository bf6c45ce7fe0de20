"""The mean of a loss by labels."""

from __future__ import annotations

import numpy as np

from ...device import Array
from .elementwise import full
from .loss import target_weight

__all__ = ["label_mean"]


def label_mean(loss: Array, target: Array, weight: Array, ignore_index: int) -> tuple[Array, Array]:
    """(sum loss / total, total): total = sum of k weight[label], or nan if that is 0.

    k = [label is not ignore_index]. Added up in float64.
    """
    mass = target_weight(full(target.shape, 1, loss), target, weight, ignore_index, 0.0)
    total = mass.sum(dtype=np.float64) or np.nan
    mean = loss.sum(dtype=np.float64) / total
    return np.asarray(mean, loss.dtype), np.asarray(total, loss.dtype)
