"""memory: what a network needs per pixel, measured rather than guessed."""

from __future__ import annotations

import math
import threading
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ..kernels.numpy_kernels.memory import memory_counts, reset_peak
from .tiles import Forward

PROBE_SIDE = 192
BESIDE = 1.25  # all memory, as a multiple of that of the kernels' large arrays: 1.02 to 1.16 seen


def measure_bytes_per_pixel(
    forward: Forward,
    *,
    channels: int = 3,
    stride: int = 1,
    dtype: DTypeLike = np.float32,
    device: str = "cpu",
) -> float:
    """Run the network on a small image of zeros and divide its peak memory by the pixels.

    What a first run takes and keeps is not counted, for the same image goes twice.

    Cost    two forwards of about 192 x 192 pixels, one somewhat slowed by the counting
    """
    side = math.ceil(PROBE_SIDE / stride) * stride
    x = np.zeros((1, channels, side, side), dtype)
    forward(x)
    own = 0 if device == "cuda" else x.nbytes
    return max(peak_of(lambda: forward(x), device) + own, 1) / side**2


def peak_of(run: Callable[[], object], device: str = "cpu") -> float:
    """How many bytes `run` needs at its peak, beyond those in use before it.

    Counts the large arrays of the kernels, which are of reused memory, and what Python and NumPy
    allocate beside them; with `device` "cuda" the memory of the GPU, and that alone.

    Beside other threads only the kernels' arrays are counted, and a quarter more for the rest:
    Python's tracer crashes if it stops while another thread makes an array (CPython's issue
    128679), and would count what that thread makes too.
    """
    if device == "cuda":
        from ..kernels.cupy_kernels.capture import peak_bytes

        return peak_bytes(run)
    if threading.active_count() > 1:
        live = reset_peak()
        run()
        return BESIDE * (memory_counts()["peak"] - live)
    mine = not tracemalloc.is_tracing()
    if mine:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        live = reset_peak()
        run()
        _, peak = tracemalloc.get_traced_memory()
        lent = memory_counts()["peak"] - live
    finally:
        if mine:
            tracemalloc.stop()
    return peak - before + lent
