"""losses, and the step that uses their gradient."""

from __future__ import annotations

from typing import Any

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, beside, labels, number

NO_LABEL = -(1 << 40)  # an ignore_index that no label has


@operator("SoftmaxCrossEntropyLoss", since=12)
def cross_entropy(node: Node) -> Run:
    o = node.read(ignore_index=NO_LABEL, reduction="mean")
    node.one_of("reduction", o.reduction, ("none", "mean", "sum"))

    def run(x: Tensor, target: Value, weight: Value = None) -> Any:
        loss = F.cross_entropy(
            x,
            labels(target, x),
            weight=None if weight is None else beside(weight, x),
            ignore_index=o.ignore_index,
            reduction=o.reduction,
        )
        return loss, F.log_softmax(x, 1) if len(node.outputs) > 1 else None

    return run


@operator("NegativeLogLikelihoodLoss", since=12)
def nll(node: Node) -> Run:
    o = node.read(ignore_index=NO_LABEL, reduction="mean")
    node.one_of("reduction", o.reduction, ("none", "mean", "sum"))

    def run(x: Tensor, target: Value, weight: Value = None) -> Tensor:
        return F.nll_loss(
            x,
            labels(target, x),
            weight=None if weight is None else beside(weight, x),
            ignore_index=o.ignore_index,
            reduction=o.reduction,
        )

    return run


@operator("Momentum", domain="ai.onnx.preview.training")
def momentum(node: Node) -> Run:
    """g' = g + norm x;  v = alpha v + beta' g';  x -= R v, or with nesterov R (g' + alpha v).

    beta' is 1 in the first step, T = 0.
    """
    o = node.read(alpha=None, beta=None, mode=None, norm_coefficient=0.0)
    node.one_of("mode", o.mode, ("standard", "nesterov"))

    def run(rate: Value, T: Value, *values: Tensor) -> tuple[Tensor, ...]:
        n = len(values) // 3
        R, beta = number(rate), o.beta if number(T) > 0 else 1.0
        xs, vs = [], []
        for x, g, v in zip(values[:n], values[n : 2 * n], values[2 * n :], strict=True):
            g = g + o.norm_coefficient * x
            v = o.alpha * v + beta * g
            xs.append(x - R * (v if o.mode == "standard" else g + o.alpha * v))
            vs.append(v)
        return *xs, *vs

    return run
