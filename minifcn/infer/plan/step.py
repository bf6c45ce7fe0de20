"""step: what a plan does with arrays that are there already. All images are C H W, in C order.

A step gives its jobs: functions of nothing but scratch memory, which any thread may run in any
order, as each writes its own part of the result. What follows an array's making, a shift and a
slope per channel, is done job by job while the part is in the core's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...device import Array
from ...nn.trace import Value

BLOCK = 1 << 16  # numbers that are worked on while they are in the core's cache

Arrays = Mapping[Value, Array]
Room = Callable[[str, tuple[int, ...]], Array]  # scratch memory of a name and a shape
Job = Callable[[Room], None]


@dataclass(eq=False)
class After:
    """y <- bend(y scale + shift): a number per channel each; None is nothing to do."""

    scale: Array | None = None
    shift: Array | None = None
    slope: Array | None = None  # of y < 0

    def affine(self, origin: Array, scale: Array, shift: Array) -> None:
        """(y - origin) scale + shift, after what there is."""
        self.scale = scale if self.scale is None else self.scale * scale
        before = -origin if self.shift is None else self.shift - origin
        self.shift = before * scale + shift

    def of(self, part: slice) -> After:
        """For some of the channels."""
        cut = (None if a is None else a[part] for a in (self.scale, self.shift, self.slope))
        return After(*cut)

    def on(self, y: Array) -> Job:
        """In place.   Shape   y: C M"""
        scale, shift, slope = (
            None if a is None else a[:, None] for a in (self.scale, self.shift, self.slope)
        )
        flat = slope is not None and not slope.any()
        # A line of slope w <= 1 lies above y where y < 0, and below it elsewhere.
        gentle = slope is not None and bool((slope <= 1).all())

        def job(room: Room) -> None:
            if scale is not None:
                np.multiply(y, scale, out=y)
            if shift is not None:
                np.add(y, shift, out=y)
            if slope is None:
                return
            if flat:
                np.maximum(y, 0, out=y)
                return
            t = room("bend", y.shape)
            if gentle:
                np.multiply(y, slope, out=t)
                np.maximum(y, t, out=y)
            else:
                np.minimum(y, 0, out=t)
                np.maximum(y, 0, out=y)
                np.multiply(t, slope, out=t)
                np.add(y, t, out=y)

        return job


@dataclass(eq=False)
class Step:
    """A value that it makes, and what follows in the same pass."""

    out: Value
    after: After = field(default_factory=After, kw_only=True)

    @property
    def reads(self) -> tuple[Value, ...]:
        """The values that it needs."""
        raise NotImplementedError

    def jobs(self, arrays: Arrays) -> list[Job]:
        """What makes `arrays[self.out]`, in parts."""
        raise NotImplementedError


def parts(size: int, step: int) -> list[slice]:
    """0 .. size in pieces of at most `step`, all about equally long."""
    count = -(-size // max(step, 1))
    step = -(-size // max(count, 1))
    return [slice(i, min(i + step, size)) for i in range(0, size, step)]
