"""walk: what every operator of a network does to coordinates, found by running it on shapes.

Works for any model, as it follows operators and not modules: branches, crops, concatenations, and
layers of your own. See coordinates.py for the rules of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from .. import nn
from ..core import Op, Tensor
from ..modes import mode, no_grad
from ..shapes import Pair, Shape, ShapeError, sizes
from ..sketch import emptied, sketching, stand_in
from ..window import Window
from .coordinates import Grid, Line

# Operators that move elements about, so that rows and columns are no longer what they were.
SHUFFLES = ("matmul", "permute", "reshape", "gather", "take", "scatter_add", "unfold", "fold")


@dataclass(frozen=True)
class Step:
    """One operator: what it was, in which layer, on what, and where its cells lie.

    `sources` are the steps whose results it reads; -1 is the image. `grid` is None where the result
    is no image. `apart` is how many image pixels the branches that meet here lie apart, (0, 0) if
    they were cropped right.
    """

    layer: str
    op: Op
    shape: Shape
    inputs: tuple[Shape, ...]
    sources: tuple[int, ...]
    grid: Grid | None
    apart: tuple[float, float] = (0, 0)

    @property
    def kind(self) -> str:
        """The operator's name; of a convolution with its bias and ReLU that of the convolution."""
        return getattr(self.op, "conv", self.op).name

    @property
    def window(self) -> Window | None:
        """The geometry of a convolution or pooling."""
        found = getattr(getattr(self.op, "conv", self.op), "window", None)
        return found if isinstance(found, Window) else None


@dataclass
class Walk:
    """The steps of one run; `steps[outputs[k]]` made the k-th result."""

    image: Shape
    steps: list[Step] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def grid(self, output: int = -1) -> Grid:
        """Where the cells of a result lie; the last one, unless told."""
        last = self.outputs[output]
        found = Grid() if last < 0 else self.steps[last].grid  # -1: the image as it came
        if found is None:
            raise ShapeError(f"walk: output {output} is no image, so its cells lie nowhere")
        return found


def walk(model: nn.Module, image: Sequence[int]) -> Walk:
    """Run a model on an image of shape C H W, or N C H W, without computing anything.

    >>> from minifcn.models import FCN, SmallEncoder
    >>> net = FCN(SmallEncoder(width=2, depth=3), classes=2)
    >>> walked = walk(net, (3, 40, 52))
    >>> walked.grid().step, walked.grid().centre, walked.grid().reach <= net.radius
    ((1, 1), (0, 0), True)
    """
    shape = image_shape("walk", image)
    walked = Walk(shape)
    alive: list[Any] = []
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    x = Tensor(stand_in(shape, dtype))
    known: dict[int, tuple[int, Grid | None]] = {id(x.data): (-1, Grid())}

    def hear(op: Op, inputs: Sequence[Tensor], y: Any) -> None:
        found = [(known[id(t.data)], t.shape) for t in inputs if id(t.data) in known]
        alive.extend((y, *inputs))  # an id is taken again when its array goes
        if not found:
            return  # a computation on weights
        grids = [grid for (_, grid), _ in found]
        grid, apart = _behind(op, grids, [shape for _, shape in found], y.shape)
        sources = tuple(source for (source, _), _ in found)
        known[id(y)] = len(walked.steps), grid
        shapes = tuple(t.shape for t in inputs)
        walked.steps.append(Step(mode.layer, op, y.shape, shapes, sources, grid, apart))

    with emptied(model), sketching(hear), no_grad():
        results = model(x)
    for k, y in enumerate(listed(results)):
        if id(y.data) not in known:
            raise ShapeError(f"walk: output {k} of the model does not depend on its image")
        walked.outputs.append(known[id(y.data)][0])
    return walked


def listed(results: Any) -> list[Tensor]:
    """What a model gives, as a list: one tensor, several, or a dict of them."""
    if isinstance(results, dict):
        return list(results.values())
    return list(results) if isinstance(results, (list, tuple)) else [results]


