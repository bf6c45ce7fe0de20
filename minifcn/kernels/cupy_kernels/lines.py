"""lines: an array as lines of numbers along one axis, for cuda/lines.cuh; and labels."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ...device import Array
from .elementwise import cast
from .launch import blocks
from .memory import dense, in_c_order

__all__: list[str] = []  # tools of the other families

LABELS = ("uint8", "int32", "int64")  # the types that kernels read
FEW = 4  # numbers that a lane takes by itself before others help
WARP = 5  # 2^5 lanes at most


class Lines(NamedTuple):
    """Where the lines of an array lie; `shape` is what kernels take: lines, A, inner, shift."""

    memory: Array
    shape: tuple[int, int, int, int]

    @property
    def grid(self) -> int:
        """Blocks of 256 threads, 2^shift of them for a line."""
        return blocks(self.shape[0] << self.shape[3])


def lines_of(x: Array, axis: int) -> Lines:
    """The lines of x along `axis`, in the order of our arrays."""
    order = (0, 2, 3, 1) if x.ndim == 4 else tuple(range(x.ndim))
    after = order[order.index(axis % x.ndim) + 1 :]
    A, inner = x.shape[axis], prod(x.shape[a] for a in after)
    shift = 0
    while inner == 1 and shift < WARP and A > FEW << shift:
        shift += 1
    return Lines(dense(x), (x.size // max(A, 1), A, inner, shift))


def pixels_of(x: Array) -> Array:
    """Numbers N ... of pixels in the order of the lines of N C ... along C, as one line."""
    made: Array = in_c_order(x).reshape(-1)
    return made


def labels_of(target: Array) -> Array:
    """`pixels_of` of labels, as one of the types that kernels read."""
    return pixels_of(target if target.dtype.name in LABELS else cast(target, "int64"))
