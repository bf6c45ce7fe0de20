"""norms: batch normalisation and its like."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, beside


@operator("BatchNormalization", "SpatialBN")
def batch_norm(node: Node) -> Run:
    """By the running statistics, which are the batch's while the network is trained.

    ONNX's momentum is what stays, ours what comes. A node with training_mode=1 gives the new
    running statistics as outputs, of the biased variance.
    """
    o = node.read(epsilon=1e-5, momentum=0.9, spatial=1, training_mode=0, is_test=0,
                  consumed_inputs=[])  # fmt: skip
    node.one_of("spatial", o.spatial, (1,))
    phase = node.phase

    def run(x: Tensor, scale: Value, bias: Value, mean: Value, var: Value) -> Any:
        scale, bias = beside(scale, x), beside(bias, x)
        mean, var = beside(mean, x), beside(var, x)
        if not o.training_mode:
            training, momentum = phase.training, 1 - o.momentum
            return F.batch_norm(x, mean, var, scale, bias, training, momentum, o.epsilon)
        axes = (0, *range(2, x.ndim))
        y = F.batch_norm(x, None, None, scale, bias, True, eps=o.epsilon)
        now = F.mean(x, axes), F.var(x, axes, correction=0)
        kept = (
            old * o.momentum + new.detach() * (1 - o.momentum)
            for old, new in zip((mean, var), now, strict=True)
        )
        return y, *kept

    return run


@operator("InstanceNormalization")
def instance_norm(node: Node) -> Run:
    """Batch normalisation of every image alone: N C channels of a batch of one."""
    eps = node.read(epsilon=1e-5, consumed_inputs=[]).epsilon

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        N, C = x.shape[:2]
        alone = F.reshape(x, (1, N * C, *x.shape[2:]))
        y = F.reshape(F.batch_norm(alone, None, None, training=True, eps=eps, sync=False), x.shape)
        column = (C, *(1,) * (x.ndim - 2))
        return y * F.reshape(scale, column) + F.reshape(bias, column)

    return run


@operator("LRN")
def local_response(node: Node) -> Run:
    """x / (bias + alpha / size  sum of x^2 over the `size` channels around)^beta."""
    o = node.read(alpha=1e-4, beta=0.75, bias=1.0, size=1)

    def run(x: Tensor) -> Tensor:
        N, C = x.shape[:2]
        squares = F.reshape(x * x, (N, 1, C, int(np.prod(x.shape[2:]))))
        before = (o.size - 1) // 2
        bordered = F.pad(squares, (0, 0, before, o.size - 1 - before))
        sums = F.avg_pool2d(bordered, (o.size, 1), 1, divisor_override=1)
        scale = F.pow(o.bias + sums * (o.alpha / o.size), -o.beta)
        return x * F.reshape(scale, x.shape)

    return run
