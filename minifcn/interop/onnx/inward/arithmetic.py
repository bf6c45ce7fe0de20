"""arithmetic: of two or more values, element by element, and comparisons."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, axis_of, beside, elementwise, host, reshaped, truths


def _truncated(a: Any, b: Any) -> Any:
    """Division of whole numbers rounds towards 0; by 0 it gives 0."""
    if np.result_type(a, b).kind not in "iu":
        return np.true_divide(a, b)
    safe = np.where(b == 0, 1, b)
    quotient = abs(a) // abs(safe) if np.result_type(a).kind == "i" else a // safe
    return (np.sign(a) * np.sign(safe) * quotient * (b != 0)).astype(np.result_type(a, b))


def _aligned(node: Node, run: Run) -> Run:
    """Before opset 7, b is repeated only with broadcast=1, its axes beginning at `axis` of a."""
    if node.version >= 7:
        node.read()
        return run
    options = node.read(axis=-1, broadcast=0, consumed_inputs=[])
    if not options.broadcast or "axis" not in node.attributes:
        return run

    def shifted(a: Value, b: Value) -> Value:
        first = axis_of(options.axis, a.ndim)
        after = max(a.ndim - first - b.ndim, 0)
        return run(a, reshaped(b, (*b.shape, *(1,) * after)))

    return shifted


@operator("Add")
def add(node: Node) -> Run:
    return _aligned(node, elementwise(F.add, np.add))


@operator("Sub")
def sub(node: Node) -> Run:
    return _aligned(node, elementwise(F.sub, np.subtract))


@operator("Mul")
def mul(node: Node) -> Run:
    return _aligned(node, elementwise(F.mul, np.multiply))


@operator("Div")
def div(node: Node) -> Run:
    return _aligned(node, elementwise(F.div, _truncated))


@operator("Pow")
def pow(node: Node) -> Run:
    """Our exponents are numbers: a mask for each, where there are several."""

    def run(x: Value, exponents: Value) -> Value:
        powers = host(exponents)
        if not isinstance(x, Tensor):
            with np.errstate(all="ignore"):
                return np.power(x, powers).astype(x.dtype)
        found = np.unique(powers)
        if len(found) == 1:
            y = F.pow(x, float(found[0]))
            wide = np.broadcast_shapes(x.shape, powers.shape)
            return y if y.shape == wide else F.broadcast_to(y, wide)
        if len(found) > 64:
            raise ValueError(f"Pow: {len(found)} different exponents, expected at most 64")
        y = F.pow(x, float(found[0]))
        for power in found[1:]:
            y = F.where(truths(powers == power, x), F.pow(x, float(power)), y)
        return y

    return _aligned(node, run)


@operator("Mod", since=10)
def mod(node: Node) -> Run:
    """The sign of the divisor, or with fmod=1 that of the dividend."""
    fmod = node.read(fmod=0).fmod

    def run(a: Value, b: Value) -> Value:
        with np.errstate(all="ignore"):
            y = (np.fmod if fmod else np.mod)(host(a), host(b))
        return beside(y, a) if isinstance(a, Tensor) else y

    return run


def _several(node: Node, run: Run) -> Run:
    node.read(consumed_inputs=[])
    return lambda *values: reduce(run, values)


@operator("Sum")
def total(node: Node) -> Run:
    return _several(node, elementwise(F.add, np.add))


@operator("Max")
def largest(node: Node) -> Run:
    return _several(node, elementwise(F.maximum, np.maximum))


@operator("Min")
def smallest(node: Node) -> Run:
    return _several(node, elementwise(F.minimum, np.minimum))


@operator("Mean")
def mean(node: Node) -> Run:
    run = _several(node, elementwise(F.add, np.add))
    return lambda *values: run(*values) * (1 / len(values))


def _compared(ours: Any, numpys: Any) -> Any:
    def build(node: Node) -> Run:
        run = elementwise(ours, numpys)

        def truth(a: Value, b: Value) -> Value:
            if isinstance(a, np.ndarray) and a.dtype.kind in "OU":
                raise ValueError(f"{node.kind}: texts are not supported")
            return host(run(a, b))

        return _aligned(node, truth)

    return build


for _kind, _ours, _numpys in (
    ("Equal", F.eq, np.equal),
    ("Less", F.lt, np.less),
    ("LessOrEqual", F.le, np.less_equal),
    ("Greater", F.gt, np.greater),
    ("GreaterOrEqual", F.ge, np.greater_equal),
):
    operator(_kind)(_compared(_ours, _numpys))


def _logical(numpys: Any) -> Any:
    return lambda node: _aligned(node, lambda *values: numpys(*(host(v) for v in values)))


for _kind, _truth in (
    ("And", np.logical_and),
    ("Or", np.logical_or),
    ("Xor", np.logical_xor),
    ("Not", np.logical_not),
):
    operator(_kind)(_logical(_truth))


@operator("Where", since=9)
def where(node: Node) -> Run:
    node.read()

    def run(mask: Value, a: Value, b: Value) -> Value:
        tensors = [value for value in (a, b) if isinstance(value, Tensor)]
        if not tensors:
            return np.where(mask, a, b)
        like = tensors[0]
        return F.where(truths(host(mask), like), beside(a, like), beside(b, like))

    return run
