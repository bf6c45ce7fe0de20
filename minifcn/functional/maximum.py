r"""maximum: the larger (smaller) of two, element by element.

    maximum   y = max(a, b)    ga = gy where a > b, gy / 2 where a = b, 0 where a < b; gb the rest
    minimum   y = min(a, b)    the same with the roles of a and b exchanged

nan wins. Each part is linear in gy and its own adjoint, and in a and b constant almost everywhere.

Shape   a, b: broadcast together
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor
from ..device import Array
from ..samples import Separated, draw
from ..shapes import Shape
from .broadcast import broadcast_shapes, broadcast_to
from .select import alike


@dataclass(frozen=True)
class Between(Separated):
    """Separated values that also differ from every value of another such draw."""

    def __call__(self, rng: Any) -> Array:
        values = super().__call__(rng)
        values += 0.02
        return values


@dataclass(frozen=True)
class Maximum(Op):
    """y = max(a, b)."""

    def shape(self, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.maximum(a, b)
        return y

    def vjp(self, gy: Tensor, a: Tensor, b: Tensor) -> tuple[Any, Any]:
        a, b = a.detach(), b.detach()
        return lambda: LargerGrad()(gy, a, b), lambda: LargerGrad()(gy, b, a)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Maximum(), draw("2 3 4", Separated), draw("2 3 4", Between)
        yield Maximum(), draw("", Separated), draw("", Between)


@dataclass(frozen=True)
class Minimum(Op):
    """y = min(a, b)."""

    def shape(self, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.minimum(a, b)
        return y

    def vjp(self, gy: Tensor, a: Tensor, b: Tensor) -> tuple[Any, Any]:
        a, b = a.detach(), b.detach()
        return lambda: LargerGrad()(gy, b, a), lambda: LargerGrad()(gy, a, b)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Minimum(), draw("2 3 4", Separated), draw("2 3 4", Between)
        yield Minimum(), draw("", Separated), draw("", Between)


@dataclass(frozen=True)
class LargerGrad(Op):
    """a's part of the gradient of max(a, b)."""

    linear = True

    def shape(self, gy: Shape, a: Shape, b: Shape) -> Shape:
        return gy

    def forward(self, k: Any, gy: Array, a: Array, b: Array) -> Array:
        ga: Array = k.larger_grad(gy, a, b)
        return ga

    def vjp(self, gga: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, None, None]:
        return LargerGrad()(gga, a, b), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        fixed = draw("2 3", Separated, smooth=False), draw("2 3", Between, smooth=False)
        yield LargerGrad(), draw("2 3"), *fixed


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of a and b; one may be a number. Equals share the gradient.

    Shape   a, b: broadcast together -> y: their common shape

    >>> import minifcn as mf
    >>> maximum(mf.tensor([1.0, 4.0]), mf.tensor([[2.0], [3.0]])).tolist()
    [[2.0, 4.0], [3.0, 4.0]]
    """
    return Maximum()(*_both("maximum", a, b))


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of a and b; one may be a number. Equals share the gradient.

    Shape   a, b: broadcast together -> y: their common shape
    """
    return Minimum()(*_both("minimum", a, b))


def _both(op: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = alike(op, a=a, b=b)
    shape = broadcast_shapes(op, a=a.shape, b=b.shape)
    return broadcast_to(a, shape), broadcast_to(b, shape)
