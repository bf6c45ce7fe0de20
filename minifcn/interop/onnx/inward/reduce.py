"""reduce: sums, extremes and their places along axes; softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, axis_of, beside, host, ints, reshaped

Axes = tuple[int, ...]


def _product(x: Tensor, axes: Axes) -> Tensor:
    """One factor after the other."""
    for axis in axes:
        before = (slice(None),) * axis
        y = None
        for k in range(x.shape[axis]):
            part = x[(*before, slice(k, k + 1))]
            y = part if y is None else y * part
        x = F.sum(x, axis, True) + 1 if y is None else y
    return x


def _largest(x: Tensor, axes: Axes) -> Tensor:
    if 0 in x.shape:
        return beside(np.max(host(x), axes, keepdims=True, initial=-np.inf), x)
    return F.amax(x, axes, True)


def _smallest(x: Tensor, axes: Axes) -> Tensor:
    if 0 in x.shape:
        return beside(np.min(host(x), axes, keepdims=True, initial=np.inf), x)
    return F.amin(x, axes, True)


def _log_sum_exp(x: Tensor, axes: Axes) -> Tensor:
    """The largest is taken out first, where it is finite."""
    top = _largest(x, axes).detach()
    top = F.where(F.lt(F.abs(top), math.inf), top, 0 * F.clamp(top, -1, 1))
    return F.log(F.sum(F.exp(x - top), axes, True)) + top


# kind -> over tensors, over whole numbers; all keep the axes
REDUCED: dict[str, tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    "ReduceSum": (lambda x, a: F.sum(x, a, True), np.sum),
    "ReduceMean": (lambda x, a: F.mean(x, a, True), np.mean),
    "ReduceMax": (_largest, np.max),
    "ReduceMin": (_smallest, np.min),
    "ReduceProd": (_product, np.prod),
    "ReduceL1": (lambda x, a: F.sum(F.abs(x), a, True),
                 lambda x, a, keepdims: np.sum(abs(x), a, keepdims=keepdims)),
    "ReduceL2": (lambda x, a: F.sqrt(F.sum(x * x, a, True)),
                 lambda x, a, keepdims: np.sqrt(np.sum(x * x, a, keepdims=keepdims))),
    "ReduceSumSquare": (lambda x, a: F.sum(x * x, a, True),
                        lambda x, a, keepdims: np.sum(x * x, a, keepdims=keepdims)),
    "ReduceLogSum": (lambda x, a: F.log(F.sum(x, a, True)),
                     lambda x, a, keepdims: np.log(np.sum(x, a, keepdims=keepdims))),
    "ReduceLogSumExp": (_log_sum_exp,
                        lambda x, a, keepdims: np.log(np.sum(np.exp(x), a, keepdims=keepdims))),
}  # fmt: skip


def _least(kind: str, dtype: Any) -> Any:
    """What a reduction of nothing gives."""
    if kind not in ("ReduceMax", "ReduceMin"):
        return 1 if kind == "ReduceProd" else 0
    if dtype.kind == "b":
        return kind == "ReduceMin"
    info = np.iinfo(dtype)
    return info.min if kind == "ReduceMax" else info.max


def _reduced(node: Node) -> Run:
    """Axes are an attribute (ReduceSum before opset 13, the others before 18) or an input."""
    options = node.read(axes=None, keepdims=1, noop_with_empty_axes=0)
    ours, numpys = REDUCED[node.kind]

    def run(x: Value, axes: Value = None) -> Value:
        given = options.axes if axes is None else ints(axes)
        if not given and options.noop_with_empty_axes:
            along: Axes = ()
        else:
            along = tuple(sorted(axis_of(a, x.ndim) for a in given)) if given else tuple(
                range(x.ndim))  # fmt: skip
        y: Value
        if isinstance(x, Tensor):
            y = ours(x, along)
        else:
            empty = {"initial": _least(node.kind, x.dtype)} if 0 in x.shape else {}
            y = np.asarray(numpys(x, along, keepdims=True, **empty)).astype(x.dtype)
        if options.keepdims:
            return y
        return reshaped(y, tuple(n for a, n in enumerate(x.shape) if a not in along))

    return run


operator(*REDUCED)(_reduced)


@operator("ArgMax", "ArgMin")
def extreme_place(node: Node) -> Run:
    """The first of equals, or with select_last_index the last."""
    options = node.read(axis=0, keepdims=1, select_last_index=0)
    ours, numpys = (F.argmax, np.argmax) if node.kind == "ArgMax" else (F.argmin, np.argmin)

    def run(x: Value) -> Value:
        axis = axis_of(options.axis, x.ndim)
        if options.select_last_index:
            x = x[(*(slice(None),) * axis, slice(None, None, -1))]
        if isinstance(x, Tensor):
            found = host(ours(x, axis, True))
        else:
            found = np.expand_dims(numpys(x, axis), axis)
        found = x.shape[axis] - 1 - found if options.select_last_index else found
        return (found if options.keepdims else found.squeeze(axis)).astype(np.int64)

    return run


@operator("Softmax", "LogSoftmax")
def softmax(node: Node) -> Run:
    """Along one axis; before opset 13 over all axes from `axis` on together."""
    axis = node.read(axis=-1 if node.version >= 13 else 1, consumed_inputs=[]).axis
    ours = F.softmax if node.kind == "Softmax" else F.log_softmax

    def run(x: Tensor) -> Tensor:
        along = axis % x.ndim if axis != x.ndim else axis
        if node.version >= 13 or along == x.ndim - 1:
            return ours(x, along)
        rows = F.reshape(x, (math.prod(x.shape[:along]), math.prod(x.shape[along:])))
        return F.reshape(ours(rows, 1), x.shape)

    return run
