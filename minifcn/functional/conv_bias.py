r"""conv_bias: a convolution and what follows it in the same pass: a bias, and perhaps ReLU.

    conv_bias        y = conv(x, w) + b            conv: conv2d or conv_transpose2d
    conv_bias_relu   y = max(conv(x, w) + b, 0)

On a GPU a sum is finished while it is in registers: an image less is written and read. The gradient
of b is the sum of gy, the others are those of the triad (conv.py); with ReLU all of them for gy
where y > 0. Beside an image in half precision b may be float32.

Shape   x, w, y: those of conv    b: one number per channel of y
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import Draw
from ..shapes import Shape, ShapeError
from .activation import ReluGrad, relu
from .broadcast import sum_as

Entries = tuple[Callable[[], Tensor], ...]


@dataclass(frozen=True)
class ConvBias(Op):
    """y = conv(x, w) + b."""

    conv: Any  # Conv2d or ConvTranspose2d
    mixed = True

    def shape(self, x: Shape, w: Shape, b: Shape) -> Shape:
        promised: Shape = self.conv.shape(x, w)
        return promised

    def forward(self, k: Any, x: Array, w: Array, b: Array) -> Array:
        y: Array = getattr(k, f"{self.conv.name}_bias")(x, w, b, self.conv.window, False)
        return y

    def vjp(self, gy: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Entries:
        return *self.conv.vjp(gy, x, w), lambda: sum_as(b.dtype, gy, (0, 2, 3))

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for conv, x, w, y in _samples():
            yield ConvBias(conv), x, w, Draw(y.shape[1:2])


@dataclass(frozen=True)
class ConvBiasRelu(Op):
    """y = max(conv(x, w) + b, 0)."""

    conv: Any
    mixed = True

    def shape(self, x: Shape, w: Shape, b: Shape) -> Shape:
        promised: Shape = self.conv.shape(x, w)
        return promised

    def forward(self, k: Any, x: Array, w: Array, b: Array) -> Array:
        y: Array = getattr(k, f"{self.conv.name}_bias")(x, w, b, self.conv.window, True)
        return y

    def vjp(self, gy: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Entries:
        return ConvBias(self.conv).vjp(ReluGrad()(gy, y.detach()), x, w, b)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for conv, x, w, y in _samples():
            yield ConvBiasRelu(conv), x, w, Draw(y.shape[1:2])


def _samples() -> Iterator[tuple[Op, Draw, Draw, Draw]]:
    """(conv, x, w, y) of both kinds."""
    from .conv import Conv2d, ConvTranspose2d, triad_samples

    for window, x, w, g in triad_samples():
        for conv, source, y in ((Conv2d(window), x, g), (ConvTranspose2d(window), g, x)):
            if y.shape[0] != y.shape[1]:  # a bias as long as the batch would be taken for one
                yield conv, source, w, y


def finished(conv: Op, x: Tensor, w: Tensor, bias: Tensor | None, then_relu: bool) -> Tensor:
    """conv(x, w), with a bias if there is one, then ReLU if wanted; one operator if it can be."""
    if bias is None:
        return relu(conv(x, w)) if then_relu else conv(x, w)
    return ConvBiasRelu(conv)(x, w, bias) if then_relu else ConvBias(conv)(x, w, bias)


def check_bias(op: str, given: Any, weight: Tensor, letter: str, size: int) -> Tensor | None:
    """The bias as a tensor of one value per channel of the result, in weight's dtype; or None."""
    if given is None:
        return None
    bias = as_tensor(given)
    check_together(op, weight=weight.data, bias=bias.data)
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
