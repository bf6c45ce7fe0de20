r"""reshape: the same elements under another shape, or with the axes in another order.

    reshape   y = x read in row order as dst       gx = gy read as src
    permute   y[.. i_a ..] = x[i]                  gx = gy permuted back

Both are their own adjoint's kind: the inverse map carries the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import draw
from ..shapes import Shape, ShapeError, axis_of, sizes, whole


@dataclass(frozen=True)
class Reshape(Op):
    """Row order is kept."""

    src: Shape
    dst: Shape
    linear = True
    views = True

    def shape(self, x: Shape) -> Shape:
        return self.dst

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.reshape(x, self.dst)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (Reshape(self.dst, self.src)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Reshape((2, 6), (3, 4)), draw("2 6")
        yield Reshape((2, 1, 3), (6,)), draw("2 1 3")


@dataclass(frozen=True)
class Permute(Op):
    """Axis a of y is axis axes[a] of x."""

    axes: tuple[int, ...]
    linear = True
    views = True

    def shape(self, x: Shape) -> Shape:
        return tuple(x[axis] for axis in self.axes)

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.permute(x, self.axes)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        back = sorted(range(len(self.axes)), key=lambda axis: self.axes[axis])
        return (Permute(tuple(back))(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Permute((2, 0, 1)), draw("2 3 4")
        yield Permute((0, 3, 1, 2)), draw("2 3 4 5")


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """`reshape(x, 2, 3)` or `reshape(x, (2, 3))`; one size may be -1.

    Shape   x: any -> y: the sizes given, with as many elements

    >>> import minifcn as mf
    >>> reshape(mf.tensor([1.0, 2.0, 3.0, 4.0]), 2, -1).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    x = as_tensor(x)
    dst = sizes("reshape", shape[0] if len(shape) == 1 else shape, -1)
    asked = dst
    if dst.count(-1) == 1:
        known = prod(size for size in dst if size != -1)
        free = prod(x.shape) // known if known else 0
        dst = tuple(free if size == -1 else size for size in dst)
    if prod(dst) != prod(x.shape) or any(size < 0 for size in dst):
        raise ShapeError(
            f"reshape: x has shape {x.shape}, {prod(x.shape)} elements, which do not fit {asked}"
        )
    return Reshape(x.shape, dst)(x) if dst != x.shape else x


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim to end_dim, that one included, as one.

    Shape   x: A .. B .. C .. D -> y: A .. (B .. C) .. D

    >>> import minifcn as mf
    >>> flatten(mf.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 1).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """
    x = as_tensor(x)
    first = axis_of("flatten", "start_dim", start_dim, max(x.ndim, 1))
    last = axis_of("flatten", "end_dim", end_dim, max(x.ndim, 1))
    if first > last:
        raise ShapeError(f"flatten: start_dim is {start_dim}, which comes after end_dim {end_dim}")
    return reshape(x, (*x.shape[:first], prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def permute(x: Tensor, *axes: Any) -> Tensor:
    """`permute(x, 0, 2, 3, 1)` or with a tuple: axis a of the result is axis axes[a] of x.

    Shape   x: any -> y: the same sizes in the order of `axes`
    """
    x = as_tensor(x)
    given = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
    order = [whole("permute", "axes", axis, None) for axis in given]
    normal = tuple(axis % x.ndim if -x.ndim <= axis < x.ndim else axis for axis in order)
    if sorted(normal) != list(range(x.ndim)):
        raise ShapeError(
            f"permute: axes are {tuple(order)}, expected each of 0 to {x.ndim - 1} once "
            f"(x: {x.shape})"
        )
    return Permute(normal)(x)


def transpose(x: Tensor, first: int, second: int) -> Tensor:
    """Swap two axes.

    Shape   x: any -> y: the same, with the sizes of `first` and `second` swapped
    """
    x = as_tensor(x)
    order = list(range(x.ndim))
    a, b = (axis_of("transpose", "axis", axis, x.ndim, x.shape) for axis in (first, second))
    order[a], order[b] = order[b], order[a]
    return Permute(tuple(order))(x)


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """A new axis of size 1, which becomes axis `dim`.

    Shape   x: A .. B -> y: A .. 1 .. B
    """
    x = as_tensor(x)
    axis = axis_of("unsqueeze", "dim", dim, x.ndim + 1)
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x: Tensor, dim: int | None = None) -> Tensor:
    """Without axis `dim` if its size is 1; without `dim`, without every axis of size 1.

    Shape   x: A .. 1 .. B -> y: A .. B
    """
    x = as_tensor(x)
    every = range(x.ndim)
    axes = every if dim is None else [axis_of("squeeze", "dim", dim, x.ndim or 1, x.shape)]
    return reshape(x, tuple(x.shape[a] for a in every if a not in axes or x.shape[a] != 1))
