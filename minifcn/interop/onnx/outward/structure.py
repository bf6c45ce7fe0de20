"""structure: shapes, parts, sums and extremes, as ONNX nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..error import OnnxError
from .align import Series, Step
from .rules import rule
from .writer import Writer

FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max  # Slice: from the start, to the end


@rule("reshape")
def reshape(w: Writer, step: Step) -> str:
    """0 keeps an axis, -1 is what is left; only two unknown sizes have to be computed."""
    src = list(zip(*(op.src for op in step.ops), strict=True))
    dst = list(zip(*(op.dst for op in step.ops), strict=True))
    x = w.name(step.xs[0])
    follows = [axis for axis, series in enumerate(dst) if len(set(series)) > 1]
    kept = [axis for axis in follows if axis < len(src) and src[axis] == dst[axis]]
    empty = any(0 in op.dst for op in step.ops)
    if len(follows) - len(kept) <= 1 and not empty:
        numbers = [series[0] for series in dst]
        for axis in follows:
            numbers[axis] = 0 if axis in kept else -1
        return w.add("Reshape", [x, w.integers(numbers)])
    shape = w.sizes(step, "the new shape", dst)
    return w.add("Reshape", [x, shape], allowzero=int(empty))


@rule("permute")
def permute(w: Writer, step: Step) -> str:
    return w.add("Transpose", w.names(step), perm=list(step.op.axes))


@rule("broadcast_to")
def broadcast_to(w: Writer, step: Step) -> str:
    """An axis that stays is asked for as 1: Expand leaves the larger one."""
    src = list(zip(*(op.src for op in step.ops), strict=True))
    dst = list(zip(*(op.dst for op in step.ops), strict=True))
    ones = (1,) * len(step.ops)
    wanted = [ones if a == b else b for a, b in zip(src, dst, strict=True)]
    return w.add("Expand", [w.name(step.xs[0]), w.sizes(step, "the new shape", wanted)])


@rule("sum_to")
def sum_to(w: Writer, step: Step) -> str:
    axes = {a for op in step.ops for a, (m, n) in enumerate(zip(op.src, op.dst, strict=True))
            if m != n}  # fmt: skip
    if not axes:
        return w.add("Identity", w.names(step))
    return w.add("ReduceSum", [w.name(step.xs[0]), w.integers(sorted(axes))], keepdims=1)


@rule("amax")
def amax(w: Writer, step: Step) -> str:
    kind = "ReduceMax" if step.op.largest else "ReduceMin"
    return w.add(kind, [w.name(step.xs[0]), w.integers(step.op.axes)], keepdims=1)


@rule("extreme")
def extreme(w: Writer, step: Step) -> str:
    kind = "ReduceMax" if step.op.largest else "ReduceMin"
    return w.add(kind, [w.name(step.xs[0]), w.integers([step.op.axis])], keepdims=1)


@rule("concat")
def concat(w: Writer, step: Step) -> str:
    return w.add("Concat", w.names(step), axis=step.op.axis)


@rule("get_slice")
def get_slice(w: Writer, step: Step) -> str:
    """The axes of which something is left out."""
    src = list(zip(*(op.src for op in step.ops), strict=True))
    parts = list(zip(*(op.key for op in step.ops), strict=True))
    axes = [
        axis
        for axis, (ranges, sizes) in enumerate(zip(parts, src, strict=True))
        if any(places != range(size) for places, size in zip(ranges, sizes, strict=True))
    ]
    if not axes:
        return w.add("Identity", w.names(step))
    starts, ends, steps = [], [], []
    for axis in axes:
        start, end, stride = _cut(step, axis, parts[axis], src[axis])
        starts.append(start)
        ends.append(end)
        steps.append(stride)
    inputs = [
        w.name(step.xs[0]),
        w.sizes(step, "where a slice begins", starts),
        w.sizes(step, "where a slice ends", ends),
        w.integers(axes),
    ]
    if steps != [1] * len(axes):
        inputs.append(w.integers(steps))
    return w.add("Slice", inputs)


def _cut(step: Step, axis: int, ranges: Any, sizes: Series) -> tuple[Series, Series, int]:
    """Start, end and step of one axis as Slice wants them."""
    count = len(sizes)
    strides = {places.step for places, size in zip(ranges, sizes, strict=True)
               if places != range(size)}  # fmt: skip
    if len(strides) != 1:
        raise OnnxError(f"export: {step.name}: the step along axis {axis} follows the image")
    stride = strides.pop()
    start = tuple(places.start for places in ranges)
    if stride < 0:
        if start == tuple(size - 1 for size in sizes):
            start = (LAST,) * count
        last = tuple(places[-1] + stride if len(places) else places.start for places in ranges)
        return start, (FIRST,) * count if all(e < 0 for e in last) else last, stride
    end = tuple(places.start + len(places) * stride for places in ranges)
    if all(e >= size for e, size in zip(end, sizes, strict=True)):
        end = (LAST,) * count
    elif stride > 1:
        end = tuple(places.stop for places in ranges)
    return start, end, stride


@rule("pad", "pad_value")
def pad(w: Writer, step: Step) -> str:
    value = getattr(step.op, "value", 0.0)
    extra = [w.scalar(value, step.xs[0])] if value else []
    return w.add("Pad", [w.name(step.xs[0]), _amounts(w, step, [op.pads for op in step.ops])]
                 + extra)  # fmt: skip


@rule("pad_edges")
def pad_edges(w: Writer, step: Step) -> str:
    """Along the last two axes; what is cut off is cut off last, as a border may be made of it."""
    lead = ((0, 0),) * (len(w.graph.shapes(step.xs[0])[0]) - 2)
    mode = {"reflect": "reflect", "replicate": "edge"}[step.op.mode]
    borders = [[(max(a, 0), max(b, 0)) for a, b in (*lead, *op.pads)] for op in step.ops]
    cuts = [[(min(a, 0), min(b, 0)) for a, b in (*lead, *op.pads)] for op in step.ops]
    y = w.add("Pad", [w.name(step.xs[0]), _amounts(w, step, borders)], mode=mode)
    return w.add("Pad", [y, _amounts(w, step, cuts)]) if np.any(cuts) else y


def _amounts(w: Writer, step: Step, pads: list[Any]) -> str:
    """All borders before, then all after."""
    numbers = [
        tuple(one[axis][side] for one in pads) for side in (0, 1) for axis in range(len(pads[0]))
    ]
    return w.sizes(step, "a border", numbers)


@rule("take")
def take(w: Writer, step: Step) -> str:
    return w.add("Gather", w.names(step), axis=step.op.axis)


@rule("take_along")
def take_along(w: Writer, step: Step) -> str:
    return w.add("GatherElements", w.names(step), axis=step.op.axis)


@rule("plane_take")
def plane_take(w: Writer, step: Step) -> str:
    """Pixels numbered h W + w: the plane as one axis, and back."""
    x, index = w.names(step)
    plane = w.add("Reshape", [x, w.integers([0, 0, -1])])
    numbers = w.add("Reshape", [index, w.integers([0, 0, -1])])
    taken = w.add("GatherElements", [plane, numbers], axis=2)
    return w.add("Reshape", [taken, w.add("Shape", [index])])


@rule("max_unpool2d")
def max_unpool2d(w: Writer, step: Step) -> str:
    """The same the other way, into zeros."""
    g, index = w.names(step)
    image = [tuple(op.image[axis] for op in step.ops) for axis in (0, 1)]
    N, C = w.graph.sizes(step.xs[0])[:2]
    shape = w.sizes(step, "the image's size", [N, C, *image])
    pixels = w.add("ReduceProd", [w.sizes(step, "the image's size", image)], keepdims=1)
    rows = w.add("Concat", [w.sizes(step, "the batch", [N, C]), pixels], axis=0)
    zeros = w.add("Expand", [w.scalar(0, step.xs[0]), rows])
    flat = w.integers([0, 0, -1])
    numbers, values = w.add("Reshape", [index, flat]), w.add("Reshape", [g, flat])
    put = w.add("ScatterElements", [zeros, numbers, values], axis=2)
    return w.add("Reshape", [put, shape])


@rule("adaptive_max_indices")
def adaptive_max_indices(w: Writer, step: Step) -> str:
    """The largest pixel of the whole plane; ONNX has no other bins."""
    if any(op.out != (1, 1) for op in step.ops):
        raise OnnxError(
            f"export: {step.name}: output_size is {step.op.out}, expected (1, 1): ONNX has no "
            f"adaptive maximum"
        )
    plane = w.add("Reshape", [w.name(step.xs[0]), w.integers([0, 0, -1])])
    index = w.add("ArgMax", [plane], axis=2, keepdims=1)
    return w.add("Unsqueeze", [index, w.integers([3])])
