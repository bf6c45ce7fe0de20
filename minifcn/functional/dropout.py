r"""dropout: hide each element, or each whole channel, with probability p in training.

    y = m x / (1 - p)        gx = m gy / (1 - p)        m = 0 with probability p, else 1

Dividing by 1 - p keeps the expected value, so nothing needs to be done at inference. The map is its
own adjoint. The mask is an input, so forward and backward cannot disagree.

Shape   x, m, y: same; dropout2d draws one m per image and channel
Source  Srivastava et al., Dropout, 2014; Tompson et al., Efficient object localization, 2015
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array, is_floating
from ..samples import Integers, draw
from ..shapes import Shape, ShapeError, real
from .broadcast import broadcast_to


@dataclass(frozen=True)
class Dropout(Op):
    """y = mask x / (1 - p)."""

    p: float
    linear = True

    def shape(self, x: Shape, mask: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array, mask: Array) -> Array:
        y: Array = k.dropout(x, mask, self.p)
        return y

    def vjp(self, gy: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        return Dropout(self.p)(gy, mask), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Dropout(0.5), draw("2 3 2"), draw("2 3 2", Integers)
        yield Dropout(0.2), draw("4"), draw("4", Integers)


def dropout(
    x: Tensor | Array, p: float = 0.5, training: bool = True, *, generator: Any = None
) -> Tensor:
    """Set elements to 0 with probability p, and divide the others by 1 - p.

    `generator`, a numpy.random.Generator, is the only randomness: the same state gives the
    same mask. It is not touched, and not needed, where nothing is dropped.

    >>> import numpy as np
    >>> import minifcn as mf
    >>> rng = np.random.default_rng(0)
    >>> dropout(mf.tensor([1.0, 1.0, 1.0, 1.0]), 0.75, generator=rng).tolist()
    [4.0, 0.0, 0.0, 0.0]
    """
    x = as_tensor(x)
    return _dropped("dropout", x, x.shape, p, training, generator)


def dropout2d(
    x: Tensor | Array, p: float = 0.5, training: bool = True, *, generator: Any = None
) -> Tensor:
    """Dropout of whole channels: neighbouring pixels tell the same, so they go together.

    Shape   x: N C ..., one draw for each of N C
    """
    x = as_tensor(x)
    if x.ndim < 3:
        raise ShapeError(f"dropout2d: x has shape {x.shape}, expected N C H W")
    return _dropped("dropout2d", x, (*x.shape[:2], *(1,) * (x.ndim - 2)), p, training, generator)


def _dropped(op: str, x: Tensor, draws: Shape, p: float, training: bool, generator: Any) -> Tensor:
    p = real(op, "p", p, 0, 1)
    if not is_floating(x.dtype):
        raise TypeError(f"{op}: dtype of x is {x.dtype}, expected a floating type")
    if not training or p == 0:
        return x
    if not hasattr(generator, "random"):
        raise TypeError(
            f"{op}: generator is {generator!r}, expected a numpy.random.Generator, as from "
            f"numpy.random.default_rng(seed)"
        )
    mask = Tensor(kernels.of(op, [x.data]).keep(generator, draws, p))
    return Dropout(p)(x, broadcast_to(mask, x.shape))
