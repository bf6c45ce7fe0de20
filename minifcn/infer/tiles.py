"""tiles: the class of every pixel of an image of any size, within a memory limit.

An image that fits goes through the network whole. A larger one is cut into tiles that overlap:

    |<------------------ window: what the network sees ------------------>|
    |   margin   |<------- core: what this tile decides ------->|  margin |
    start        first                                          last      stop

A network of total stride s gives the same values after a shift by a multiple of s, so start and
stop are multiples of s (or the border of the image, where the network pads as it does for the whole
image). A pixel whose receptive field lies in the window, or beyond the true border, therefore gets
the value of the untiled image. The core starts and ends at multiples of s too: margin counts from
the s x s cell of a pixel, and where it is all that the network sees beyond a cell, that is every
pixel.

Only the winners are put together: the logits of the whole image never exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .winner import softmax_of, winner

Array = NDArray[Any]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Forward = Callable[[Array], Array]

MEMORY_LIMIT = 1 << 30


@dataclass(frozen=True)
class Span:
    """One axis of a tile: it sees start..stop and decides first..last (ends excluded)."""

    start: int
    first: int
    last: int
    stop: int

    @property
    def window(self) -> slice:
        """What the network sees, in the image."""
        return slice(self.start, self.stop)

    @property
    def core(self) -> slice:
        """What the tile decides, in the image."""
        return slice(self.first, self.last)

    @property
    def inner(self) -> slice:
        """What the tile decides, in the tile."""
        return slice(self.first - self.start, self.last - self.start)


@dataclass(frozen=True)
class Winner:
    """The most likely class of every pixel, int32 N H W, and how likely it is (if asked for)."""

    class_map: Ints
    probability: Array | None = None


def predict_classes(
    forward: Forward,
    x: Array,
    *,
    stride: int,
    margin: int,
    bytes_per_pixel: float,
    memory_limit: int = MEMORY_LIMIT,
    probability: bool = False,
) -> Winner:
    """Give every pixel its most likely class: in one piece if that fits, else by tiles.

        class_nij = argmax_k logits_nkij     probability_nij = max_k softmax_k(logits_nkij)

    `forward` maps N C h w to logits N K h w for every h, w; it must be local: no global pooling and
    no statistics of the batch. Logits that it leaves on a GPU are compared there. `stride` is its
    total stride, `margin` how far it sees around a cell of stride x stride, `bytes_per_pixel` what
    it needs at its peak per pixel of input.

    Shape   x: N C H W -> N H W, twice
    Cost    (1 + 2 margin / core)^2 times the work of the whole image
    """
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"predict: x has shape {x.shape}, expected N C H W, none of them 0")
    if memory_limit < 1:
        raise ValueError(f"predict: memory_limit is {memory_limit}, expected at least 1 byte")
    N, _, H, W = x.shape
    pixels = memory_limit / (N * bytes_per_pixel)
    rows, columns = plan((H, W), stride=stride, margin=margin, pixels=pixels)

    class_map = np.empty((N, H, W), np.int32)
    likely = np.empty((N, H, W), np.float32) if probability else None
    for i in rows:
        for j in columns:
            logits = _checked(forward(x[:, :, i.window, j.window]), N, i, j)
            logits = logits[:, :, i.inner, j.inner]  # N K h w
            class_map[:, i.core, j.core], best = winner(logits)
            if likely is not None:
                likely[:, i.core, j.core] = softmax_of(best, logits)
            del logits  # before the next tile needs its memory
    return Winner(class_map, likely)


def plan(
    size: tuple[int, int], *, stride: int, margin: int, pixels: float
) -> tuple[list[Span], list[Span]]:
    """Cut an image into rows x columns of tiles of at most `pixels` pixels, with the least work."""
    if stride < 1 or margin < 0:
        raise ValueError(
            f"predict: stride is {stride} and margin {margin}, expected stride >= 1, margin >= 0"
        )
    H, W = size
    border = math.ceil(margin / stride) * stride
    if H * W <= pixels:
        return _spans(H, 1, stride, border), _spans(W, 1, stride, border)
    heights, rows = _sizes(H, stride, border)
    widths, columns = _sizes(W, stride, border)
    best, least = None, math.inf
    for r, (height, row) in enumerate(zip(heights, rows, strict=True), start=1):
        work = np.where(height * widths <= pixels, row * columns, np.inf)
        c = int(work.argmin())
        if work[c] < least:
            best, least = (r, c + 1), work[c]
    if best is None:
        h, w = int(heights.min()), int(widths.min())
        raise ValueError(
            f"predict: memory_limit allows tiles of {pixels:.0f} pixels, but for stride {stride} "
            f"and margin {margin} the smallest tile of a {H} x {W} image is {h} x {w} = "
            f"{h * w} pixels; expected {h * w / pixels:.1f} times the limit or more"
        )
    return _spans(H, best[0], stride, border), _spans(W, best[1], stride, border)


def _sizes(S: int, stride: int, border: int) -> tuple[Longs, Longs]:
    """For an axis cut into 1, 2, 3, ... spans: the longest window, and all windows together."""
    lengths = []
    for count in range(1, math.ceil(S / stride) + 1):
        cuts = _cuts(S, count, stride)
        lengths.append(np.minimum(cuts[1:] + border, S) - np.maximum(cuts[:-1] - border, 0))
    return np.array([n.max() for n in lengths]), np.array([n.sum() for n in lengths])


def _spans(S: int, count: int, stride: int, border: int) -> list[Span]:
    """Cut an axis of S pixels into `count` spans of nearly equal cores, aligned to the stride."""
    cuts: list[int] = _cuts(S, count, stride).tolist()
    return [
        Span(max(first - border, 0), first, last, min(last + border, S))
        for first, last in zip(cuts, cuts[1:], strict=False)
    ]


def _cuts(S: int, count: int, stride: int) -> Longs:
    """0 = c_0 < c_1 < ... < c_count = S, multiples of the stride but for the last."""
    units = math.ceil(S / stride)
    cuts: Longs = np.minimum(np.arange(count + 1) * units // count * stride, S)
    return cuts


def _checked(logits: Array, N: int, i: Span, j: Span) -> Array:
    h, w = i.stop - i.start, j.stop - j.start
    if logits.ndim != 4 or (logits.shape[0], *logits.shape[2:]) != (N, h, w):
        raise ValueError(
            f"predict: forward returned shape {logits.shape}, expected N K H W = "
            f"{N} K {h} {w}, the size of its input"
        )
    return logits
