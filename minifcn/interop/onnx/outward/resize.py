"""resize: interpolation and adaptive means as ONNX nodes, exact at every size.

Resize does bilinear interpolation as we do. For nearest pixels it rounds otherwise, so unless the
factor is whole the pixels are numbered by nodes of our own formula, in float32 as PyTorch does:

    floor(i scale)  or  floor((i + 1/2) scale),   scale = H / P

Adaptive means are a matrix per axis, made of the size when the graph runs:

    A[i, h] = 1 / (stop_i - start_i)  for  start_i <= h < stop_i
    start_i = i H div P               stop_i = ((i + 1) H + P - 1) div P
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..error import OnnxError
from .align import Series, Step
from .pointwise import onnx_type
from .rules import rule
from .writer import Writer

INT64 = np.dtype(np.int64)
FLOAT32 = np.dtype(np.float32)


@rule("interpolate")
def interpolate(w: Writer, step: Step) -> str:
    lines = [[op.rows for op in step.ops], [op.cols for op in step.ops]]
    first = lines[0][0]
    if first.mode != "bilinear":
        y = w.name(step.xs[0])
        for axis in (0, 1):
            y = _nearest(w, step, y, 2 + axis, lines[axis])
        return y
    if not first.align_corners:
        factors = [_factor(step, axis, lines[axis]) for axis in (0, 1)]
        if None not in factors:
            scales = w.constant(np.array([1, 1, *factors], np.float32), "scales")
            return w.add("Resize", [w.name(step.xs[0]), "", scales], mode="linear")
    N, C = w.graph.sizes(step.xs[0])[:2]
    sizes = [tuple(line.out for line in lines[axis]) for axis in (0, 1)]
    whole = w.sizes(step, "the new size", [N, C, *sizes])
    where = "align_corners" if first.align_corners else "half_pixel"
    inputs = [w.name(step.xs[0]), "", "", whole]
    return w.add("Resize", inputs, mode="linear", coordinate_transformation_mode=where)


def _factor(step: Step, axis: int, lines: list[Any]) -> float | None:
    """The factor that the network resizes by along an axis, or None: it asks for a size."""
    scales = {line.scale for line in lines}
    if all(line.scale == line.size / line.out for line in lines) and len(scales) > 1:
        return None
    if len(scales) > 1:
        raise OnnxError(f"export: {step.name}: the factor along axis {2 + axis} follows the image")
    factor: float = 1 / scales.pop()
    single = float(np.float32(factor))
    for line in lines:
        if int(line.size * single) != line.out or (line.out == line.size and factor != 1):
            return None if all(o.scale == o.size / o.out for o in lines) else _refuse(step, factor)
    return factor


def _refuse(step: Step, factor: float) -> float:
    raise OnnxError(
        f"export: {step.name} in layer {step.layer or 'of the model'}: factor {factor} is not "
        f"rounded alike by ONNX at every size; give a size instead"
    )


def _nearest(w: Writer, step: Step, x: str, axis: int, lines: list[Any]) -> str:
    """The pixels that are copied, numbered along one axis."""
    if all(line.out == line.size for line in lines) and lines[0].mode == "nearest":
        return x
    size = w.size(step, "the size", tuple(line.size for line in lines))
    out = _new_size(w, step, size, lines)
    places = w.add("Cast", [_count(w, out)], to=onnx_type(FLOAT32))
    if lines[0].mode == "nearest-exact":
        places = w.add("Add", [places, w.constant(np.float32(0.5), "half")])
    scales = {line.scale for line in lines}
    if len(scales) == 1:
        scale = w.constant(np.float32(scales.pop()), "scale")
    elif all(line.scale == line.size / line.out for line in lines):
        wide = [w.add("Cast", [n], to=onnx_type(np.dtype(np.float64))) for n in (size, out)]
        scale = w.add("Cast", [w.add("Div", wide)], to=onnx_type(FLOAT32))
    else:
        raise OnnxError(f"export: {step.name}: the factor along axis {axis} follows the image")
    found = w.add("Cast", [w.add("Floor", [w.add("Mul", [places, scale])])], to=onnx_type(INT64))
    found = w.add("Min", [found, w.add("Sub", [size, w.integers([1])])])
    return w.add("Gather", [x, found], axis=axis)


def _new_size(w: Writer, step: Step, size: str, lines: list[Any]) -> str:
    """floor(H factor) where the network has a factor, else a size that it asks for."""
    factor = 1 / lines[0].scale
    scaled = all(int(line.size * factor) == line.out for line in lines)
    if len({line.scale for line in lines}) == 1 and scaled and len(lines) > 1:
        wide = w.add("Cast", [size], to=onnx_type(np.dtype(np.float64)))
        product = w.add("Mul", [wide, w.constant(np.float64(factor), "factor")])
        return w.add("Cast", [w.add("Floor", [product])], to=onnx_type(INT64))
    return w.size(step, "the new size", tuple(line.out for line in lines))


def _count(w: Writer, size: str) -> str:
    """0, 1, ..., size - 1."""
    zero, one = (w.constant(np.array(n, np.int64), "number") for n in (0, 1))
    return w.add("Range", [zero, w.add("Squeeze", [size]), one])


@rule("adaptive_avg_pool2d")
def adaptive_avg_pool2d(w: Writer, step: Step) -> str:
    """GlobalAveragePool for one bin, else A x B^T."""
    if all(op.out == (1, 1) for op in step.ops):
        return w.add("GlobalAveragePool", w.names(step))
    x, value = w.name(step.xs[0]), step.xs[0]
    H, W = (tuple(op.image[axis] for op in step.ops) for axis in (0, 1))
    P, Q = (tuple(op.out[axis] for op in step.ops) for axis in (0, 1))
    if P != H:
        x = w.add("MatMul", [_bins(w, step, H, P, value), x])  # P H, N C H W -> N C P W
    if Q != W:
        across = w.add("Transpose", [_bins(w, step, W, Q, value)], perm=[1, 0])
        x = w.add("MatMul", [x, across])  # N C P W, W Q -> N C P Q
    return x if (P, Q) != (H, W) else w.add("Identity", [x])


def _bins(w: Writer, step: Step, size: Series, out: Series, value: int) -> str:
    """The matrix A: P H."""
    H, P = w.size(step, "the size", size), w.size(step, "the bins", out)
    one = w.integers([1])
    i, h = _count(w, P), _count(w, H)
    start = w.add("Div", [w.add("Mul", [i, H]), P])
    after = w.add("Add", [w.add("Mul", [w.add("Add", [i, one]), H]), w.add("Sub", [P, one])])
    stop = w.add("Div", [after, P])
    column = w.integers([1])
    start, stop = (w.add("Unsqueeze", [edge, column]) for edge in (start, stop))
    inside = w.add("And", [w.add("GreaterOrEqual", [h, start]), w.add("Less", [h, stop])])
    dtype = onnx_type(w.graph.arrays[value][0].dtype)
    weight = w.add("Cast", [w.add("Sub", [stop, start])], to=dtype)
    return w.add("Div", [w.add("Cast", [inside], to=dtype), weight])
