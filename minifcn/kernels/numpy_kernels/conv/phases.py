"""phases: a transposed convolution is one small dense correlation for every phase of its image.

Pixel h of the image is met by tap u of output pixel i where  s i + d u = h + p.  Along one axis the
pixels h = a, a + s, a + 2 s ... form phase a: they are met by the same taps u = u0, u0 + s', ...,
at most one of every s' = s / gcd(s, d), and from one such tap to the next i falls by
d' = d / gcd(s, d). So a phase of the image is a correlation of g with those taps, last one first,
dilated by d': no pixel is written twice, and no zero is put between the pixels of g.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import NamedTuple

from ....window import Window


class Phase(NamedTuple):
    """Pixels first, first + s, ... along one axis; `taps` meet them, if any does."""

    first: int
    length: int
    taps: slice  # of the kernel, first tap first
    size: int  # how many taps
    start: int  # of the phase's source in the frame

    def pixels(self, stride: int) -> slice:
        return slice(self.first, self.first + (self.length - 1) * stride + 1, stride)

    def source(self, dilation: int) -> slice:
        """What of the frame the phase reads."""
        return slice(self.start, self.start + self.length + (self.size - 1) * dilation)


class Axis(NamedTuple):
    """All phases along one axis, and the frame of g in which they find what they read."""

    phases: tuple[Phase, ...]
    near: int  # where pixel 0 of g stands in the frame
    size: int  # of the frame
    dilation: int  # d' = d / gcd(s, d)


@lru_cache(maxsize=1024)
def along(window: Window, axis: int) -> Axis:
    """The phases of one axis."""
    H, K = window.image[axis], window.kernel[axis]
    s, d, p = window.stride[axis], window.dilation[axis], window.pad[axis]
    step, dilation = s // gcd(s, d), d // gcd(s, d)
    found = []  # (first, count, taps, size, lead); lead: zeros needed before pixel 0 of g
    for first in range(min(s, H)):
        count = -(-(H - first) // s)
        taps = [u for u in range(K) if (first + p - d * u) % s == 0]
        if not taps:
            found.append((first, count, slice(0, 0), 0, 0))
            continue
        last = (first + p - d * taps[-1]) // s  # i of the last tap at the first pixel
        found.append((first, count, slice(taps[0], K, step), len(taps), -last))
    near = max((lead for *_, size, lead in found if size), default=0)
    phases = tuple(
        Phase(first, count, taps, size, near - lead) for first, count, taps, size, lead in found
    )
    ends = [phase.source(dilation).stop for phase in phases if phase.size]
    return Axis(phases, near, max(ends, default=0), dilation)
