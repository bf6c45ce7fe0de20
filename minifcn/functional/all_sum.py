r"""all_sum: the sum over all processes that train together, on every one of them.

    y = sum_r x_r        gx = sum_r gy_r: its own adjoint

r counts the processes. Alone, it is the identity. Each process differentiates its own share of the
loss, and the losses add up; so what a process owes to x is what all of them say about y. All of
them must call it, in the same order.

Shape   x, y: any, the same on all processes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor
from ..device import Array
from ..modes import mode
from ..samples import draw
from ..shapes import Shape


@dataclass(frozen=True)
class AllSum(Op):
    """y = sum_r x_r."""

    linear = True
    views = True  # alone, y is x

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = mode.communicator.all_sum(x) if together() else x
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (AllSum()(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield AllSum(), draw("3")


def together() -> bool:
    """Whether other processes train with this one."""
    return mode.communicator is not None and mode.communicator.size > 1


def all_sum(*xs: Tensor) -> tuple[Tensor, ...]:
    """The sums of several vectors over all processes, in one exchange."""
    from .concat import cat, split

    return split(AllSum()(cat(xs)), [x.shape[0] for x in xs])
