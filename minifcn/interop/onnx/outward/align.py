"""align: traces at several image sizes as one graph, each number as the series of what it was.

A network may leave out a crop where it would take everything, so traces differ in length. The
longest one is the reference; a call that another trace lacks must be one that could have been left
out there: cutting nothing off, padding by nothing, reshaping to the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....core import Op
from ....device import Array, to_host
from ....functional.broadcast import BroadcastTo, SumTo
from ....functional.index import GetSlice
from ....functional.pad import Pad, PadEdges, PadValue
from ....functional.reshape import Reshape
from ....shapes import Shape
from ..error import OnnxError
from .trace import Call, Trace

Series = tuple[int, ...]  # one whole number per trace

# What such an operator was where it was left out.
LEFT_OUT: dict[type[Op], Callable[[Shape, Any], Op]] = {
    GetSlice: lambda shape, op: GetSlice(tuple(range(size) for size in shape), shape, False),
    Pad: lambda shape, op: Pad(((0, 0),) * len(shape)),
    PadValue: lambda shape, op: PadValue(((0, 0),) * len(shape), op.value),
    PadEdges: lambda shape, op: PadEdges(op.mode, (shape[-2], shape[-1]), ((0, 0), (0, 0))),
    Reshape: lambda shape, op: Reshape(shape, shape),
    BroadcastTo: lambda shape, op: BroadcastTo(shape, shape),
    SumTo: lambda shape, op: SumTo(shape, shape),
}


@dataclass(frozen=True)
class Step:
    """One call of the graph: what the operator was in every trace."""

    ops: tuple[Any, ...]
    xs: tuple[int, ...]
    y: int
    layer: str

    @property
    def op(self) -> Any:
        return self.ops[0]

    @property
    def name(self) -> str:
        name: str = self.ops[0].name
        return name


@dataclass
class Graph:
    """The reference's steps; values by its numbers, with one array per trace."""

    steps: list[Step]
    arrays: list[list[Array]]  # value -> what it was in every trace
    names: dict[int, str]
    outputs: dict[str, int]
    images: list[Shape]
    real: list[bool]  # whether numbers were computed; in one trace at least

    def shapes(self, value: int) -> list[Shape]:
        return [array.shape for array in self.arrays[value]]

    def sizes(self, value: int) -> list[Series]:
        """One series per axis of a value."""
        return list(zip(*self.shapes(value), strict=True))

    def constant(self, value: int) -> Array:
        """A value that no image has touched, or an error."""
        found = [
            (to_host(array), image)
            for array, image, real in zip(self.arrays[value], self.images, self.real, strict=True)
            if real
        ]
        first, where = found[0]
        for other, image in found[1:]:
            if first is not other and not np.array_equal(first, other, equal_nan=True):
                raise OnnxError(
                    f"export: an array of shape {first.shape} that no operator made differs "
                    f"between images of {where} and {image}; the network computes it outside the "
                    f"operators, which ONNX cannot follow"
                )
        return first


def align(traces: list[Trace]) -> Graph:
    """One graph of all traces, whose values are numbered as in the longest."""
    longest = max(traces, key=lambda t: len(t.calls))
    ordered = [longest, *(t for t in traces if t is not longest)]
    maps, ops = [], []
    for other in ordered:
        values, found = _matched(longest, other)
        maps.append(values)
        ops.append(found)
    steps = [
        Step(tuple(found[place] for found in ops), call.xs, call.y, call.layer)
        for place, call in enumerate(longest.calls)
    ]
    for name, value in longest.outputs.items():
        for values, other in zip(maps, ordered, strict=True):
            if name not in other.outputs or values.get(value) != other.outputs[name]:
                raise _differs(longest, other, f"output {name!r} is made in another way")
    arrays = [
        [other.arrays[values[v]] for values, other in zip(maps, ordered, strict=True)]
        if all(v in values for values in maps)
        else []
        for v in range(len(longest.arrays))
    ]
    return Graph(steps, arrays, longest.names, longest.outputs,
                 [t.shape for t in ordered], [t.real for t in ordered])  # fmt: skip


def _matched(reference: Trace, other: Trace) -> tuple[dict[int, int], list[Op]]:
    """reference's values -> other's, and other's operator for each of reference's calls."""
    values = {0: 0}
    by_name = {name: v for v, name in other.names.items()}
    values |= {v: by_name[name] for v, name in reference.names.items()}
    found: list[Op] = []
    free = set(range(len(reference.arrays))) - reference.made  # bound to a constant when first met
    sources: dict[int, int] = {}
    place = 0
    for call in reference.calls:
        their = other.calls[place] if place < len(other.calls) else None
        if their is not None and _same(call, their, values, free, other):
            for ours, theirs in zip(call.xs, their.xs, strict=True):
                values[ours] = values[sources.get(ours, ours)] = theirs
            values[call.y] = their.y
            found.append(their.op)
            place += 1
        elif type(call.op) in LEFT_OUT:
            source = call.xs[0]
            if source in values:
                values[call.y] = values[source]
                shape = other.arrays[values[source]].shape
            else:  # a constant that we shall meet in the call that reads the result
                sources[call.y] = sources.get(source, source)
                free.add(call.y)
                shape = reference.arrays[source].shape
            found.append(LEFT_OUT[type(call.op)](shape, call.op))
        else:
            what = f"{call.op.name} against {their.op.name if their else 'nothing'}"
            raise _differs(reference, other, f"{what} in layer {call.layer or 'of the model'}")
    if place < len(other.calls):
        raise _differs(reference, other, f"{other.calls[place].op.name} is called only there")
    return values, found


def _same(call: Call, their: Call, values: dict[int, int], free: set[int], other: Trace) -> bool:
    """Whether two calls are the same operator on the same values."""
    if type(call.op) is not type(their.op) or len(call.xs) != len(their.xs):
        return False
    for ours, theirs in zip(call.xs, their.xs, strict=True):
        if ours in values:
            if values[ours] != theirs:
                return False
        elif ours not in free or theirs in other.made:
            return False
    return True


def _differs(reference: Trace, other: Trace, what: str) -> OnnxError:
    return OnnxError(
        f"export: the network runs other operators on an image of {other.shape} than on one of "
        f"{reference.shape} ({what}), which one ONNX graph cannot do; export it with dynamic=False"
    )
