"""sketch: run a network on shapes alone. Operators promise their shapes, and nothing is computed.

Instead of an array every operator gives a stand-in: one number that is seen as the whole shape, by
strides of 0. So VGG16 goes through 4000 x 3000 pixels in milliseconds, and it can be told
beforehand which operators run, on what, and how many bytes would lie in memory meanwhile.

What a network decides by values (an `if` on a loss) cannot be sketched: stand-ins are zeros.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .core import Op, Tensor
from .device import Array, is_floating
from .modes import mode
from .shapes import Shape, ShapeError

MOST = 1 << 59  # elements; their bytes still are a number that NumPy can hold

# Called after every operator: (op, inputs, y), as `mode.trace`.
Listener = Callable[[Op, Sequence[Tensor], Tensor], None]


def stand_in(shape: Shape, dtype: Any = np.float32) -> Array:
    """An array of zeros of any shape that takes no memory.

    >>> stand_in((1, 64, 3000, 4000)).shape
    (1, 64, 3000, 4000)
    """
    if math.prod(shape) >= MOST:
        raise ShapeError(f"sketch: an array of shape {shape} is larger than any can be")
    return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


@contextmanager
def sketching(listener: Listener | None = None, meter: Meter | None = None) -> Iterator[None]:
    """Within it operators of this thread give stand-ins; `listener` hears of each."""
    outer = mode.sketch, mode.trace
    mode.sketch = _Stand(meter)
    mode.trace = listener or _nobody  # one who listens hears operators, not shortcuts of kernels
    try:
        yield
    finally:
        mode.sketch, mode.trace = outer


@contextmanager
def emptied(model: Any, training: bool = False) -> Iterator[None]:
    """Within it a module's parameters are stand-ins, its buffers zeros on the host.

    So it can be sketched wherever it lives, and nothing of it changes: no running statistics, no
    random stream, no mode.
    """
    held = [(tensor, tensor.data) for tensor in (*model.parameters(), *model.buffers())]
    modes = [(module, module.training) for module in model.modules()]
    streams = model.random_state()
    for tensor in model.parameters():
        tensor.data = stand_in(tensor.shape, tensor.dtype)
    for tensor in model.buffers():
        tensor.data = np.zeros(tensor.shape, tensor.dtype)
    model.train(training)
    try:
        yield
    finally:
        for tensor, data in held:
            tensor.data = data
        for module, mode_of_it in modes:
            module.training = mode_of_it
        model.load_random_state(streams)


def _nobody(op: Op, inputs: Sequence[Tensor], y: Tensor) -> None:
    """Hear, and do nothing."""


class Meter:
    """How many bytes the stand-ins that are alive would take, now and at most.

    A view is part of what it views. Freed is what Python frees: the very lifetimes of a real run.
    """

    def __init__(self) -> None:
        self.now = self.peak = 0

    def made(self, array: Array) -> None:
        """Count an array until it goes."""
        self.now += array.nbytes
        self.peak = max(self.peak, self.now)
        weakref.finalize(array, self._gone, array.nbytes).atexit = False

    def _gone(self, count: int) -> None:
        self.now -= count


class _Stand:
    """What takes the place of an operator's forward: stand-ins of what it promised."""

    def __init__(self, meter: Meter | None) -> None:
        self.meter = meter

    def __call__(self, op: Op, arrays: Sequence[Array], shape: Shape) -> Any:
        if op.views and arrays[0].size:
            y = as_strided(arrays[0], shape, (0,) * len(shape))  # which keeps what it views alive
        else:
            y = stand_in(shape, _dtype(op, arrays))
            if self.meter:
                self.meter.made(y)
        if not op.extras:
            return y
        extras = []
        for name in op.extras:
            extra = _extra(name, arrays, y)
            if self.meter and mode.recording:
                self.meter.made(extra)
            extras.append(extra)
        return (y, *extras)


def _dtype(op: Op, arrays: Sequence[Array]) -> Any:
    """What a result would be: of the op's own dtype, whole numbers for places, else as x."""
    if hasattr(op, "dtype"):
        return np.dtype(op.dtype)
    if op.name.endswith("indices") or op.name.startswith("arg"):
        return np.dtype(np.int64)
    return next((a.dtype for a in arrays if is_floating(a.dtype)), arrays[0].dtype)


def _extra(name: str, arrays: Sequence[Array], y: Array) -> Array:
    """What an operator would keep besides: pooling's taps are a byte each, else as y."""
    if name == "like":  # an empty array that remembers a dtype
        return stand_in((0,), arrays[0].dtype)
    return stand_in(y.shape, {"tap": np.uint8, "index": np.int64}.get(name, y.dtype))
