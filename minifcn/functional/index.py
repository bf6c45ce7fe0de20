r"""index: what x[key] means. Slices are views; index arrays copy; each has its adjoint.

    get_slice    y[i] = x[start + step i]               gx = put_slice(gy)
    put_slice    x = 0, then x[start + step i] = g[i]   gg = get_slice(gx)
    take         y[j] = x[index[j]]                     gx = scatter_add(gy)
    scatter_add  x[r] = sum_{j: index[j] = r} g[j]      gg = take(gx)

A key is read in two steps, as in PyTorch: first whole numbers, slices, None and `...`, then index
arrays and masks on the axes that are left. Several index arrays are broadcast together; their axes
are merged into one, so that `take` needs one flat index along one axis.

Shape   x: any -> y: as NumPy's, but a whole number beside index arrays counts as a slice
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..modes import mode
from ..samples import Integers, draw
from ..shapes import Shape
from .key import Ranges, flat_index, read
from .reshape import permute, reshape


@dataclass(frozen=True)
class GetSlice(Op):
    """The elements at a grid of places: one range per axis, of any step.

    A view, through which one may write into x; or `settled` in the order that kernels read best,
    for graphs: there several operators read it, and nobody writes.
    """

    key: Ranges
    src: Shape
    settled: bool = False
    linear = True
    views = True

    def shape(self, x: Shape) -> Shape:
        return tuple(len(places) for places in self.key)

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.get_slice(x, self.key)
        if self.settled:
            y = k.settle(y)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (PutSlice(self.key, self.src)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield GetSlice((range(1, 4, 2), range(3)), (5, 3)), draw("5 3")
        yield GetSlice((range(1), range(4, -1, -2), range(1, 4)), (2, 5, 4), True), draw("2 5 4")
        yield (
            GetSlice((range(2), range(1, 3), range(4), range(5)), (2, 3, 4, 5), True),
            draw("2 3 4 5"),
        )


@dataclass(frozen=True)
class PutSlice(Op):
    """Zeros, with g at a grid of places."""

    key: Ranges
    dst: Shape
    linear = True

    def shape(self, g: Shape) -> Shape:
        return self.dst

    def forward(self, k: Any, g: Array) -> Array:
        x: Array = k.put_slice(g, self.key, self.dst)
        return x

    def vjp(self, gx: Tensor) -> tuple[Tensor]:
        return (GetSlice(self.key, self.dst, True)(gx),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield PutSlice((range(1, 4, 2), range(3)), (5, 3)), draw("2 3")
        yield PutSlice((range(1), range(4, -1, -2), range(1, 4)), (2, 5, 4)), draw("1 3 3")


@dataclass(frozen=True)
class Take(Op):
    """The entries of one axis, of `size`, that a flat index names."""

    axis: int
    size: int
    linear = True

    def shape(self, x: Shape, index: Shape) -> Shape:
        return *x[: self.axis], index[0], *x[self.axis + 1 :]

    def forward(self, k: Any, x: Array, index: Array) -> Array:
        y: Array = k.take(x, index, self.axis)
        return y

    def vjp(self, gy: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return ScatterAdd(self.axis, self.size)(gy, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Take(2, 4), draw("2 1 4 3"), draw("6", Integers, high=4)
        yield Take(1, 5), draw("2 5 3"), draw("2", Integers, high=5)


@dataclass(frozen=True)
class ScatterAdd(Op):
    """Zeros, with every entry of g added where the flat index says, along one axis."""

    axis: int
    size: int
    linear = True

    def shape(self, g: Shape, index: Shape) -> Shape:
        return *g[: self.axis], self.size, *g[self.axis + 1 :]

    def forward(self, k: Any, g: Array, index: Array) -> Array:
        x: Array = k.scatter_add(g, index, self.axis, self.size)
        return x

    def vjp(self, gx: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return Take(self.axis, self.size)(gx, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield ScatterAdd(2, 4), draw("2 1 6 3"), draw("6", Integers, high=4)
        yield ScatterAdd(1, 5), draw("2 3 3"), draw("3", Integers, high=5)


def index(x: Tensor, key: Any) -> Tensor:
    """x[key]: whole numbers, slices (also backwards), None, `...`, index arrays, boolean masks.

    Shape   x: any -> y: the axes of the index arrays stand where the arrays stood, or in front if
            these did not stand side by side

    >>> import minifcn as mf
    >>> x = mf.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> x[0, ::-1].tolist(), x[:, [2, 0, 2]].tolist()
    ([3.0, 2.0, 1.0], [[3.0, 1.0, 3.0], [6.0, 4.0, 6.0]])
    """
    x = as_tensor(x)
    found = read(key, x)
    y = get_slice(x, found.ranges)
    if y.shape != found.shape:
        y = reshape(y, found.shape)
    if not found.arrays:
        return y
    arrays = {f"the index of axis {axis}": one.data for axis, one in found.arrays.items()}
    check_together("index", x=x.data, **arrays)
    return _take(y, found.arrays)


def get_slice(x: Tensor, key: Ranges) -> Tensor:
    """The elements at the places of `key`, one range per axis; x itself if that is all of them.

    Shape   x: any -> y: the lengths of the ranges
    """
    if key == tuple(range(size) for size in x.shape):
        return x
    return GetSlice(key, x.shape, mode.recording and x.requires_grad)(x)


def _take(x: Tensor, arrays: dict[int, Tensor]) -> Tensor:
    axes = sorted(arrays)
    shape, flat = flat_index(arrays, x.shape)
    first, count = axes[0], len(axes)
    if axes[-1] != first + count - 1:
        x = permute(x, (*axes, *(axis for axis in range(x.ndim) if axis not in arrays)))
        first = 0
    before, after = x.shape[:first], x.shape[first + count :]
    size = prod(x.shape[first : first + count])
    y = Take(first, size)(reshape(x, (*before, size, *after)), flat)
    return reshape(y, (*before, *shape, *after))
