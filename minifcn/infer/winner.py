"""winner: the most likely class of every pixel, worked out where the logits are.

    class_nij = argmax_k logits_nkij        probability_nij = 1 / sum_k exp(l_nkij - max_k l_nkij)

From a GPU only these two come down: one number per pixel, not one per class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import functional as F
from ..core import Tensor
from ..device import to_host
from ..modes import no_grad

BLOCK = 1 << 15  # pixels

Array = NDArray[Any]
Ints = NDArray[np.int32]


def winner(logits: Array) -> tuple[Ints, Array]:
    """(argmax_k, max_k): the first on the host, the second where the logits are.   Shape   N H W"""
    if not isinstance(logits, np.ndarray):
        return _winner_there(Tensor(logits))
    N, K, H, W = logits.shape
    best = np.empty((N, H, W), logits.dtype)
    found = np.empty((N, H, W), np.uint8 if K <= 256 else np.int32)
    rows = max(BLOCK // (N * W), 1)
    for i in range(0, H, rows):  # class by class, while the pixels are in the core's cache
        part = slice(i, i + rows)
        _winner_of(logits[:, :, part], found[:, part], best[:, part])
    refuse_nan(best)
    return found.astype(np.int32), best


def _winner_of(logits: Array, found: Array, best: Array) -> None:
    """Of equals the first; the class goes up, so the largest k that won is the last one."""
    np.copyto(best, logits[:, 0])
    found[...] = 0
    won, k_won = np.empty(best.shape, bool), np.empty(best.shape, found.dtype)
    for k in range(1, logits.shape[1]):
        np.greater(logits[:, k], best, out=won)
        np.multiply(won, found.dtype.type(k), out=k_won)
        np.maximum(found, k_won, out=found)
        np.maximum(best, logits[:, k], out=best)


@no_grad()
def _winner_there(logits: Tensor) -> tuple[Ints, Array]:
    best, found = F.amax(logits, 1), F.argmax(logits, 1)
    refuse_nan(best.data)
    host: Ints = to_host(F.cast(found, np.int32).data)
    return host, best.data


def softmax_of(best: Array, logits: Array) -> Array:
    """The softmax of the largest logit, on the host."""
    if not isinstance(logits, np.ndarray):
        return _softmax_there(Tensor(best), Tensor(logits))
    total = np.zeros_like(best)
    for k in range(logits.shape[1]):
        total += np.exp(logits[:, k] - best)
    return 1 / total


@no_grad()
def _softmax_there(best: Tensor, logits: Tensor) -> Array:
    N, H, W = best.shape
    total = F.sum(F.exp(logits - F.reshape(best, (N, 1, H, W))), 1)
    return to_host((1 / total).data)


@no_grad()
def refuse_nan(logits: Array) -> None:
    """A network that gives nan has seen nothing."""
    y = Tensor(logits)
    if (y != y).any():  # only a nan is unlike itself
        raise ValueError("predict: forward returned NaN logits, so no class is the most likely")
