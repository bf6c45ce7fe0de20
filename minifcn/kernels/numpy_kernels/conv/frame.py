"""frame: how much image, zeros around it included, the taps of a window span."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ....shapes import Pair
from ....window import Window, span
from ..memory import TILE


@lru_cache(maxsize=1024)
def reach(window: Window) -> Pair:
    """s (P - 1) + d (K - 1) + 1 along both axes; 0 where there is no output."""
    return _along(window, 0), _along(window, 1)


def _along(window: Window, axis: int) -> int:
    P, K = window.out[axis], window.kernel[axis]
    return window.stride[axis] * (P - 1) + span(K, window.dilation[axis]) if P > 0 else 0


def roomy(image: Sequence[int], near: Pair, size: Pair, out: Pair) -> Pair:
    """`size` with zeros for whole tiles of 4 outputs, where only zeros lie beyond.

    Not where the frame cuts the image: beyond it, there would be pixels.
    """
    high, wide = (
        whole + (-count % TILE if before + pixels <= whole else 0)
        for pixels, before, whole, count in zip(image, near, size, out, strict=True)
    )
    return high, wide
