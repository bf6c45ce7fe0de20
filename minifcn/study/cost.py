"""cost: what a network costs, layer by layer: parameters, multiply-adds, receptive field, bytes.

    convolution              N O P Q (C/G) KH KW       every output pixel takes so many products
    transposed convolution   N O P Q (C/G) KH KW       every input pixel (P Q) gives so many
    matrix product (I L)(L J)    I L J

One multiply-add is one product and one sum; papers call it one FLOP, or two. Counted as the formula
says, products with padding's zeros too; faster algorithms, such as Winograd's, take fewer. What all
other operators do (pooling, norms, ReLU, sums, bilinear resizing) is little, and not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from .. import nn
from ..models.coordinates import Grid
from ..models.walk import Step, walk
from ..shapes import Shape
from .memory import Memory, memory
from .named import model_of


@dataclass(frozen=True)
class Row:
    """One layer: what it runs, what comes out, what it costs."""

    layer: str
    what: str
    shape: Shape
    parameters: int
    multiply_adds: int
    grid: Grid | None
    bytes: int  # of the arrays it makes

    def json(self) -> dict[str, Any]:
        """Ready for JSON; a grid as stride, offset and receptive field along (H, W)."""
        found: dict[str, Any] = {
            "layer": self.layer,
            "what": self.what,
            "output": list(self.shape),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.bytes,
        }
        if self.grid:
            found["stride"], found["offset"] = list(self.grid.step), list(self.grid.centre)
            found["receptive_field"] = list(self.grid.size)
        return found


@dataclass(frozen=True)
class Cost:
    """The layers of a network on one image, and their sums."""

    model: str
    image: Shape
    parameters: int
    rows: tuple[Row, ...]
    memory: Memory

    def __str__(self) -> str:
        from .report import report

        return report(self)

    @property
    def multiply_adds(self) -> int:
        """Of all layers together."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Of all that the layers make, not all of it at the same time."""
        return sum(row.bytes for row in self.rows)

    @property
    def unused(self) -> int:
        """Parameters that no layer of this run read."""
        return self.parameters - sum(row.parameters for row in self.rows)

    @property
    def grid(self) -> Grid | None:
        """Of the last feature that still is an image, one cell per place: what it sees."""
        grids = [row.grid for row in self.rows if row.grid and row.shape[2:] != (1, 1)]
        return grids[-1] if grids else None

    def json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "model": self.model,
            "input": list(self.image),
            "output": list(self.rows[-1].shape) if self.rows else list(self.image),
            "parameters": self.parameters,
            "parameters_not_used": self.unused,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.activation_bytes,
            "memory": {
                "how": "derived from the lifetimes of arrays, without the kernels' scratch memory",
                "weights": self.memory.weights,
                "inference": self.memory.inference,
                "training": self.memory.training,
            },
            "receptive_field": list(self.grid.size) if self.grid else None,
            "stride": list(self.grid.step) if self.grid else None,
            "layers": [row.json() for row in self.rows],
        }


def cost(model: nn.Module | str | Mapping[str, Any], image: Sequence[int]) -> Cost:
    """What a model costs on an image of C H W, or a batch N C H W. Nothing is computed.

    >>> vgg = cost("vgg16", (3, 224, 224))
    >>> vgg.parameters, round(vgg.multiply_adds / 1e9, 2)
    (138357544, 15.47)
    """
    net = model_of(model)
    walked = walk(net, image)
    name = getattr(net, "config", {}).get("name", type(net).__name__)
    parameters = sum(p.numel() for p in net.parameters())
    rows = _rows(net, walked.steps)
    return Cost(name, walked.image, parameters, rows, memory(net, walked.image))


def multiply_adds(step: Step) -> int:
    """The products of one operator, by the formula of the module's text.

    >>> step = walk(nn.Conv2d(3, 8, 5), (3, 10, 10)).steps[0]
    >>> multiply_adds(step) == 8 * 6 * 6 * 3 * 5 * 5
    True
    """
    if step.kind == "conv2d":
        return prod(step.shape) * prod(step.inputs[1][1:])
    if step.kind == "conv_transpose2d":
        return prod(step.inputs[0]) * prod(step.inputs[1][1:])
    if step.kind == "mat_mul":
        return prod(step.shape) * step.inputs[0][-1]
    return 0


def _rows(net: nn.Module, steps: list[Step]) -> tuple[Row, ...]:
    """Consecutive operators of one layer are a row; parameters count where they are used first."""
    own = {path or type(net).__name__: module for path, module in net.named_modules()}
    seen: set[int] = set()
    rows = []
    for layer, group in groupby(steps, lambda step: step.layer):
        members = list(group)
        counted = 0
        for parameter in own[layer].parameters(recurse=False) if layer in own else ():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                counted += parameter.numel()
        what = "+".join(dict.fromkeys(_called(step) for step in members))
        last = members[-1]
        products = sum(multiply_adds(step) for step in members)
        made = sum(_bytes(step, net) for step in members)
        rows.append(Row(layer, what, last.shape, counted, products, last.grid, made))
    return tuple(rows)


def _called(step: Step) -> str:
    """`conv2d 3x3 s2 d2 g4`: the operator and what its geometry does not leave out."""
    window = step.window
    if window is None:
        return step.op.name
    words = [step.kind, f"{window.kernel[0]}x{window.kernel[1]}"]
    for letter, (a, b) in (("s", window.stride), ("d", window.dilation)):
        if (a, b) != (1, 1):
            words.append(f"{letter}{a}" if a == b else f"{letter}{a}x{b}")
    if window.groups > 1:
        words.append(f"g{window.groups}")
    return " ".join(words)


def _bytes(step: Step, net: nn.Module) -> int:
    """What the operator's result takes; views take nothing."""
    if step.op.views:
        return 0
    dtype = next((p.dtype for p in net.parameters()), np.dtype(np.float32))
    return prod(step.shape) * dtype.itemsize
