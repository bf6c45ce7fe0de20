r"""concat: joining tensors along an axis; its adjoint cuts them apart.

    cat     y = x_1 | x_2 | ...        gx_i = the part of gy where x_i stands (get_slice)
    stack   the same along a new axis
    split   y_i = a part of x          gx = gy_i put back (put_slice)

Shape   x_i: ... S_i ... -> y: ... sum_i S_i ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import draw
from ..shapes import Shape, ShapeError, axis_of, whole
from .cast import promoted
from .index import GetSlice, get_slice
from .reshape import reshape


@dataclass(frozen=True)
class Concat(Op):
    """Join along `axis`, where the inputs have these sizes."""

    axis: int
    sizes: tuple[int, ...]

    def shape(self, *xs: Shape) -> Shape:
        return *xs[0][: self.axis], sum(self.sizes), *xs[0][self.axis + 1 :]

    def forward(self, k: Any, *xs: Array) -> Array:
        y: Array = k.concatenate(xs, self.axis)
        return y

    def vjp(self, gy: Tensor) -> tuple[Callable[[], Tensor], ...]:
        parts = part_keys(gy.shape, self.axis, self.sizes)
        return tuple(_cut(gy, key) for key in parts)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Concat(1, (1, 3)), draw("2 1"), draw("2 3")
        yield Concat(2, (2, 1, 3)), draw("2 3 2"), draw("2 3 1"), draw("2 3 3")


def _cut(gy: Tensor, key: tuple[range, ...]) -> Callable[[], Tensor]:
    return lambda: GetSlice(key, gy.shape, True)(gy)


def part_keys(shape: Shape, axis: int, sizes: Sequence[int]) -> list[tuple[range, ...]]:
    """The places of consecutive parts of these sizes along `axis`."""
    whole_axes = tuple(range(size) for size in shape)
    keys, start = [], 0
    for size in sizes:
        part = range(start, start + size) if size else range(0)
        keys.append((*whole_axes[:axis], part, *whole_axes[axis + 1 :]))
        start += size
    return keys


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join along one axis; all other axes agree.

    Shape   x_i: ... S_i ... -> y: ... sum_i S_i ...

    >>> import minifcn as mf
    >>> cat([mf.tensor([[1.0], [2.0]]), mf.tensor([[3.0, 4.0], [5.0, 6.0]])], dim=1).tolist()
    [[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]
    """
    xs = _tensors("cat", tensors)
    if xs[0].ndim == 0:
        raise ShapeError("cat: tensor 0 has no axes, expected at least 1; stack makes a new axis")
    axis = axis_of("cat", "dim", dim, xs[0].ndim)
    for place, x in enumerate(xs):
        _same_but(axis, "cat", place, x, xs[0])
    return xs[0] if len(xs) == 1 else Concat(axis, tuple(x.shape[axis] for x in xs))(*xs)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join along a new axis, which becomes axis `dim`; all shapes agree.

    Shape   M times x_i: ... -> y: ... M ...

    >>> import minifcn as mf
    >>> stack([mf.tensor([1.0, 2.0]), mf.tensor([3.0, 4.0])], dim=1).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    xs = _tensors("stack", tensors)
    axis = axis_of("stack", "dim", dim, xs[0].ndim + 1)
    for place, x in enumerate(xs):
        _same_but(None, "stack", place, x, xs[0])
    shape = (*xs[0].shape[:axis], 1, *xs[0].shape[axis:])
    return cat([reshape(x, shape) for x in xs], axis)


def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of `split_size` along one axis, the last one what is left; or parts of the sizes given.

    Shape   x: ... S ... -> y_i: ... S_i ...

    >>> import minifcn as mf
    >>> [part.tolist() for part in split(mf.tensor([1.0, 2.0, 3.0]), 2)]
    [[1.0, 2.0], [3.0]]
    """
    x = as_tensor(x)
    axis = _axis("split", dim, x)
    total = x.shape[axis]
    if isinstance(split_size, (tuple, list)):
        sizes = [whole("split", "split_size", size, 0) for size in split_size]
        if sum(sizes) != total:
            raise ShapeError(
                f"split: split_size is {tuple(sizes)}, in sum {sum(sizes)}, but axis {axis} of x "
                f"is {total} (x: {x.shape})"
            )
    else:
        step = whole("split", "split_size", split_size, 1)
        sizes = [min(step, total - start) for start in range(0, total, step)] or [0]
    return tuple(get_slice(x, key) for key in part_keys(x.shape, axis, sizes))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along one axis, the last one what is left.

    Shape   x: ... S ... -> y_i: ... ceil(S / chunks) ...
    """
    x = as_tensor(x)
    axis = _axis("chunk", dim, x)
    count = whole("chunk", "chunks", chunks, 1)
    step = -(-x.shape[axis] // count)
    return split(x, step or [0] * count, axis)


def _axis(op: str, dim: object, x: Tensor) -> int:
    if x.ndim == 0:
        raise ShapeError(f"{op}: x has no axes, expected at least 1")
    return axis_of(op, "dim", dim, x.ndim, x.shape)


def _tensors(op: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{op}: tensors is a {type(tensors).__name__}, expected a list of tensors")
    if not tensors:
        raise ValueError(f"{op}: tensors is empty, expected at least 1 tensor")
    given = [as_tensor(one) for one in tensors]
    check_together(op, **{f"tensor {place}": one.data for place, one in enumerate(given)})
    return list(promoted(*given))


def _same_but(axis: int | None, op: str, place: int, x: Tensor, first: Tensor) -> None:
    """x's shape is the first one's, but for `axis`."""
    if x.ndim != first.ndim:
        raise ShapeError(
            f"{op}: tensor {place} has {x.ndim} axes {x.shape}, but tensor 0 has {first.ndim}: "
            f"{first.shape}"
        )
    for one, (size, expected) in enumerate(zip(x.shape, first.shape, strict=True)):
        if one != axis and size != expected:
            raise ShapeError(
                f"{op}: axis {one} of tensor {place} is {size}, but axis {one} of tensor 0 is "
                f"{expected}\n    tensor 0 = {first.shape}\n    tensor {place} = {x.shape}"
            )
