r"""prelu: a leaky relu that learns its slope.

    y = x where x > 0, else w x       bend(x, x, w)
    gx = gy where x > 0, else w gy    bend(gy, x, w)
    gw = 0 where x > 0, else gy x     below(gy, x, x)

`bend(a, x, w)` is a where x > 0, else w a; `below(a, b, x)` is a b where x <= 0, else 0. The
derivatives of each are made of these two, to any order.

Shape   x: N C ..., weight: 1 or C -> y: as x. The operators take w of x's shape
Source  He and others, Delving deep into rectifiers, 2015
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import Separated, draw
from ..shapes import Shape, ShapeError
from .broadcast import broadcast_to
from .cast import promoted
from .exponential import floating
from .precision import beside
from .reshape import reshape


@dataclass(frozen=True)
class Prelu(Op):
    """y = x where x > 0, else w x."""

    def shape(self, x: Shape, w: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, w: Array) -> Array:
        y: Array = k.prelu(x, x, w)
        return y

    def vjp(self, gy: Tensor, x: Tensor, w: Tensor) -> tuple[Callable[[], Tensor], ...]:
        return lambda: PreluBend()(gy, x.detach(), w), lambda: PreluBelow()(gy, x, x.detach())

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Prelu(), draw("2 3 4", Separated), draw("2 3 4")


@dataclass(frozen=True)
class PreluBend(Op):
    """y = a where x > 0, else w a."""

    linear = True

    def shape(self, a: Shape, x: Shape, w: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, x: Array, w: Array) -> Array:
        y: Array = k.prelu(a, x, w)
        return y

    def vjp(self, gy: Tensor, a: Tensor, x: Tensor, w: Tensor) -> tuple[Any, ...]:
        return lambda: PreluBend()(gy, x, w), None, lambda: PreluBelow()(gy, a, x)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield PreluBend(), draw("2 3"), draw("2 3", Separated, smooth=False), draw("2 3")


@dataclass(frozen=True)
class PreluBelow(Op):
    """y = a b where x <= 0, else 0."""

    linear = True

    def shape(self, a: Shape, b: Shape, x: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array, x: Array) -> Array:
        y: Array = k.prelu_weight(a, b, x)
        return y

    def vjp(self, gy: Tensor, a: Tensor, b: Tensor, x: Tensor) -> tuple[Any, ...]:
        return lambda: PreluBelow()(gy, b, x), lambda: PreluBelow()(gy, a, x), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield PreluBelow(), draw("2 3"), draw("2 3"), draw("2 3", Separated, smooth=False)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight x, with one weight for all or one per channel (axis 1).

    Shape   x: N C ..., weight: 1 or C -> y: as x

    >>> import minifcn as mf
    >>> prelu(mf.tensor([[-1.0, -1.0], [2.0, 2.0]]), mf.tensor([0.5, 0.25])).tolist()
    [[-0.5, -0.25], [2.0, 2.0]]
    """
    x = floating("prelu", x)
    weight = as_tensor(weight)
    check_together("prelu", x=x.data, weight=weight.data)
    x, weight = promoted(x, beside(x, weight))
    if weight.ndim > 1:
        raise ShapeError(f"prelu: weight has {weight.ndim} axes {weight.shape}, expected 1: C")
    if weight.numel() != 1:
        channels = x.shape[1] if x.ndim > 1 else 1
        if weight.numel() != channels:
            raise ShapeError(
                f"prelu: axis 0 (C) of weight is {weight.numel()}, but axis 1 (C) of x is "
                f"{channels}, expected 1 or {channels} (x: {x.shape})"
            )
        weight = reshape(weight, (-1, *(1,) * (x.ndim - 2)))
    elif x.ndim == 0:
        weight = reshape(weight, ())
    return Prelu()(x, broadcast_to(weight, x.shape))
