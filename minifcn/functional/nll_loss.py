r"""nll_loss: pick, at every pixel, the log-probability of its label.

    nll_loss        y[n,i] = -k weight[label] x[n, label, i]        k = [label is not ignore_index]
    nll_loss_grad   gx[n,c,i] = -k weight[c] gy[n,i] [c = label]

Picking and placing: each is the other's adjoint, so together they give derivatives of every order.

Shape   x: N C ..., target: N ..., weight: C -> y: N ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor
from ..device import Array
from ..samples import Integers, Uniform, draw
from ..shapes import Shape
from .labels import check_reduction, checked, reduced_by_labels
from .reshape import reshape


@dataclass(frozen=True)
class NllLoss(Op):
    """Pick -weight x at every label."""

    ignore_index: int
    classes: int
    linear = True

    def shape(self, x: Shape, target: Shape, weight: Shape) -> Shape:
        return target

    def forward(self, k: Any, x: Array, target: Array, weight: Array) -> Array:
        y: Array = k.nll_loss(x, target, weight, self.ignore_index)
        return y

    def vjp(self, gy: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, None, None]:
        grad = NllLossGrad(self.ignore_index, self.classes)
        return grad(gy, target, weight), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        target = draw("2 3 2", Integers, high=3)
        yield NllLoss(-100, 3), draw("2 3 3 2"), target, draw("3", Uniform, smooth=False)
        yield NllLoss(1, 4), draw("2 4 3 2"), target, draw("4", Uniform, smooth=False)


@dataclass(frozen=True)
class NllLossGrad(Op):
    """Place -weight gy at every label."""

    ignore_index: int
    classes: int
    linear = True

    def shape(self, gy: Shape, target: Shape, weight: Shape) -> Shape:
        return gy[0], self.classes, *gy[1:]

    def forward(self, k: Any, gy: Array, target: Array, weight: Array) -> Array:
        gx: Array = k.nll_loss_grad(gy, target, weight, self.ignore_index, self.classes)
        return gx

    def vjp(self, ggx: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, None, None]:
        pick = NllLoss(self.ignore_index, self.classes)
        return pick(ggx, target, weight), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        target = draw("2 3 2", Integers, high=3)
        yield NllLossGrad(-100, 3), draw("2 3 2"), target, draw("3", Uniform, smooth=False)
        yield NllLossGrad(1, 4), draw("2 3 2"), target, draw("4", Uniform, smooth=False)


def nll_loss(
    x: Tensor | Array,
    target: Tensor | Array,
    *,
    weight: Tensor | Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of the labels, x being log-probabilities.

    "mean" divides by the summed weights of the labels that count; if none counts, the mean is nan.

    Shape   x: N C ... (or C), target: integers N ... (or no axes)

    >>> import minifcn as mf
    >>> x = mf.tensor([[-1.0, -2.0], [-3.0, -4.0]])
    >>> nll_loss(x, mf.tensor([0, 1])).item()
    2.5
    """
    check_reduction("nll_loss", reduction)
    x, target, weight, single = checked("nll_loss", x, target, weight, ignore_index)
    loss = NllLoss(ignore_index, x.shape[1])(x, target, weight)
    if single and reduction == "none":
        return reshape(loss, ())
    return reduced_by_labels(loss, reduction, target, weight, ignore_index)
