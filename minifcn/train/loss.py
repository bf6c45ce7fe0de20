"""loss: the loss of a segmentation, and what its mean divides by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .. import functional as F
from ..core import Tensor
from ..device import Array, to_device


class Loss(Protocol):
    """A scalar from the model's output and the target.

    A loss with a method `counted_weight(target)` is a mean over so much; one without, a plain
    function, is taken for a mean over images. It decides how the shares of several processes are
    put together.
    """

    def __call__(self, output: Any, target: Array, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class SegmentationLoss:
    """Cross-entropy over all pixels but those labelled `ignore_index`, weighted by class.

    >>> loss = SegmentationLoss(ignore_index=255)
    >>> loss.counted_weight(np.array([[[0, 1, 255]]]))
    2.0
    """

    ignore_index: int = -100
    weight: Array | None = None
    _there: dict[str, Array] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, logits: Tensor, target: Array, /) -> Tensor:
        weight = None if self.weight is None else self._weight_on(logits.device)
        return F.cross_entropy(logits, target, weight=weight, ignore_index=self.ignore_index)

    def _weight_on(self, device: str) -> Array:
        """The weights, moved once: a captured step moves nothing."""
        if device not in self._there:
            self._there[device] = to_device(np.asarray(self.weight), device)
        return self._there[device]

    def counted_weight(self, target: Array) -> float:
        """The summed class weights of the pixels that count, what the mean divides by."""
        counted = target != self.ignore_index
        if self.weight is None:
            return float(np.count_nonzero(counted))
        return float(self.weight[target[counted]].sum(dtype=np.float64))


def segmentation_loss(ignore_index: int = -100, weight: Array | None = None) -> SegmentationLoss:
    """Cross-entropy over all pixels but those labelled `ignore_index`, weighted by class."""
    return SegmentationLoss(ignore_index, weight)


def weight_of(loss: Loss, target: Array) -> float:
    """What the mean of `loss` over this share divides by; the number of images unless it says."""
    counted = getattr(loss, "counted_weight", None)
    return float(len(target) if counted is None else counted(target))
