"""products: of matrices."""

from __future__ import annotations

import numpy as np

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, beside, host


@operator("MatMul")
def matmul(node: Node) -> Run:
    node.read()

    def run(a: Value, b: Value) -> Value:
        if not isinstance(a, Tensor):
            return np.matmul(a, b)
        return F.matmul(a, b)

    return run


@operator("Gemm")
def gemm(node: Node) -> Run:
    """alpha A B + beta C, each of A and B perhaps transposed; C is repeated along the rows."""
    o = node.read(alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=0)

    def run(a: Value, b: Value, c: Value = None) -> Value:
        if not isinstance(a, Tensor):
            a, b, c = (None if v is None else host(v) for v in (a, b, c))
            y = o.alpha * ((a.T if o.transA else a) @ (b.T if o.transB else b))
            return (y if c is None else y + o.beta * c).astype(a.dtype)
        y = F.matmul(F.transpose(a, 0, 1) if o.transA else a,
                     F.transpose(b, 0, 1) if o.transB else b)  # fmt: skip
        y = y if o.alpha == 1 else y * o.alpha
        if c is None:
            return y
        c = beside(c, a)
        return y + (c if o.beta == 1 else c * o.beta)

    return run
