"""loss: the pixel-wise loss as a layer."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..core import Tensor, as_tensor
from .module import Module


class CrossEntropyLoss(Module):
    """Minus the log-probability of the right class; see F.cross_entropy.

    Shape   x: N K ..., target: N ... -> (), or N ... with reduction="none"
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.register_buffer("weight", None if weight is None else as_tensor(weight).detach())
        self.ignore_index, self.reduction = ignore_index, reduction
        self.label_smoothing = label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        told = f"ignore_index={self.ignore_index}, reduction={self.reduction!r}"
        smooth = f", label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
        return told + smooth
