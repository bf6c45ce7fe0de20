r"""move: the same numbers on another device.

    y = x on `away`      gx = gy on `home`

Devices are changed here and nowhere else; operators refuse inputs from two devices.

Shape   x: any -> y: same
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
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
    moves = True

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        return moved(x, self.away)

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (Move(self.away, self.home)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Move(mode.device, mode.device), draw("2 3")  # not every machine has a second one


def moved(array: Array, device: str) -> Array:
    """The array on a device, in the order of its kernels; the same one if it is there."""
    there = to_device(array, device)
    if there is array:
        return array
    settled: Array = kernels.of("to", [there]).settle(there)
    return settled


def to(x: Tensor, device: str) -> Tensor:
    """x on "cpu" or "cuda"; x itself if it is there. The gradient comes back.

    Shape   x: any -> y: same
    """
    x = as_tensor(x)
    return x if check(device) == x.device else Move(x.device, device)(x)
