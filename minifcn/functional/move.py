r"""move: the same numbers on another device.

    y = x on `away`      gx = gy on `home`

Devices are changed here and nowhere else; operators refuse inputs from two devices.

Shape   x: any -> y: same
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array, check, to_device
from ..modes import mode
from ..samples import draw
from ..shapes import Shape


@dataclass(frozen=True)
class Move(Op):
    """From home to away."""

    home: str
    away: str
    linear = True
    views = True  # where both are the same device

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        return to_device(x, self.away)

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (Move(self.away, self.home)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Move(mode.device, mode.device), draw("2 3")  # not every machine has a second one


def to(x: Tensor, device: str) -> Tensor:
    """x on "cpu" or "cuda"; x itself if it is there. The gradient comes back.

    Shape   x: any -> y: same
    """
    x = as_tensor(x)
    return x if check(device) == x.device else Move(x.device, device)(x)
