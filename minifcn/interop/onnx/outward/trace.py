"""trace: run a network once, and write down every operator that it called.

A `Trace` is a list of calls over numbered values. Number 0 is the image; other values that no
call made are constants: parameters and buffers, known by their names in the state dict, or arrays
that the network made by other means. A run on shapes alone (sketch.py) tells the calls, not the
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....core import Op, Tensor
from ....device import Array, to_device
from ....modes import mode, no_grad
from ....nn import Module
from ....nn.state import entries
from ....shapes import Shape
from ....sketch import emptied, sketching
from ..error import OnnxError


@dataclass(frozen=True)
class Call:
    """One operator: the values it read, the value it made, and the layer that called it."""

    op: Op
    xs: tuple[int, ...]
    y: int
    layer: str


@dataclass
class Trace:
    """What one run did. `arrays[v]` is value v as it was in this run."""

    shape: Shape  # of the image
    real: bool = True  # whether numbers were computed
    calls: list[Call] = field(default_factory=list)
    arrays: list[Array] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)  # of parameters and buffers
    made: set[int] = field(default_factory=set)  # values that calls made
    outputs: dict[str, int] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)  # id of an array -> its value

    def number(self, array: Array) -> int:
        """The value that an array is; an unknown one is a new constant."""
        found = self._numbers.get(id(array))
        return self._new(array) if found is None else found

    def _new(self, array: Array) -> int:
        self.arrays.append(array)  # kept alive, so its id stays its own
        self._numbers[id(array)] = len(self.arrays) - 1
        return len(self.arrays) - 1

    def record(self, op: Op, inputs: Sequence[Tensor], y: Any) -> None:
        """One call; see Op.__call__."""
        xs = tuple(self.number(x.data) for x in inputs)
        v = self._new(y)
        self.made.add(v)
        self.calls.append(Call(op, xs, v, mode.layer))


def trace(model: Module, shape: Shape, seed: int, real: bool = True) -> Trace:
    """Run `model` on random pixels of this shape; on shapes alone unless `real`."""
    if real:
        return _traced(Trace(shape), model, seed)
    with emptied(model):
        return _traced(Trace(shape, real=False), model, seed)


def _traced(found: Trace, model: Module, seed: int) -> Trace:
    named = {**dict(model.named_buffers()), **dict(entries(model))}
    like = next((t for _, t in named.items() if t.dtype.kind == "f"), None)
    dtype, device = ("float32", "cpu") if like is None else (like.dtype, like.device)
    pixels = np.random.default_rng(seed).standard_normal(found.shape).astype(dtype)
    image = Tensor(to_device(pixels, device))
    found.number(image.data)
    for name, tensor in named.items():
        v = found.number(tensor.data)
        found.names.setdefault(v, name)
    with no_grad(), np.errstate(all="ignore"), _heard(found):
        result = model(image)
    found.outputs = {name: found.number(y.data) for name, y in _named(result).items()}
    return found


@contextmanager
def _heard(found: Trace) -> Iterator[None]:
    """Within it every operator that is called is recorded."""
    if not found.real:
        with sketching(found.record):
            yield
        return
    outer, mode.trace = mode.trace, found.record
    try:
        yield
    finally:
        mode.trace = outer


def _named(result: Any) -> dict[str, Tensor]:
    """The outputs of a network by name: a tensor, several, or a dict of them."""
    if isinstance(result, Tensor):
        return {"output": result}
    if isinstance(result, (tuple, list)):
        result = {f"output_{place}": part for place, part in enumerate(result)}
    wrong = not isinstance(result, dict) or not result
    if wrong or not all(isinstance(part, Tensor) for part in result.values()):
        raise OnnxError(
            f"export: the model gives a {type(result).__name__}, expected a tensor, or a list or "
            f"dict of tensors"
        )
    return {str(name): part for name, part in result.items()}
