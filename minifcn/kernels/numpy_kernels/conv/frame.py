"""frame: how much image, zeros around it included, the taps of a window span."""

from __future__ import annotations

from functools import lru_cache

from ....shapes import Pair
from ....window import Window, span


@lru_cache(maxsize=1024)
def reach(window: Window) -> Pair:
    """s (P - 1) + d (K - 1) + 1 along both axes; 0 where there is no output."""
    return _along(window, 0), _along(window, 1)


def _along(window: Window, axis: int) -> int:
    P, K = window.out[axis], window.kernel[axis]
    return window.stride[axis] * (P - 1) + span(K, window.dilation[axis]) if P > 0 else 0


def seen(rows: slice, kernel: int, stride: int, dilation: int) -> slice:
    """The source rows that the taps of these output rows meet."""
    first, last = stride * rows.start, stride * (rows.stop - 1)
    return slice(first, last + span(kernel, dilation))
