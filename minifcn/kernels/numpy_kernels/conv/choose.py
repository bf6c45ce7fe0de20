"""choose: which way to compute a convolution, from shapes and dtype alone.

    pointwise    1x1, stride 1: one matrix product, no copy
    depthwise    one channel for each group: multiply-adds of long runs
    planes       few channels in the image: columns of planes
    blocks       the stride divides the kernel: blocks of pixels become channels
    winograd2    3x3, float32: 36 instead of 144 products for every 4 x 4 outputs
    winograd1    3x3, float32: 18 instead of 36 for every 4 outputs
    taps         one product for each tap, for kernels with many taps or many channels
    im2col       all else, and whatever else it is told

`conv_algorithm` forces one where it fits; elsewhere, the choice stands.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ....window import Window
from ...forced import CPU
from . import blocks

ALGORITHMS = CPU

# Measured against each other on one core, with AVX2 and with AVX-512 products.
FEW = 4  # channels up to which planes are the better columns,
LONG = 4096  # and pixels from which they are, or blocks instead of columns
NARROW = 8  # channels from which taps beat columns,
MANY = 2048  # and pixels from which they do
WIDE = 16  # channels on both sides from which Winograd's transforms pay,
WORTH = 2_000_000  # and products for each tap from which they do,
SOME = 192  # and pixels: for fewer, transforming the weight takes longer than it saves
SHORT = 64  # numbers in a pixel from which they pay along both axes


class Problem(NamedTuple):
    """One of the triad, as far as it matters here."""

    direction: str  # "conv2d", "conv_transpose2d", "conv2d_weight"
    N: int
    C: int
    O: int
    window: Window
    dtype: str  # "f" is float32, "d" is float64


class Choice(NamedTuple):
    """An algorithm, and why."""

    algorithm: str
    reason: str


@lru_cache(maxsize=4096)
def choose(problem: Problem, forced: str | None = None) -> Choice:
    """The algorithm for a problem: the first rule that holds."""
    if forced is not None and fits(forced, problem):
        return Choice(forced, "forced by conv_algorithm")
    direction, N, C, O, window, _ = problem
    source = O if direction == "conv_transpose2d" else C  # channels of what is read
    if fits("pointwise", problem):
        return Choice("pointwise", "a 1x1 kernel with stride 1 is a matrix product as it lies")
    if fits("depthwise", problem):
        return Choice("depthwise", "every channel has a kernel of its own: no matrix product")
    if window.groups > 1:
        return Choice("im2col", "groups are a batch of matrix products over columns")
    pixels = N * window.out[0] * window.out[1]
    if C <= FEW and pixels >= LONG:
        return Choice("planes", f"{C} channels are too short a run: columns of planes")
    image = N * window.image[0] * window.image[1]
    if fits("blocks", problem) and (direction == "conv_transpose2d" or image >= LONG):
        return Choice("blocks", "the stride divides the kernel: all phases in one matrix product")
    if window.stride != (1, 1):
        return Choice("im2col", "columns take only the pixels that a stride meets")
    grid = pixels // (window.dilation[0] * window.dilation[1])
    worth = min(C, O) >= WIDE and grid * C * O >= WORTH and pixels >= SOME
    if fits("winograd2", problem) and worth:
        if N * max(C, O) < SHORT:
            return Choice("winograd1", "half of the products; pixels too small for both axes")
        return Choice("winograd2", "a quarter of the products, on enough channels and pixels")
    if source >= NARROW and pixels >= MANY:
        return Choice("taps", "many pixels: a product for each tap, and no columns to copy")
    return Choice("im2col", "columns and one matrix product for each tile: the least overhead")


def fits(name: str, problem: Problem) -> bool:
    """Whether an algorithm can do this at all, and exactly enough: float64 takes no Winograd."""
    window = problem.window
    plain = window.groups == 1 and window.stride == (1, 1)
    if name in ("winograd1", "winograd2"):
        return plain and window.kernel == (3, 3) and np.dtype(problem.dtype) == np.float32
    if name == "pointwise":
        return plain and window.kernel == (1, 1)
    if name == "depthwise":
        return window.groups == problem.C == problem.O > 1
    if name == "blocks":
        upwards = problem.direction == "conv_transpose2d"
        return window.stride != (1, 1) and blocks.fits(window, nearly=upwards)
    if name == "planes":
        return window.groups == 1
    return plain if name == "taps" else name == "im2col"
