"""losses, and the step that uses their gradient."""

from __future__ import annotations

from typing import Any

from .... import functional as F
from ....core import Tensor
from ....nn import Parameter
from ....optim import SGD
from .node import Node, Run, operator
from .values import Value, beside, host, labels, number

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
    """A step of our SGD.   g' = g + norm x;  v = alpha v + beta' g';  x -= R v

    With nesterov x -= R (g' + alpha v). beta' is beta, and 1 in the first step, T = 0.
    """
    o = node.read(alpha=0.0, beta=0.0, mode="standard", norm_coefficient=0.0)
    node.one_of("mode", o.mode, ("standard", "nesterov"))

    def run(rate: Value, T: Value, *values: Tensor) -> tuple[Value, ...]:
        n = len(values) // 3
        xs = [Parameter(x) for x in values[:n]]
        for x, g in zip(xs, values[n : 2 * n], strict=True):
            x.grad = g
        dampening = 1 - o.beta if number(T) > 0 else 0.0
        sgd = SGD(xs, number(rate), o.alpha, dampening, o.norm_coefficient, o.mode == "nesterov")
        velocities = {f"momentum.{k}": host(v) for k, v in enumerate(values[2 * n :])}
        sgd.load_state_dict(velocities, sgd.state_dict()[1])
        sgd.step()
        made = sgd.state_dict()[0]
        return *(x.detach() for x in xs), *(made[f"momentum.{k}"] for k in range(n))

    return run
