r"""batch_norm_relu: batch normalisation and ReLU in one pass; layers find the pair, see nn/fuse.py.

    batch_norm_relu       y = max(weight n(x) + bias, 0)
    channel_affine_relu   y = max((x - origin) scale + shift, 0)

y tells where the gradient stops, as ReLU's own y does; behind that it is batch_norm's, or that of
channel_affine, of every order. What lies between the two is never stored. A first derivative that
nobody differentiates again is made by one kernel; it is the same but for rounding.

Shape   x, y: N C ...    all others: C
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor
from ..device import Array
from ..modes import mode
from ..samples import draw
from ..shapes import Shape
from .activation import ReluGrad
from .batch_norm import Batch, Entries, norm_samples, statistic
from .channel_affine import ChannelAffine


@dataclass(frozen=True)
class BatchNormRelu(Op):
    """y = max(batch_norm(x), 0)."""

    batch: Batch
    mixed = True

    def shape(self, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(
        self, k: Any, x: Array, weight: Array, bias: Array, mean: Array, var: Array
    ) -> Array:
        y: Array = k.batch_norm_relu(x, weight, bias, mean, var, self.batch.eps)
        return y

    def vjp(
        self, gy: Tensor, y: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor
    ) -> Entries:
        if mode.recording or mode.trace:  # somebody wants to see operators
            g = ReluGrad()(gy, y.detach())
            return *self.batch.entries(g, x, weight, mean, var), None, None
        return *self._at_once(gy, y, x, weight, mean, var), None, None

    def _at_once(self, gy: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """The gradients of x, weight and bias by one kernel: a third of the memory traffic less."""
        arrays = [t.data for t in (gy, *others)]
        k = kernels.of("batch_norm_relu", arrays, mixed=True)

        def totals(*sums: Array) -> list[Array]:
            return [t.data for t in self.batch.totals(*map(Tensor, sums))]

        made = k.batch_norm_relu_grad(*arrays, self.batch.eps, self.batch.M, totals)
        return tuple(map(Tensor, made))

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for batch, x, C in norm_samples():
            yield BatchNormRelu(batch), x, C, C, statistic(0, 0), statistic(1, 0)


@dataclass(frozen=True)
class ChannelAffineRelu(Op):
    """y = max(channel_affine(x), 0)."""

    mixed = True

    def shape(self, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, origin: Array, scale: Array, shift: Array) -> Array:
        y: Array = k.channel_affine_relu(x, origin, scale, shift)
        return y

    def vjp(
        self, gy: Tensor, y: Tensor, x: Tensor, origin: Tensor, scale: Tensor
    ) -> tuple[Any, ...]:
        return ChannelAffine().vjp(ReluGrad()(gy, y.detach()), x, origin, scale)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for shape, C in (("2 3 2 3", "3"), ("4 2", "2")):
            yield ChannelAffineRelu(), draw(shape), draw(C, smooth=False), draw(C), draw(C)
