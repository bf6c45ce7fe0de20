r"""softmax: positive numbers that sum to one, and their logarithm.

    softmax       y_i = e^x_i / sum_j e^x_j         gx_i = y_i (gy_i - sum_j y_j gy_j)
    log_softmax   y_i = x_i - log sum_j e^x_j       gx_i = gy_i - e^y_i sum_j gy_j

Both are computed from x - max x, so nothing overflows. One infinite logit makes nan, as in PyTorch.

Shape   x, y: same; i and j run along the axis `dim`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array, is_floating
from ..samples import draw
from ..shapes import Shape, axis_of
from .broadcast import sum
from .exponential import exp
from .precision import widened
from .reshape import reshape


@dataclass(frozen=True)
class Softmax(Op):
    """y = e^x / sum e^x along `axis`."""

    axis: int

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.softmax(x, self.axis)
        return y

    def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
        return (y * (gy - sum(y * gy, self.axis, keepdims=True)),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Softmax(1), draw("2 3 2")
        yield Softmax(0), draw("4")


@dataclass(frozen=True)
class LogSoftmax(Op):
    """y = x - log sum e^x along `axis`."""

    axis: int

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.log_softmax(x, self.axis)
        return y

    def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
        return (gy - exp(y) * sum(gy, self.axis, keepdims=True),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield LogSoftmax(1), draw("2 3 2")
        yield LogSoftmax(0), draw("4")


def softmax(x: Tensor | Array, dim: int) -> Tensor:
    """Shares along `dim`: positive, with sum 1.

    >>> import minifcn as mf
    >>> softmax(mf.tensor([0.0, 0.0, 0.0, 0.0]), dim=0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    x, axis = _checked("softmax", x, dim)
    return Softmax(axis)(x) if x.ndim else reshape(Softmax(0)(reshape(x, 1)), ())


def log_softmax(x: Tensor | Array, dim: int) -> Tensor:
    """log(softmax(x, dim)) without the overflow and the rounding of computing it so."""
    x, axis = _checked("log_softmax", x, dim)
    return LogSoftmax(axis)(x) if x.ndim else reshape(LogSoftmax(0)(reshape(x, 1)), ())


def _checked(op: str, x: Tensor | Array, dim: int) -> tuple[Tensor, int]:
    x = widened(as_tensor(x))
    if not is_floating(x.dtype):
        raise TypeError(f"{op}: dtype of x is {x.dtype}, expected a floating type")
    return x, axis_of(op, "dim", dim, x.ndim or 1, x.shape)
