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

Array = NDArray[Any]
Ints = NDArray[np.int32]


def winner(logits: Array) -> tuple[Ints, Array]:
    """(argmax_k, max_k): the first on the host, the second where the logits are.   Shape   N H W"""
    if not isinstance(logits, np.ndarray):
        return _winner_there(Tensor(logits))
    # class by class: `argmax` over axis 1 would copy all the logits
    best = logits[:, 0].copy()  # N h w
    found = np.zeros(best.shape, np.int32)
    for k in range(1, logits.shape[1]):
        found[logits[:, k] > best] = k
        np.maximum(best, logits[:, k], out=best)
    refuse_nan(best)
    return found, best


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
