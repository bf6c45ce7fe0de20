"""pointwise: functions of one value, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, beside, elementwise, host, number, reshaped


def _plain(kind: str, ours: Callable[..., Any], numpys: Callable[..., Any] | None = None) -> None:
    """A function without attributes; of whole numbers by NumPy, where that makes sense."""

    def build(node: Node) -> Run:
        node.read(consumed_inputs=[])
        return elementwise(ours, numpys) if numpys else ours

    operator(kind)(build)


_plain("Relu", F.relu, lambda x: np.maximum(x, 0).astype(x.dtype))
_plain("Sigmoid", F.sigmoid)
_plain("Tanh", F.tanh)
_plain("Softplus", F.softplus)
_plain("Exp", F.exp)
_plain("Log", F.log)
_plain("Sqrt", F.sqrt)
_plain("Abs", F.abs, np.abs)
_plain("Neg", F.neg, np.negative)
_plain("Reciprocal", lambda x: 1 / x)
_plain("Softsign", lambda x: x / (1 + F.abs(x)))
_plain("Mish", lambda x: x * F.tanh(F.softplus(x)))
_plain("HardSwish", lambda x: x * F.clamp(x * (1 / 6) + 0.5, 0, 1))
_plain("Identity", lambda x: x, lambda x: x)


def _rounded(kind: str, numpys: Callable[..., Any]) -> None:
    """A staircase: its derivative is 0."""

    def run(x: Value) -> Value:
        return beside(numpys(host(x)), x) if isinstance(x, Tensor) else numpys(x)

    operator(kind)(lambda node: run)


_rounded("Floor", np.floor)
_rounded("Ceil", np.ceil)
_rounded("Round", np.round)
_rounded("Sign", np.sign)


def _elu(x: Tensor, alpha: float) -> Tensor:
    """x above 0, alpha (e^x - 1) below."""
    return F.relu(x) + alpha * (F.exp(F.clamp(x, max=0)) - 1)


@operator("Elu")
def elu(node: Node) -> Run:
    alpha = node.read(alpha=1.0, consumed_inputs=[]).alpha
    return lambda x: _elu(x, alpha)


@operator("Celu")
def celu(node: Node) -> Run:
    alpha = node.read(alpha=1.0).alpha
    return lambda x: F.relu(x) + alpha * (F.exp(F.clamp(x, max=0) * (1 / alpha)) - 1)


@operator("Selu")
def selu(node: Node) -> Run:
    old = node.version < 6
    options = node.read(
        alpha=1.6732 if old else 1.67326319217681884765625,
        gamma=1.0507 if old else 1.05070102214813232421875,
        consumed_inputs=[],
    )
    return lambda x: options.gamma * _elu(x, options.alpha)


@operator("LeakyRelu")
def leaky_relu(node: Node) -> Run:
    alpha = node.read(alpha=0.01, consumed_inputs=[]).alpha
    return lambda x: F.leaky_relu(x, alpha)


@operator("ThresholdedRelu")
def thresholded_relu(node: Node) -> Run:
    alpha = node.read(alpha=1.0).alpha
    return lambda x: F.where(F.gt(x, alpha), x, 0 * x)


@operator("HardSigmoid")
def hard_sigmoid(node: Node) -> Run:
    options = node.read(alpha=0.2, beta=0.5, consumed_inputs=[])
    return lambda x: F.clamp(options.alpha * x + options.beta, 0, 1)


@operator("Swish")
def swish(node: Node) -> Run:
    alpha = node.read(alpha=1.0).alpha
    return lambda x: x * F.sigmoid(alpha * x)


@operator("Gelu")
def gelu(node: Node) -> Run:
    approximate = node.read(approximate="none").approximate
    node.one_of("approximate", approximate, ("tanh",))
    c = math.sqrt(2 / math.pi)
    return lambda x: 0.5 * x * (1 + F.tanh(c * (x + 0.044715 * F.pow(x, 3))))


@operator("Shrink")
def shrink(node: Node) -> Run:
    options = node.read(bias=0.0, lambd=0.5)

    def run(x: Tensor) -> Tensor:
        above = F.where(F.gt(x, options.lambd), x - options.bias, 0 * x)
        return F.where(F.lt(x, -options.lambd), x + options.bias, above)

    return run


@operator("PRelu")
def prelu(node: Node) -> Run:
    """max(x, 0) + slope min(x, 0); the slopes broadcast, before opset 9 along the channels."""
    node.read(consumed_inputs=[])

    def run(x: Value, slope: Value) -> Value:
        if not isinstance(x, Tensor):
            return np.where(x < 0, x * slope, x).astype(x.dtype)
        a = beside(slope, x)
        if node.version < 9 and a.ndim == 1 and x.ndim > 2:
            a = reshaped(a, (-1, *(1,) * (x.ndim - 2)))
        if a.ndim == x.ndim - 1 and a.numel() == a.shape[0] == x.shape[1] or a.numel() == 1:
            return F.prelu(x, reshaped(a, (-1,)))
        return F.relu(x) + a * F.clamp(x, max=0)

    return run


@operator("Clip")
def clip(node: Node) -> Run:
    """The bounds are attributes before opset 11, inputs since."""
    options = node.read(min=None, max=None, consumed_inputs=[])

    def run(x: Value, low: Value = None, high: Value = None) -> Value:
        if not isinstance(x, Tensor):
            y = x if low is None else np.maximum(x, low)
            return y if high is None else np.minimum(y, high).astype(x.dtype)
        bounds = [
            float(given) if value is None and given is not None else value
            for value, given in ((low, options.min), (high, options.max))
        ]
        least, most = (b if b is None or isinstance(b, float) else number(b) for b in bounds)
        if least is not None and most is not None and least > most:
            least = most
        return x if least is most is None else F.clamp(x, least, most)

    return run


@operator("Dropout")
def dropout(node: Node) -> Run:
    """In training by the network's own generator, or where the file asks for it."""
    options = node.read(ratio=0.5, seed=0, is_test=0, consumed_inputs=[])
    phase = node.phase

    def run(x: Tensor, ratio: Value = None, training: Value = None) -> Any:
        p = options.ratio if ratio is None else number(ratio)
        asked = training is not None and bool(host(training).all())
        if p == 0 or not (phase.training or asked):
            return x, np.ones(x.shape, bool)
        y = F.dropout(x, p, True, generator=phase.generator)
        return y, host(y) != 0

    return run
