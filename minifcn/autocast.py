"""autocast: convolutions and matrix products in half precision, all else as it needs.

    with mf.autocast("float16"):
        loss = F.cross_entropy(model(x), target)

The public functions of `functional` ask `mode.autocast` and insert recorded casts: convolutions,
products and their weights go low, sums and losses go to float32; docs/precision.md has the table.
A cast's vjp casts back, so parameters, their gradients and the optimizer stay float32. Outside of
the block, and on the way back through the graph, nothing is cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ContextDecorator
from typing import Any, NamedTuple

import numpy as np

from . import kernels
from .core import Tensor
from .device import Array, by_name
from .modes import mode
from .shapes import flag, shown
from .versions import Version

LOW = ("float16", "bfloat16")


class Lowered(NamedTuple):
    """A parameter in low precision, and what must still be so for it to be used again."""

    source: Tensor
    data: Array
    writes: int  # of the source, so far
    step: object  # the captured step it was made in: a replay must make it again
    low: Array
    version: Version
    kept: Any  # what the node of the cast keeps; None if it was not recorded


class Region:
    """What one block casts to, and the parameters that it has cast already.

    It holds arrays, no graphs, and is dropped with the block.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.parameters: dict[int, Lowered] = {}
        self.ready: dict[int, Lowered] = {}  # cast, but not asked for yet

    def prepare(self, sources: Sequence[Tensor]) -> None:
        """Cast float32 parameters of a GPU in one launch, as if they had been asked for."""
        given = [x for x in sources if x.dtype == np.float32 and x.device == "cuda"]
        if not given:
            return
        k = kernels.of("autocast", [x.data for x in given])
        like, step = k.full((0,), 0, given[0].data), kernels.captured_step()
        lows = k.casts([x.data for x in given], self.dtype.name)
        for x, low in zip(given, lows, strict=True):
            version = Version()
            kept = ((like, version, version.count),)  # what Cast's vjp needs
            self.ready[id(x)] = Lowered(x, x.data, x._version.count, step, low, version, kept)

    def find(self, source: Tensor) -> Lowered | None:
        """The cast of a parameter, if nobody has written to it since."""
        if id(source) in self.ready:
            self.parameters[id(source)] = self.ready.pop(id(source))
        found = self.parameters.get(id(source))
        if (
            found is None
            or found.data is not source.data
            or found.writes != source._version.count
            or found.step is not kernels.captured_step()
        ):
            return None
        return found

    def keep(self, source: Tensor, low: Tensor) -> None:
        """Remember the cast of a parameter."""
        kept = None if low._node is None else low._node.kept
        self.parameters[id(source)] = Lowered(
            source,
            source.data,
            source._version.count,
            kernels.captured_step(),
            low.data,
            low._version,
            kept,
        )


class autocast(ContextDecorator):
    """Within it, on a GPU, convolutions and matrix products run in `dtype`: float16 or bfloat16.

    Usable as `with autocast("float16"):` and as a decorator; nests, and restores what was before.
    With `enabled` False nothing is cast within it. Only the forward pass belongs into the block.
    The CPU has no kernels for it: what should run low there raises. float64 is left alone.
    """

    def __init__(self, dtype: Any = "float16", enabled: bool = True) -> None:
        self.dtype = _low(dtype)
        self.enabled = flag("autocast", "enabled", enabled)
        self.outer: list[Region | None] = []

    def __enter__(self) -> None:
        self.outer.append(mode.autocast)
        mode.autocast = Region(self.dtype) if self.enabled else None

    def __exit__(self, *error: object) -> None:
        mode.autocast = self.outer.pop()


def _low(dtype: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(by_name(dtype))
    except TypeError:
        found = np.dtype(np.void)
    if found.name not in LOW:
        raise ValueError(f"autocast: dtype is {shown(dtype)}, expected 'float16' or 'bfloat16'")
    return found
