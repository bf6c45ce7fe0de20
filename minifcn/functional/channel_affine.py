r"""channel_affine: a scale and a shift per channel; batch normalisation once its statistics stand.

    y = (x - origin) scale + shift
    gx = gy scale        gscale = sum gy (x - origin)        gshift = sum gy

Subtracting the origin first loses no digits where the mean is large. The origin is a constant.

Shape   x, y: N C ...    origin, scale, shift: C
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor
from ..device import Array
from ..samples import draw
from ..shapes import Shape
from .broadcast import sum, sum_as
from .cast import cast
from .reshape import reshape


@dataclass(frozen=True)
class ChannelAffine(Op):
    """y = (x - origin) scale + shift. Beside half an x the others may be float32."""

    mixed = True

    def shape(self, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, origin: Array, scale: Array, shift: Array) -> Array:
        y: Array = k.channel_affine(x, origin, scale, shift)
        return y

    def vjp(self, gy: Tensor, x: Tensor, origin: Tensor, scale: Tensor) -> tuple[Any, ...]:
        others = (0, *range(2, gy.ndim))
        column = (1, gy.shape[1], *(1,) * (gy.ndim - 2))
        dtype = scale.dtype

        def by_scale() -> Tensor:
            centred = cast(x, dtype) - reshape(origin, column)
            return sum(cast(gy, dtype) * centred, others)  # C

        return (
            lambda: cast(cast(gy, dtype) * reshape(scale, column), gy.dtype),  # N C ...
            None,
            by_scale,
            lambda: sum_as(dtype, gy, others),  # C
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for shape, C in (("2 3 2 3", "3"), ("4 2", "2")):
            yield ChannelAffine(), draw(shape), draw(C, smooth=False), draw(C), draw(C)
