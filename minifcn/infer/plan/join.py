"""join: a program's operators as steps, with what can be done in one pass done in one.

    norm, PReLU or ReLU behind a step that nobody else reads      what follows that step
    a sum of two                                                  Each; a norm behind it joins it
    a scale behind a convolution                                  multiplied into its weight
    zeros around an image                                         one Frame for all that need them
    a 3x3 convolution of many channels                            Wide: left to the kernels

What none of this knows stays the operator that it is.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeGuard

import numpy as np

from ...device import Array
from ...functional.activation import Relu
from ...functional.arithmetic import Add
from ...functional.avg_pool import AvgPool2d
from ...functional.batch_norm_relu import ChannelAffineRelu
from ...functional.channel_affine import ChannelAffine
from ...functional.concat import Concat
from ...functional.conv import Conv2d, ConvTranspose2d
from ...functional.conv_bias import ConvBias, ConvBiasRelu
from ...functional.max_pool import MaxPool2d
from ...functional.prelu import Prelu
from ...nn.trace import Call, Program, Value
from ...window import Window
from .passes import Each, Frame, Join, Other, Pool
from .products import Conv, Up, Wide
from .step import After, Step


class Joiner:
    """The steps so far, and who made what."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps: list[Step] = []
        self.maker: dict[Value, Step] = {}
        self.readers = Counter(v for call in program.calls for v in call.inputs if _is(v))
        self.readers[program.result] += 1
        for call in program.calls:
            self.add(call)
        for step in self.steps:
            if isinstance(step, (Conv, Up)):
                step.fold()
        self._frames()

    def add(self, call: Call) -> None:
        """One operator: into the step before it, or as a step of its own."""
        op, (x, *others) = call.op, call.inputs
        if isinstance(op, (ChannelAffine, ChannelAffineRelu)) and _constant(others):
            after = self._after(x, call)
            if after is not None:
                after.affine(*(a.astype(np.float32) for a in others))  # type: ignore[union-attr]
                after.slope = np.zeros_like(after.shift) if "relu" in op.name else None
                return
        slope = self._slope(call)
        if slope is not None:
            after = self._after(x, call)
            if after is not None:
                after.slope = slope
                return
        step = self._step(call)
        self.steps.append(step)
        self.maker[call.out] = step

    def _after(self, x: Any, call: Call) -> After | None:
        """What follows the step that made x, if this may join it; a new pass over x, else."""
        if not _is(x) or len(x.shape) != 4:
            return None
        step = self.maker.get(x)
        free = step is not None and not isinstance(step, (Join, Other)) and self.readers[x] == 1
        if step is None or not free or step.after.slope is not None:
            step = Each(call.out, terms=(x,))
            self.steps.append(step)
        step.out = call.out
        self.maker[call.out] = step
        return step.after

    def _slope(self, call: Call) -> Array | None:
        """Of ReLU or PReLU, one for each channel."""
        x, *others = call.inputs
        if not _is(x) or len(x.shape) != 4:
            return None
        if isinstance(call.op, Relu):
            return np.zeros(x.shape[1], np.float32)
        if isinstance(call.op, Prelu) and _constant(others):
            w = np.asarray(others[0])
            slope: Array = w[0, :, 0, 0].astype(np.float32)
            return slope if (w == slope[:, None, None]).all() else None
        return None

    def _step(self, call: Call) -> Step:
        op, (x, *others) = call.op, call.inputs
        small = all(len(v.shape) == 4 for v in (*call.inputs, call.out) if _is(v))
        if small and isinstance(op, (ConvBias, ConvBiasRelu)) and _constant(others):
            made = self._conv(op.conv, x, others[0], call.out)
            if made is not None:
                made.after.shift = np.asarray(others[1], np.float32)
                if isinstance(op, ConvBiasRelu):
                    made.after.slope = np.zeros_like(made.after.shift)
                return made
        if small and isinstance(op, (Conv2d, ConvTranspose2d)) and _constant(others):
            made = self._conv(op, x, others[0], call.out)
            if made is not None:
                return made
        values = tuple(v for v in call.inputs if isinstance(v, Value))
        if small and len(values) == len(call.inputs):
            if isinstance(op, Add):
                return Each(call.out, terms=values)
            if isinstance(op, Concat) and op.axis == 1:
                return Join(call.out, parts=values)
            if isinstance(op, AvgPool2d) and _counts_all(op):
                return Pool(call.out, x=values[0], window=op.window)
            if isinstance(op, MaxPool2d) and op.window.dilation == (1, 1):
                if not any(_pads(op.window)):  # zeros around it would be a value
                    return Pool(call.out, x=values[0], window=op.window, largest=True)
        return Other(call.out, op=op, inputs=call.inputs)

    def _conv(self, op: Any, x: Any, w: Any, out: Value) -> Step | None:
        window: Window = op.window
        if not _is(x) or window.groups != 1 or w.dtype != np.float32:
            return None
        w = np.array(w, order="C")  # the network's own may be written later
        if isinstance(op, Conv2d):
            kind = Wide if Wide.pays(w.shape[1], w.shape[0], window) else Conv
            return kind(out, x=x, w=w, window=window)
        apart = window.kernel == window.stride and window.dilation == (1, 1)
        whole = all(
            i == s * p for i, s, p in zip(window.image, window.stride, window.out, strict=True)
        )
        return (
            Up(out, x=x, w=w, window=window) if apart and whole and window.pad == (0, 0) else None
        )

    def _frames(self) -> None:
        """One frame for every value that is read beyond its border, as wide as any reader needs."""
        needs: dict[Value, list[int]] = {}
        for step in self.steps:
            if _is_framed(step) and any(_pads(step.window)):
                most = needs.setdefault(step.x, [0, 0, 0, 0])
                most[:] = map(max, most, _pads(step.window))
        frames: dict[Value, Frame] = {}
        steps, self.steps = self.steps, []
        for step in steps:
            if _is_framed(step):
                p, x = step.window.pad, step.x
                if x in needs and x not in frames and any(_pads(step.window)):
                    top, bottom, left, right = needs[x]
                    N, C, H, W = x.shape
                    out = Value((N, C, top + H + bottom, left + W + right))
                    frames[x] = Frame(out, x=x, near=(top, left))
                    self.steps.append(frames[x])
                if x in frames and any(_pads(step.window)):
                    near = frames[x].near
                    step.frame, step.origin = frames[x].out, (near[0] - p[0], near[1] - p[1])
                else:
                    step.origin = -p[0], -p[1]
            self.steps.append(step)


def _is_framed(step: Step) -> TypeGuard[Conv | Pool]:
    return isinstance(step, (Conv, Pool)) and not isinstance(step, Wide)


def _is(value: Any) -> bool:
    return isinstance(value, Value)


def _constant(inputs: list[Any]) -> bool:
    return not any(map(_is, inputs))


def _pads(window: Window) -> tuple[int, int, int, int]:
    """Zeros needed above, below, left and right."""
    (top, left), (bottom, right) = window.pad, window.far_pad
    return max(top, 0), max(bottom, 0), max(left, 0), max(right, 0)


def _counts_all(op: AvgPool2d) -> bool:
    """Whether every window's mean is its sum divided by the number of its taps."""
    window, (KH, KW) = op.window, op.window.kernel
    if window.dilation != (1, 1) or op.divisor not in (None, KH * KW):
        return False
    return op.divisor is not None or all(
        first <= -p and stop >= s * (n - 1) + k - p
        for (first, stop), p, s, n, k in zip(
            op.counts, window.pad, window.stride, window.out, window.kernel, strict=True
        )
    )
