r"""bias: one number per channel, checked before anything is computed, added along axis 1.

    add_bias        y[n, o, ...] = x[n, o, ...] + b[o]            gx = gy    gb = sum gy
    add_bias_relu   y = max(x + b, 0): the same of gy where y > 0, else of 0

A convolution adds its own bias, see conv_bias.py. Beside an image in half precision b may
be float32: the sum is rounded once.

Shape   x, y: N O ...    b: O
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import draw
from ..shapes import Shape, ShapeError
from .activation import ReluGrad
from .broadcast import sum_as


@dataclass(frozen=True)
class AddBias(Op):
    """y = x + b."""

    mixed = True

    def shape(self, x: Shape, b: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, b: Array) -> Array:
        y: Array = k.add_bias(x, b)
        return y

    def vjp(self, gy: Tensor, b: Tensor) -> tuple[Any, Any]:
        return gy, lambda: sum_as(b.dtype, gy, (0, *range(2, gy.ndim)))  # O

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield AddBias(), draw("2 3 2 3"), draw("3")
        yield AddBias(), draw("4 2"), draw("2")


@dataclass(frozen=True)
class AddBiasRelu(Op):
    """y = max(x + b, 0)."""

    mixed = True

    def shape(self, x: Shape, b: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, b: Array) -> Array:
        y: Array = k.add_bias_relu(x, b)
        return y

    def vjp(self, gy: Tensor, y: Tensor, b: Tensor) -> tuple[Any, Any]:
        return AddBias().vjp(ReluGrad()(gy, y.detach()), b)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield AddBiasRelu(), draw("2 3 2 3"), draw("3")
        yield AddBiasRelu(), draw("4 2"), draw("2")


def check_bias(op: str, given: Any, weight: Tensor, letter: str, size: int) -> Tensor | None:
    """The bias as a tensor of one value per channel of the result, in weight's dtype; or None."""
    if given is None:
        return None
    bias = as_tensor(given)
    if bias.ndim != 1:
        raise ShapeError(f"{op}: bias has {bias.ndim} axes {bias.shape}, expected 1: {letter}")
    if bias.shape[0] != size:
        raise ShapeError(
            f"{op}: axis 0 ({letter}) of bias is {bias.shape[0]}, but axis 1 ({letter}) of the "
            f"result is {size}, expected {size}"
        )
    if bias.dtype != weight.dtype:
        raise TypeError(
            f"{op}: dtype of bias is {bias.dtype}, but dtype of weight is {weight.dtype}; "
            f"convert one with .astype()"
        )
    return bias