def image_shape(name: str, image: Sequence[int]) -> Shape:
    """C H W or N C H W as N C H W."""
    shape = sizes(name, image, 1)
    shape = shape if len(shape) == 4 else (1, *shape)
    if len(shape) != 4:
        raise ShapeError(f"{name}: image is {tuple(image)}, expected C H W or N C H W")
    return shape


def _behind(
    op: Op, grids: list[Grid | None], shapes: list[Shape], y: Shape
) -> tuple[Grid | None, tuple[float, float]]:
    """Where the result's cells lie, and how far apart the branches that it joins."""
    grid, x, aligned = grids[0], shapes[0], (0, 0)
    if grid is None or len(x) != 4 or len(y) != 4 or op.name in SHUFFLES:
        return None, aligned
    inner: Any = getattr(op, "conv", op)
    if inner.name in ("conv2d", "max_pool2d", "avg_pool2d"):
        return grid.through(inner.window), aligned
    if inner.name == "conv_transpose2d":
        return grid.through(inner.window, transposed=True), aligned
    if inner.name == "interpolate":
        return Grid(_resized(grid.rows, inner.rows), _resized(grid.cols, inner.cols)), aligned
    if inner.name == "get_slice":
        rows, cols = inner.key[2:]
        return grid.cropped((rows.start, cols.start), (rows.step, cols.step)), aligned
    if hasattr(inner, "pads"):
        return grid.cropped((-inner.pads[-2][0], -inner.pads[-1][0])), aligned
    if inner.name == "adaptive_avg_pool2d":
        return Grid(_binned(grid.rows, x[2], y[2]), _binned(grid.cols, x[3], y[3])), aligned
    if y[2:] == (1, 1) and prod(x[2:]) > 1:
        return Grid(_binned(grid.rows, x[2], 1), _binned(grid.cols, x[3], 1)), aligned
    if x[2:] != y[2:]:
        return None, aligned
    return _met(grid, [g for g, s in zip(grids, shapes, strict=True) if g and s[2:] == y[2:]])


def _met(grid: Grid, branches: list[Grid]) -> tuple[Grid, tuple[float, float]]:
    """Branches become one, at the coordinates of the first; how far the others lie from it."""
    apart: list[float] = []
    lines: list[Line] = []
    for a, line in enumerate((grid.rows, grid.cols)):
        others = [(branch.rows, branch.cols)[a] for branch in branches]
        low, high = min(o.low for o in others), max(o.high for o in others)
        lines.append(Line(line.step, line.centre, low, high))
        apart.append(float(max(abs(o.centre - line.centre) for o in others)))
    return Grid(lines[0], lines[1]), (apart[0], apart[1])


def _resized(line: Line, how: Any) -> Line:
    """Behind an interpolation along one axis; the cells it reads, over one period of its taps."""
    if how.align_corners:
        stride = Fraction(how.size - 1, max(how.out - 1, 1))
    else:
        stride = Fraction(how.scale).limit_denominator(1 << 12)
    rows = how.taps()
    inner = [(i, taps) for i, taps in enumerate(rows) if 0 < taps[0][0] < how.size - 2]
    lows, highs, middles = [], [], []
    for i, taps in inner[: stride.denominator] or list(enumerate(rows)):
        read = [(h, w) for h, w in taps if w]
        lows.append(min(h for h, _ in read) - stride * i)
        highs.append(max(h for h, _ in read) - stride * i)
        middles.append(
            Fraction(sum(h * w for h, w in read)).limit_denominator(1 << 12) - stride * i
        )
    middle = sum(middles, Fraction(0)) / len(middles)
    return line.moved(stride, middle, min(lows), max(highs))


def _binned(line: Line, size: int, out: int) -> Line:
    """Behind adaptive pooling along one axis: bins of about size / out cells."""
    stride = Fraction(size, max(out, 1))
    ends: list[Pair] = [(i * size // out, -(-(i + 1) * size // out) - 1) for i in range(out)]
    low = min(first - stride * i for i, (first, _) in enumerate(ends))
    high = max(last - stride * i for i, (_, last) in enumerate(ends))
    return line.moved(stride, (low + high) / 2, low, high)
