"""memory: what a network needs per pixel, measured rather than guessed."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
from numpy.typing import DTypeLike

from .tiles import Forward

PROBE_SIDE = 192


def measure_bytes_per_pixel(
    forward: Forward, *, channels: int = 3, stride: int = 1, dtype: DTypeLike = np.float32
) -> float:
    """Run the network once on a small image of zeros and divide its peak memory by the pixels.

    Counts what Python and NumPy allocate; arrays on a GPU are not seen. Caches that the network
    fills at its first run are not counted, for a smaller image goes first.

    Cost    one forward of about 192 x 192 pixels, somewhat slowed by the counting
    """
    side = math.ceil(PROBE_SIDE / stride) * stride
    forward(np.zeros((1, channels, stride, stride), dtype))
    x = np.zeros((1, channels, side, side), dtype)
    mine = not tracemalloc.is_tracing()
    if mine:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        forward(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if mine:
            tracemalloc.stop()
    return max(peak - before + x.nbytes, 1) / side**2
