"""windows: convolution and pooling as ONNX nodes.

A `Window` holds both sizes but not the padding that was asked for: of the far side it tells only
what was needed. With stride s a far padding q gives the size P of a trace if

    floor((H + p + q - span) / s) + 1 = P        span = d (K - 1) + 1

and traces at several sizes leave one q, or show that it is one of the paddings that follow the size
(auto_pad), or a pooling that rounds up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....window import Window, span, split_pad
from ..error import OnnxError
from .align import Step
from .rules import rule
from .writer import Writer

Attributes = dict[str, Any]


@rule("conv2d")
def conv2d(w: Writer, step: Step) -> str:
    return _conv(w, step, step.ops)


@rule("conv_transpose2d")
def conv_transpose2d(w: Writer, step: Step) -> str:
    return _transposed(w, step, step.ops)


@rule("conv_bias")
def conv_bias(w: Writer, step: Step) -> str:
    convs = tuple(op.conv for op in step.ops)
    return (_conv if convs[0].name == "conv2d" else _transposed)(w, step, convs)


@rule("conv_bias_relu")
def conv_bias_relu(w: Writer, step: Step) -> str:
    return w.add("Relu", [conv_bias(w, step)])


def _conv(w: Writer, step: Step, convs: tuple[Any, ...]) -> str:
    windows = [conv.window for conv in convs]
    return w.add("Conv", w.names(step), group=windows[0].groups, **geometry(step, windows))


def _transposed(w: Writer, step: Step, convs: tuple[Any, ...]) -> str:
    """The largest result that a trace asked for beyond its input; cut where others asked less."""
    windows = [conv.window for conv in convs]
    near = _same(step, "padding", [window.pad for window in windows])
    far = [min(window.far_pad[axis] for window in windows) for axis in (0, 1)]
    first = windows[0]
    y = w.add(
        "ConvTranspose",
        w.names(step),
        group=first.groups,
        kernel_shape=list(first.kernel),
        strides=list(first.stride),
        dilations=list(first.dilation),
        pads=[*near, *(max(side, 0) for side in far)],
        output_padding=[max(-side, 0) for side in far],
    )
    cut = [axis for axis in (0, 1) if any(window.far_pad[axis] != far[axis] for window in windows)]
    if not cut:
        return y
    wanted = [tuple(window.image[axis] for window in windows) for axis in cut]
    ends = w.sizes(step, "the size of the result", wanted)
    return w.add("Slice", [y, w.integers([0] * len(cut)), ends, w.integers([2 + a for a in cut])])


@rule("max_pool2d")
def max_pool2d(w: Writer, step: Step) -> str:
    return w.add("MaxPool", w.names(step), **geometry(step, _windows(step), pooling=True))


@rule("max_pool_indices")
def max_pool_indices(w: Writer, step: Step) -> str:
    """ONNX numbers pixels through the whole batch, we those of a plane: the remainder."""
    attributes = geometry(step, _windows(step), pooling=True)
    pooled = w.add("MaxPool", w.names(step), count=2, **attributes)
    H, W = w.graph.sizes(step.xs[0])[2:]
    plane = w.add("ReduceProd", [w.sizes(step, "the image's size", [H, W])], keepdims=0)
    return w.add("Mod", [f"{pooled}:1", plane])


@rule("avg_pool2d")
def avg_pool2d(w: Writer, step: Step) -> str:
    windows = _windows(step)
    if any(op.divisor for op in step.ops):
        return _sum_pool(w, step, windows, step.op.divisor)
    reach = []  # how far beyond the image padding counts
    for axis in (0, 1):
        before = {-op.counts[axis][0] for op in step.ops}
        after = {op.counts[axis][1] - op.window.image[axis] for op in step.ops}
        if len(before) != 1 or len(after) != 1:
            raise OnnxError(f"export: {step.name}: the counted padding follows the image")
        reach.append((before.pop(), after.pop()))
    counted = any(side for sides in reach for side in sides)
    attributes = geometry(step, windows, pooling=True, far=reach if counted else None)
    near = tuple(attributes.get("pads", (0, 0))[:2])
    if counted and near != tuple(before for before, _ in reach):
        raise OnnxError(f"export: {step.name}: padding of {near} is counted as {reach}")
    return w.add("AveragePool", w.names(step), count_include_pad=int(counted), **attributes)


def _sum_pool(w: Writer, step: Step, windows: list[Window], divisor: int) -> str:
    """sum / divisor, as one depthwise convolution with equal weights."""
    C = w.graph.shapes(step.xs[0])[0][1]
    dtype = w.graph.arrays[step.xs[0]][0].dtype
    weight = w.constant(np.full((C, 1, *windows[0].kernel), 1 / divisor, dtype), "weight")
    return w.add("Conv", [w.name(step.xs[0]), weight], group=C, **geometry(step, windows))


@rule("unfold")
def unfold(w: Writer, step: Step) -> str:
    """A convolution whose kernel (u, v) is 1 at tap (u, v): N C KH KW P Q."""
    windows = _windows(step)
    kernel = _taps(w, step, windows[0])
    C = w.graph.shapes(step.xs[0])[0][1]
    col = w.add("Conv", [w.name(step.xs[0]), kernel], group=C, **geometry(step, windows))
    N, _, _, _, P, Q = w.graph.sizes(step.y)
    KH, KW = windows[0].kernel
    fixed = [(C,) * len(N), (KH,) * len(N), (KW,) * len(N)]
    return w.add("Reshape", [col, w.sizes(step, "the windows", [N, *fixed, P, Q])])


@rule("fold")
def fold(w: Writer, step: Step) -> str:
    """The transposed convolution of the same kernels."""
    windows = _windows(step)
    N, C, KH, KW, P, Q = w.graph.sizes(step.xs[0])
    taps = tuple(c * u * v for c, u, v in zip(C, KH, KW, strict=True))
    col = w.add("Reshape", [w.name(step.xs[0]), w.sizes(step, "the windows", [N, taps, P, Q])])
    kernel = _taps(w, step, windows[0], C[0])
    near = _same(step, "padding", [window.pad for window in windows])
    far = _same(step, "far padding", [window.far_pad for window in windows])
    first = windows[0]
    return w.add(
        "ConvTranspose",
        [col, kernel],
        group=C[0],
        strides=list(first.stride),
        dilations=list(first.dilation),
        pads=[*near, *(max(side, 0) for side in far)],
        output_padding=[max(-side, 0) for side in far],
    )


def _taps(w: Writer, step: Step, window: Window, C: int | None = None) -> str:
    """C KK times one kernel per tap: (C KK) 1 KH KW."""
    C = w.graph.shapes(step.xs[0])[0][1] if C is None else C
    KH, KW = window.kernel
    one = np.eye(KH * KW, dtype=w.graph.arrays[step.xs[0]][0].dtype).reshape(KH * KW, 1, KH, KW)
    return w.constant(np.tile(one, (C, 1, 1, 1)), "taps")


def _windows(step: Step) -> list[Window]:
    return [op.window for op in step.ops]


def _same(step: Step, what: str, values: list[Any]) -> Any:
    if len(set(values)) > 1:
        raise OnnxError(
            f"export: {step.name} in layer {step.layer or 'of the model'}: {what} is "
            f"{', '.join(map(str, values))}, which follows the image; export it with dynamic=False"
        )
    return values[0]


def geometry(
    step: Step, windows: list[Window], pooling: bool = False, far: Any = None
) -> Attributes:
    """kernel_shape, strides, dilations, and pads, auto_pad or ceil_mode that fit every trace."""
    first = windows[0]
    attributes: Attributes = {
        "kernel_shape": list(first.kernel),
        "strides": list(first.stride),
    }
    if first.dilation != (1, 1) or not pooling:
        attributes["dilations"] = list(first.dilation)
    for word, attribute in (("same", "SAME_UPPER"), ("same_lower", "SAME_LOWER")):
        if len({window.pad for window in windows}) > 1 and all(_is_same(o, word) for o in windows):
            return attributes | {"auto_pad": attribute}
    near = _same(step, "padding", [window.pad for window in windows])
    for ceil in (0, 1) if pooling else (0,):
        ends = []
        for axis in (0, 1):
            wanted = [near[axis], 0] if far is None else [far[axis][1]]
            least = max(0, max(window.far_pad[axis] for window in windows))
            wanted += [least] if far is None else []
            fits = [q for q in wanted if all(_gives(o, axis, q, ceil) for o in windows)]
            ends += fits[:1]
        if len(ends) == 2:
            attributes["pads"] = [*near, *ends]
            return attributes | ({"ceil_mode": 1} if ceil else {})
    raise OnnxError(
        f"export: {step.name} in layer {step.layer or 'of the model'}: no padding explains that "
        f"images of {[o.image for o in windows]} give {[o.out for o in windows]}"
    )


def _gives(window: Window, axis: int, q: int, ceil: int) -> bool:
    """Whether a far padding of q gives this window's size."""
    s, p, H = window.stride[axis], window.pad[axis], window.image[axis]
    room = H + p + q - span(window.kernel[axis], window.dilation[axis])
    steps = -(-room // s) if ceil else room // s
    if ceil and steps * s >= H + p:
        steps -= 1
    return steps + 1 == window.out[axis]


def _is_same(window: Window, word: str) -> bool:
    """Whether padding and size are those of "same"."""
    for axis in (0, 1):
        s, H = window.stride[axis], window.image[axis]
        P = -(-H // s)
        reach = s * (P - 1) + span(window.kernel[axis], window.dilation[axis])
        if P != window.out[axis] or split_pad(max(reach - H, 0), word)[0] != window.pad[axis]:
            return False
    return True
