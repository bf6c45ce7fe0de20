"""choose: which way to compute a convolution, from shapes, dtype and the kind of GPU alone.

    depthwise   few channels in a group: the tiles of a product would be mostly empty
    plain       all else

The first that takes the problem. `mf.conv_algorithm` forces one where it fits.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from . import depthwise, im2col, plain
from .problem import Problem

WAYS: dict[str, ModuleType] = {"im2col": im2col, "plain": plain, "depthwise": depthwise}
ORDER = ("depthwise", "plain")


@lru_cache(maxsize=4096)
def choose(problem: Problem, forced: str | None = None) -> str:
    """The name of a way."""
    if forced in WAYS and WAYS[forced].takes(problem):
        return forced
    return next(name for name in ORDER if WAYS[name].takes(problem))
