r"""gather: one element per place, chosen along one axis, and its adjoint.

    take_along      y[i, j] = x[i, index[i, j]]                    gx = scatter_along(gy)
    scatter_along   x[i, r] = sum_{j: index[i, j] = r} g[i, j]     gg = take_along(gx)

Labels choose their class's score this way, and a maximum its winner.

Shape   x: ... R ..., index: ... J ... -> y: ... J ...; the other axes have equal sizes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import Integers, draw
from ..shapes import Shape, ShapeError, axis_of


@dataclass(frozen=True)
class TakeAlong(Op):
    """y[i, j] = x[i, index[i, j]]."""

    axis: int
    size: int
    linear = True

    def shape(self, x: Shape, index: Shape) -> Shape:
        return index

    def forward(self, k: Any, x: Array, index: Array) -> Array:
        y: Array = k.take_along(x, index, self.axis)
        return y

    def vjp(self, gy: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return ScatterAlong(self.axis, self.size)(gy, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield TakeAlong(1, 4), draw("2 4 3"), draw("2 1 3", Integers, high=4)
        yield TakeAlong(2, 3), draw("2 1 3"), draw("2 1 5", Integers, high=3)


@dataclass(frozen=True)
class ScatterAlong(Op):
    """x[i, r] = sum of the g[i, j] with index[i, j] = r."""

    axis: int
    size: int
    linear = True

    def shape(self, g: Shape, index: Shape) -> Shape:
        return *g[: self.axis], self.size, *g[self.axis + 1 :]

    def forward(self, k: Any, g: Array, index: Array) -> Array:
        x: Array = k.scatter_along(g, index, self.axis, self.size)
        return x

    def vjp(self, gx: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return TakeAlong(self.axis, self.size)(gx, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield ScatterAlong(1, 4), draw("2 1 3"), draw("2 1 3", Integers, high=4)
        yield ScatterAlong(2, 3), draw("2 1 5"), draw("2 1 5", Integers, high=3)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i, j] = x[i, index[i, j]] along axis `dim`.

    Shape   x: ... R ..., index: ... J ... -> y: as index; unlike PyTorch's, the axes other than
            `dim` must agree

    >>> import minifcn as mf
    >>> gather(mf.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, mf.tensor([[1], [0]])).tolist()
    [[2.0], [3.0]]
    """
    x, index = as_tensor(x), as_tensor(index)
    check_together("gather", x=x.data, index=index.data)
    if x.ndim == 0:
        raise ShapeError("gather: x has no axes, expected at least 1")
    axis = axis_of("gather", "dim", dim, x.ndim, x.shape)
    if index.dtype.kind not in "iu":
        raise TypeError(f"gather: index has dtype {index.dtype}, expected whole numbers")
    if index.ndim != x.ndim:
        raise ShapeError(
            f"gather: index has {index.ndim} axes {index.shape}, expected {x.ndim}: {x.shape}"
        )
    for other, (size, found) in enumerate(zip(x.shape, index.shape, strict=True)):
        if other != axis and size != found:
            raise ShapeError(
                f"gather: axis {other} of index is {found}, but axis {other} of x is {size}"
                f"\n    x = {x.shape}\n    index = {index.shape}"
            )
    low, high = kernels.of("gather", [index.data]).extent(index.data)
    size = x.shape[axis]
    if index.numel() and (low < 0 or high >= size):
        raise IndexError(
            f"gather: index holds {low if low < 0 else high}, but axis {axis} of x has size "
            f"{size}, expected 0 to {size - 1}"
        )
    return TakeAlong(axis, size)(x, index)
