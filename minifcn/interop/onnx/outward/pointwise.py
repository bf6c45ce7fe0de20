"""pointwise: element by element, along an axis, and products, as ONNX nodes."""

from __future__ import annotations

import math

import numpy as np

from .align import Step
from .rules import broadcast, plain, rule
from .writer import Writer

for _name, _kind in (
    ("exp", "Exp"),
    ("log", "Log"),
    ("sigmoid", "Sigmoid"),
    ("tanh", "Tanh"),
    ("softplus", "Softplus"),
    ("abs", "Abs"),
    ("sign", "Sign"),
    ("relu", "Relu"),
    ("mat_mul", "MatMul"),
    ("move", "Identity"),
):
    plain(_name, _kind)

for _name, _kind in (
    ("add", "Add"),
    ("sub", "Sub"),
    ("mul", "Mul"),
    ("div", "Div"),
    ("maximum", "Max"),
    ("minimum", "Min"),
):
    broadcast(_name, _kind)


@rule("scale")
def scale(w: Writer, step: Step) -> str:
    """x factor; a factor that follows the image is a mean's: 1 / how many were summed."""
    factors = [op.factor for op in step.ops]
    x = w.name(step.xs[0])
    if len(set(factors)) == 1:
        return w.add("Mul", [x, w.scalar(factors[0], step.xs[0])])
    counts = tuple(round(1 / factor) for factor in factors)
    count = w.size(step, "1 / factor", counts)
    if any(1 / count != factor for count, factor in zip(counts, factors, strict=True)):
        count = w.size(step, "factor", tuple(int(factor) for factor in factors))
    dtype = w.graph.arrays[step.xs[0]][0].dtype
    divisor = w.add("Cast", [count], to=onnx_type(dtype))
    if not w.graph.shapes(step.xs[0])[0]:  # a list of one would make a list of one
        divisor = w.add("Squeeze", [divisor])
    return w.add("Div", [x, divisor])


@rule("shift")
def shift(w: Writer, step: Step) -> str:
    return w.add("Add", [w.name(step.xs[0]), w.scalar(step.op.term, step.xs[0])])


@rule("pow")
def pow(w: Writer, step: Step) -> str:
    if step.op.exponent == 0.5:
        return w.add("Sqrt", w.names(step))
    return w.add("Pow", [w.name(step.xs[0]), w.scalar(step.op.exponent, step.xs[0])])


@rule("leaky_relu")
def leaky_relu(w: Writer, step: Step) -> str:
    return w.add("LeakyRelu", w.names(step), alpha=float(step.op.negative_slope))


@rule("clamp")
def clamp(w: Writer, step: Step) -> str:
    bounds = [
        "" if math.isinf(bound) else w.scalar(bound, step.xs[0])
        for bound in (step.op.low, step.op.high)
    ]
    while bounds and not bounds[-1]:
        bounds.pop()
    return w.add("Clip", [w.name(step.xs[0]), *bounds])


@rule("cast")
def cast(w: Writer, step: Step) -> str:
    return w.add("Cast", w.names(step), to=onnx_type(np.dtype(step.op.dtype)))


@rule("where")
def where(w: Writer, step: Step) -> str:
    mask, a, b = w.operands(step)
    return w.add("Where", [w.add("Cast", [mask], to=onnx_type(np.dtype(bool))), a, b])


@rule("masked")
def masked(w: Writer, step: Step) -> str:
    """x where the mask says so (or where it does not), else 0."""
    x, mask = w.names(step)
    truth = w.add("Cast", [mask], to=onnx_type(np.dtype(bool)))
    zero = w.scalar(0, step.xs[0])
    return w.add("Where", [truth, x, zero] if step.op.keep else [truth, zero, x])


@rule("softmax")
def softmax(w: Writer, step: Step) -> str:
    return w.add("Softmax", w.names(step), axis=step.op.axis)


@rule("log_softmax")
def log_softmax(w: Writer, step: Step) -> str:
    return w.add("LogSoftmax", w.names(step), axis=step.op.axis)


@rule("prelu")
def prelu(w: Writer, step: Step) -> str:
    return w.add("PRelu", w.operands(step))


def column(w: Writer, step: Step, name: str) -> str:
    """C numbers, to stand beside N C ..."""
    ndim = len(w.graph.shapes(step.xs[0])[0])
    return w.add("Reshape", [name, w.integers([-1, *(1,) * (ndim - 2)])]) if ndim > 2 else name


@rule("channel_affine")
def channel_affine(w: Writer, step: Step) -> str:
    """(x - origin) scale + shift; where it is a batch normalisation, as that."""
    x, origin, factor, shift = step.xs
    found = _variance(w, factor)
    if found and len(w.graph.shapes(x)[0]) > 1:
        weight, var, eps = found
        inputs = [w.name(v) for v in (x, weight, shift, origin, var)]
        return w.add("BatchNormalization", inputs, epsilon=eps)
    y = w.add("Sub", [w.name(x), column(w, step, w.name(origin))])
    y = w.add("Mul", [y, column(w, step, w.name(factor))])
    return w.add("Add", [y, column(w, step, w.name(shift))])


@rule("channel_affine_relu")
def channel_affine_relu(w: Writer, step: Step) -> str:
    return w.add("Relu", [channel_affine(w, step)])


def _variance(w: Writer, factor: int) -> tuple[int, int, float] | None:
    """(weight, var, eps) if factor = weight (var + eps)^-1/2, as F.batch_norm makes it."""
    product = w.makers.get(factor)
    if product is None or product.name != "mul":
        return None
    power = w.makers.get(product.xs[1])
    if power is None or power.name != "pow" or power.op.exponent != -0.5:
        return None
    total = w.makers.get(power.xs[0])
    if total is None or total.name != "shift":
        return None
    return product.xs[0], total.xs[0], float(total.op.term)


def onnx_type(dtype: np.dtype[np.generic]) -> int:
    """ONNX's number of an element type."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(dtype))
