r"""cast: the same numbers in another precision.

    y = x in `dtype`      gx = gy in x's dtype

Recorded between floating types: a float32 parameter used in another precision gets a float32
gradient. A cast to whole numbers or bools has no derivative and is not recorded. precision.py says
which functions insert casts.

Shape   x: any -> y: same
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array, host_array, is_floating, is_half
from ..modes import mode
from ..samples import draw
from ..shapes import Shape


@dataclass(frozen=True)
class Cast(Op):
    """x in the floating type of this name; `like`, an empty array, remembers x's."""

    dtype: str
    extras = ("like",)
    linear = True

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> tuple[Array, Array]:
        return k.cast(x, self.dtype), k.full((0,), 0, x)

    def vjp(self, gy: Tensor, like: Tensor) -> tuple[Tensor]:
        return (Cast(like.dtype.name)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Cast("float64"), draw("2 3")  # only here does a finite difference see enough


def cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype; x itself if it has that one. From floating to floating it is recorded.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> cast(mf.tensor([1.75, -1.75]), "int64").tolist()
    [1, -1]
    """
    x = as_tensor(x)
    wanted = _dtype(dtype)
    if x.dtype == wanted:
        return x
    if is_floating(x.dtype) and is_floating(wanted):
        return Cast(wanted.name)(x)
    return Tensor(kernels.of("cast", [x.data]).cast(x.data, wanted.name))


def wide(x: Tensor) -> Tensor:
    """x, in float32 if it is in half precision."""
    return Cast("float32")(x) if is_half(x.dtype) else x


def promoted(*xs: Any) -> tuple[Tensor, ...]:
    """All as tensors; whole numbers and bools beside a floating one take its dtype.

    Under autocast half precision beside another floating type becomes float32.
    """
    tensors = tuple(as_tensor(x) for x in xs)
    floating = next((x.dtype for x in tensors if is_floating(x.dtype)), None)
    if floating is None:
        return tensors
    tensors = tuple(x if is_floating(x.dtype) else cast(x, floating) for x in tensors)
    if mode.autocast is None or all(x.dtype == floating for x in tensors):
        return tensors
    return tuple(wide(x) for x in tensors)


def _dtype(dtype: Any) -> Any:
    try:
        return host_array("cast", 0, dtype).dtype
    except TypeError as error:
        raise TypeError(f"cast: dtype is {dtype!r}, expected a float, int or bool type") from error
