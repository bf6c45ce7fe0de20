r"""select: one of two, element by element, by a mask.

    where    y = a where mask, else b      ga = masked(gy, mask)   gb = masked(gy, not mask)
    masked   y = x where mask, else 0      gx = masked(gy, mask): its own adjoint

The mask has no derivative. What is not chosen gets exactly 0, even if gy is inf or nan there.

Shape   where: mask, a, b broadcast together; masked: same
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..core import Op, Tensor, as_tensor, tensor
from ..device import Array, is_floating
from ..kernels import check_together
from ..samples import Integers, draw
from ..shapes import Shape
from .broadcast import broadcast_shapes, broadcast_to
from .cast import promoted


@dataclass(frozen=True)
class Where(Op):
    """y = a where mask, else b."""

    def shape(self, mask: Shape, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, mask: Array, a: Array, b: Array) -> Array:
        y: Array = k.select(mask, a, b)
        return y

    def vjp(self, gy: Tensor, mask: Tensor) -> tuple[Callable[[], Tensor] | None, ...]:
        return None, lambda: Masked(True)(gy, mask), lambda: Masked(False)(gy, mask)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Where(), draw("2 3 4", Integers), draw("2 3 4"), draw("2 3 4")
        yield Where(), draw("", Integers), draw(""), draw("")


@dataclass(frozen=True)
class Masked(Op):
    """y = x where mask is `keep`, else 0."""

    keep: bool
    linear = True

    def shape(self, x: Shape, mask: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, mask: Array) -> Array:
        y: Array = k.masked(x, mask, self.keep)
        return y

    def vjp(self, gy: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        return Masked(self.keep)(gy, mask), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Masked(True), draw("2 3 4"), draw("2 3 4", Integers)
        yield Masked(False), draw("3 5"), draw("3 5", Integers)
        yield Masked(False), draw(""), draw("", Integers, high=1)


def where(mask: Tensor | Array, a: Any, b: Any) -> Tensor:
    """a where mask, else b; a and b may be numbers, and all three broadcast together.

    Shape   mask, a, b: broadcast together -> y: their common shape

    >>> import minifcn as mf
    >>> where(mf.tensor([True, False]), mf.tensor([1.0, 2.0]), 0).tolist()
    [1.0, 0.0]
    """
    mask = as_tensor(mask)
    if mask.dtype.kind != "b":
        raise TypeError(f"where: dtype of mask is {mask.dtype}, expected bool")
    a, b = alike("where", a=a, b=b)
    check_together("where", mask=mask.data, a=a.data, b=b.data)
    shape = broadcast_shapes("where", a=a.shape, b=b.shape)
    shape = broadcast_shapes("where", mask=mask.shape, a_and_b=shape)
    return Where()(*(broadcast_to(each, shape) for each in (mask, a, b)))


def alike(op: str, **values: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one dtype: a number takes the other's, whole numbers that of floats."""
    (first, a), (second, b) = values.items()
    if isinstance(a, Real) and not isinstance(b, Real):
        b = as_tensor(b)
        return _number(op, first, a, second, b), b
    if isinstance(b, Real):
        a = as_tensor(a)
        return a, _number(op, second, b, first, a)
    a, b = promoted(a, b)
    return a, b


def _number(op: str, name: str, value: Any, other: str, like: Tensor) -> Tensor:
    if not is_floating(like.dtype) and not float(value).is_integer():
        raise TypeError(
            f"{op}: {name} is {value}, but dtype of {other} is {like.dtype}, expected a whole "
            f"number; convert {other} with .astype()"
        )
    return tensor(value, dtype=like.dtype, device=like.device)
