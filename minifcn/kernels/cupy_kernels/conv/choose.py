"""choose: which way to compute a convolution, from shapes, dtype and the kind of GPU alone.

    depthwise   few channels in a group: the tiles of a product would be mostly empty
    tensor      halves, and float32 where TF32 is allowed, on a card with tensor cores
    plain       all else

The first that takes the problem. `mf.conv_algorithm` forces one where it fits; "im2col" is only
taken so.
"""

from __future__ import annotations

from types import ModuleType

from . import depthwise, im2col, plain, tensor
from .problem import Problem

WAYS: dict[str, ModuleType] = {
    "depthwise": depthwise, "tensor": tensor, "plain": plain, "im2col": im2col
}  # fmt: skip


def choose(problem: Problem, forced: str | None = None) -> str:
    """The name of a way."""
    if forced in WAYS and WAYS[forced].takes(problem):
        return forced
    return next(name for name, way in WAYS.items() if way.takes(problem))
