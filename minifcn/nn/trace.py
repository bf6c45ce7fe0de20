"""trace: the operators that a function calls on an image, in order, with what each one reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Op, Tensor
from ..device import Array
from ..modes import mode, no_grad
from ..shapes import Shape


class TraceError(ValueError):
    """A function whose operators do not lead from its input to its result."""


@dataclass(eq=False)
class Value:
    """An array that depends on the photo: its shape is known, its numbers are not."""

    shape: Shape
    dtype: Any = np.dtype(np.float32)

    @property
    def channels(self) -> int:
        """C of N C H W."""
        return self.shape[1]


Input = Value | Array  # or a constant


@dataclass(eq=False)
class Call:
    """One operator: what it reads, what it makes, and in which layer."""

    op: Op
    inputs: tuple[Input, ...]
    out: Value
    layer: str


@dataclass(frozen=True)
class Program:
    """All calls, from the photo to the result."""

    photo: Value
    calls: tuple[Call, ...]
    result: Value


def trace(function: Callable[[Tensor], Tensor], x: Array) -> Program:
    """Run the function once. What does not depend on x is a constant from then on."""
    values: dict[int, Value] = {id(x): Value(x.shape)}  # by array
    alive: list[Any] = [x]  # so that no other array gets a number of `values`
    calls: list[Call] = []

    def record(op: Op, inputs: tuple[Tensor, ...], y: Array) -> None:
        read = tuple(values.get(id(t.data), t.data) for t in inputs)
        if any(isinstance(one, Value) for one in read):
            values[id(y)] = Value(y.shape, y.dtype)
            calls.append(Call(op, read, values[id(y)], mode.layer))
            alive.append(y)

    before, mode.trace = mode.trace, record
    try:
        with no_grad():
            result = function(Tensor(x)).data
    finally:
        mode.trace = before
    if id(result) not in values:
        raise TraceError("the network's result does not depend on the photo by operators")
    return Program(values[id(x)], tuple(calls), values[id(result)])
