r"""broadcast: repeating along an axis, and its adjoint, summing along it.

    broadcast_to   y[i, j] = x[i, 0]            gx = sum_to(gy)
    sum_to         y[i, 0] = sum_j x[i, j]      gx = broadcast_to(gy)

Each stores both shapes, so its adjoint is the other with them swapped. All sums and means are made
of this pair; the sum that a broadcast's gradient needs, often forgotten, is its adjoint.

Shape   x: src -> y: dst; equal ranks, and a repeated axis has size 1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..modes import mode
from ..samples import draw
from ..shapes import Shape, ShapeError, axis_of, flag, real, sizes
from .cast import cast
from .precision import widened
from .reshape import reshape


@dataclass(frozen=True)
class BroadcastTo(Op):
    """Repeat the axes of size 1."""

    src: Shape
    dst: Shape
    linear = True
    views = True

    def shape(self, x: Shape) -> Shape:
        return self.dst

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.broadcast_to(x, self.dst)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (SumTo(self.dst, self.src)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield BroadcastTo((3, 1, 1), (3, 2, 4)), draw("3 1 1")
        yield BroadcastTo((1, 2), (5, 2)), draw("1 2")


@dataclass(frozen=True)
class SumTo(Op):
    """Sum the axes that have size 1 in the result."""

    src: Shape
    dst: Shape
    linear = True

    def shape(self, x: Shape) -> Shape:
        return self.dst

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.sum_to(x, self.dst)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (BroadcastTo(self.dst, self.src)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield SumTo((3, 2, 4), (3, 1, 1)), draw("3 2 4")
        yield SumTo((5, 2), (1, 2)), draw("5 2")


def broadcast_shapes(op: str, **shapes: Shape) -> Shape:
    """The common shape by NumPy's rule, or an error that names axis and arguments."""
    (first, a), (second, b) = shapes.items()
    if a == b:
        return a
    rank = max(len(a), len(b))
    long_a, long_b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    for axis, (m, n) in enumerate(zip(long_a, long_b, strict=True)):
        if m != n and 1 not in (m, n):
            raise ShapeError(
                f"{op}: axis {axis - rank} of {second} is {n}, but axis {axis - rank} of {first} "
                f"is {m}, expected {m} or 1\n    {first} = {a}\n    {second} = {b}"
            )
    return tuple(n if m == 1 else m for m, n in zip(long_a, long_b, strict=True))


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """Repeat x along its axes of size 1, and along new leading axes, up to `shape`."""
    x, shape = as_tensor(x), sizes("broadcast_to", shape)
    if x.shape == shape:
        return x
    if len(shape) < x.ndim or broadcast_shapes("broadcast_to", shape=shape, x=x.shape) != shape:
        raise ShapeError(f"broadcast_to: x has shape {x.shape}, which cannot become {shape}")
    if len(shape) > x.ndim:
        x = reshape(x, (1,) * (len(shape) - x.ndim) + x.shape)
    return BroadcastTo(x.shape, shape)(x) if x.shape != shape else x


def normal_axes(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """None | int | ints as sorted axes 0 .. ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    axes = []
    for one in axis if isinstance(axis, (tuple, list)) else (axis,):
        axes.append(axis_of(op, "axis", one, max(ndim, 1)))  # a number counts as one axis of one
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{op}: axis {axis} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


def named(op: str, axis: Any, keepdims: bool, names: dict[str, Any]) -> tuple[Any, bool]:
    """NumPy's `axis` and `keepdims`, which PyTorch calls `dim` and `keepdim`."""
    axis, keepdims = names.pop("dim", axis), names.pop("keepdim", keepdims)
    if names:
        raise TypeError(
            f"{op}: got {', '.join(names)}, expected dim and keepdim, or axis and keepdims"
        )
    return axis, flag(op, "keepdims", keepdims)


def sum(x: Tensor, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
    """Sum over `axis` (one, several or all).

    >>> import minifcn as mf
    >>> sum(mf.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """
    x, (axis, keepdims) = widened(as_tensor(x)), named("sum", axis, keepdims, names)
    axes = normal_axes("sum", axis, x.ndim)
    kept = tuple(1 if a in axes else size for a, size in enumerate(x.shape))
    y = SumTo(x.shape, kept)(x) if axes else x
    if keepdims or not axes:
        return y
    return reshape(y, tuple(size for a, size in enumerate(x.shape) if a not in axes))


def sum_as(dtype: Any, x: Tensor, axis: Any = None) -> Tensor:
    """The sum in another floating type: what half precision holds may be too much in sum."""
    if x.dtype == dtype or mode.recording or mode.trace:  # somebody wants to see operators
        return sum(cast(x, dtype), axis)
    axes = normal_axes("sum", axis, x.ndim)
    kept = tuple(1 if a in axes else size for a, size in enumerate(x.shape))
    k = kernels.of("sum", [x.data])
    y = Tensor(k.sum_to(x.data, kept, dtype.name))  # no wide x in between
    return reshape(y, tuple(size for a, size in enumerate(x.shape) if a not in axes))


def mean(x: Tensor, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
    """Mean over `axis`; of no elements nan, as in NumPy."""
    x, (axis, keepdims) = widened(as_tensor(x)), named("mean", axis, keepdims, names)
    axes = normal_axes("mean", axis, x.ndim)
    count = _count(x, axes)
    return sum(x, axes, keepdims) * (1 / count if count else float("nan"))


def var(
    x: Tensor, axis: Any = None, keepdims: bool = False, correction: float = 1, **names: Any
) -> Tensor:
    """sum (x - mean)^2 / (n - correction) over `axis`; PyTorch corrects by 1, NumPy by 0."""
    x, (axis, keepdims) = widened(as_tensor(x)), named("var", axis, keepdims, names)
    axes = normal_axes("var", axis, x.ndim)
    count = _count(x, axes) - real("var", "correction", correction)
    centred = x - mean(x, axes, keepdims=True)
    return sum(centred * centred, axes, keepdims) * (1 / count if count > 0 else float("nan"))


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return count
