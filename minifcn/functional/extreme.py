r"""extreme: the largest and the smallest along axes, with who gets the gradient.

    over one axis    y = x[first index of the largest]     gx = scatter_along(gy, index)
    over several     y = max_i x_i                         gx_i = gy [x_i = y] / sum_j [x_j = y]

Which of equals is served is PyTorch's choice: the first along one axis, all in equal parts over
several or all axes. nan wins. Put and take by ties are adjoint, and in x constant
almost everywhere.

Shape   x: any -> y: the axes dropped, or kept with size 1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import Derived, Separated, draw
from ..shapes import Shape, ShapeError, axis_of, whole
from .broadcast import named, normal_axes
from .gather import ScatterAlong
from .reshape import reshape


@dataclass(frozen=True)
class Extreme(Op):
    """The largest (or smallest) along one axis, which stays with size 1; the first of equals."""

    axis: int
    size: int
    largest: bool
    extras = ("index",)

    def shape(self, x: Shape) -> Shape:
        return *x[: self.axis], 1, *x[self.axis + 1 :]

    def forward(self, k: Any, x: Array) -> tuple[Array, Array]:
        index = (k.argmax if self.largest else k.argmin)(x, self.axis)
        return k.take_along(x, index, self.axis), index

    def vjp(self, gy: Tensor, index: Tensor) -> tuple[Tensor]:
        return (ScatterAlong(self.axis, self.size)(gy, index),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Extreme(1, 4, True), draw("2 4 3", Separated)
        yield Extreme(2, 5, False), draw("2 3 5", Separated)


@dataclass(frozen=True)
class Amax(Op):
    """The largest (or smallest) over several axes, which stay with size 1."""

    axes: tuple[int, ...]
    largest: bool

    def shape(self, x: Shape) -> Shape:
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(x))

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = (k.amax if self.largest else k.amin)(x, self.axes)
        return y

    def vjp(self, gy: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor]:
        return (TiesPut(self.axes)(gy, x.detach(), y.detach()),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Amax((1, 2), True), draw("2 3 4", Separated)
        yield Amax((1,), False), draw("3 4", Separated)


@dataclass(frozen=True)
class TiesPut(Op):
    """gx = gy in equal parts to all x that equal the best, else 0."""

    axes: tuple[int, ...]
    linear = True

    def shape(self, gy: Shape, x: Shape, best: Shape) -> Shape:
        return x

    def forward(self, k: Any, gy: Array, x: Array, best: Array) -> Array:
        gx: Array = k.ties_put(gy, x, best, self.axes)
        return gx

    def vjp(self, ggx: Tensor, x: Tensor, best: Tensor) -> tuple[Tensor, None, None]:
        return TiesTake(self.axes)(ggx, x, best), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield TiesPut((1, 2)), draw("2 1 1"), draw("2 3 4", Separated, smooth=False), _best((1, 2))
        yield TiesPut((1,)), draw("3 1"), draw("3 4", Separated, smooth=False), _best((1,))


@dataclass(frozen=True)
class TiesTake(Op):
    """The mean of g over all x that equal the best."""

    axes: tuple[int, ...]
    linear = True

    def shape(self, g: Shape, x: Shape, best: Shape) -> Shape:
        return best

    def forward(self, k: Any, g: Array, x: Array, best: Array) -> Array:
        y: Array = k.ties_take(g, x, best, self.axes)
        return y

    def vjp(self, gy: Tensor, x: Tensor, best: Tensor) -> tuple[Tensor, None, None]:
        return TiesPut(self.axes)(gy, x, best), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield TiesTake((1, 2)), draw("2 3 4"), draw("2 3 4", Separated, smooth=False), _best((1, 2))
        yield TiesTake((1,)), draw("3 4"), draw("3 4", Separated, smooth=False), _best((1,))


def _best(axes: tuple[int, ...]) -> Derived:
    """The largest of the input before it."""
    return Derived((), make=lambda g, x: x.max(axis=axes, keepdims=True))


def max(x: Tensor, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
    """The largest along one axis, or of all elements.

    Among equals, the gradient goes to the first along `axis`; without an axis, to all alike. The
    values only, so PyTorch's `dim`, which gives a pair, is refused.

    Shape   x: any -> y: without `axis`, or with size 1 there if keepdims

    >>> import minifcn as mf
    >>> x = mf.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> max(x).item(), max(x, 1).tolist()
    (7.0, [5.0, 7.0])
    """
    _no_pair("max", names)
    return _extreme("max", as_tensor(x), *named("max", axis, keepdims, names), True)


def min(x: Tensor, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
    """The smallest along one axis, or of all elements; see `max`.

    Shape   x: any -> y: without `axis`, or with size 1 there if keepdims
    """
    _no_pair("min", names)
    return _extreme("min", as_tensor(x), *named("min", axis, keepdims, names), False)


def _no_pair(op: str, names: dict[str, Any]) -> None:
    """Who writes `values, indices = x.max(dim=1)` must not get the rows of the values instead."""
    if "dim" in names:
        raise TypeError(
            f"{op}: dim gives (values, indices) in PyTorch; here {op}(x, axis) gives the values, "
            f"arg{op}(x, axis) the indices"
        )


def amax(x: Tensor, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
    """The largest over one, several or all axes; equals share the gradient in equal parts.

    Shape   x: any -> y: without the axes, or with size 1 there if keepdims
    """
    return _shared_extreme("amax", as_tensor(x), *named("amax", axis, keepdims, names), True)


def amin(x: Tensor, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
    """The smallest over one, several or all axes; equals share the gradient in equal parts.

    Shape   x: any -> y: without the axes, or with size 1 there if keepdims
    """
    return _shared_extreme("amin", as_tensor(x), *named("amin", axis, keepdims, names), False)


def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
    """The first index (int64) of the largest along one axis, or among all elements in row order.

    Shape   x: any -> y: without `axis`, or with size 1 there if keepdims

    >>> import minifcn as mf
    >>> argmax(mf.tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 0.0]]), 1).tolist()
    [1, 0]
    """
    return _arg_extreme("argmax", as_tensor(x), *named("argmax", axis, keepdims, names))


def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
    """The first index (int64) of the smallest along one axis, or among all elements in row order.

    Shape   x: any -> y: without `axis`, or with size 1 there if keepdims
    """
    return _arg_extreme("argmin", as_tensor(x), *named("argmin", axis, keepdims, names))


def _extreme(op: str, x: Tensor, axis: Any, keepdims: bool, largest: bool) -> Tensor:
    if axis is None:
        return _shared_extreme(op, x, None, keepdims, largest)
    if x.ndim == 0:
        axis_of(op, "axis", axis, 1)
        return x
    (axis,) = _axes(op, x, whole(op, "axis", axis, None))
    return _without(Extreme(axis, x.shape[axis], largest)(x), (axis,), keepdims)


def _shared_extreme(op: str, x: Tensor, axis: Any, keepdims: bool, largest: bool) -> Tensor:
    axes = _axes(op, x, axis)
    return _without(Amax(axes, largest)(x), axes, keepdims)


def _arg_extreme(op: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    flat = axis is None
    rows = reshape(x.detach(), -1 if x.numel() else 0) if flat or not x.ndim else x
    (along,) = _axes(op, rows, 0 if flat else whole(op, "axis", axis, None))
    k = kernels.of(op, [rows.data])
    index = Tensor(getattr(k, op)(rows.data, along))
    if flat or not x.ndim:
        return reshape(index, (1,) * x.ndim if keepdims else ())
    return _without(index, (along,), keepdims)


def _axes(op: str, x: Tensor, axis: Any) -> tuple[int, ...]:
    """The axes in order, none of them empty."""
    axes = normal_axes(op, axis, x.ndim)
    for one in axes:
        if x.shape[one] == 0:
            raise ShapeError(f"{op}: axis {one} of x is 0, expected at least 1 (x: {x.shape})")
    return axes


def _without(y: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if keepdims or not axes:
        return y
    return reshape(y, tuple(size for axis, size in enumerate(y.shape) if axis not in axes))
