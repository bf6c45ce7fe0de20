"""blocks: a stride that divides the kernel. s x s blocks of pixels become channels of one pixel.

With the image cut to blocks S[i, j] = (N, s s C) of its pixels s i + a, s j + b, and K = s T,

    conv2d             y[i] = sum_t S[i + t] . w_t           stride 1, kernel T x T, s s C channels
    conv_transpose2d   S[i] = sum_t g[i - t] . w_t'          and the blocks are laid out again
    conv2d_weight      w_t  = sum_i S[i + t]' . g[i]

so all s s phases of an upsampled image come from one matrix product.

Cost    as the window, and one more copy of the image
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from ....device import Array
from ....shapes import Pair
from ....window import Window
from ..memory import buffer, empty, framed, pixels
from . import im2col, taps
from .runs import copy_runs
from .weights import in_order, zeros


def fits(window: Window, nearly: bool = False) -> bool:
    """Whether the kernel consists of whole blocks that do not lie in groups or holes.

    `nearly`: or of almost whole ones, where zeros may fill up an eighth of the taps on each axis.
    """
    if window.groups > 1 or window.dilation != (1, 1):
        return False
    pairs = zip(window.kernel, _filled(window), strict=True)
    return all(K == whole or (nearly and 7 * whole <= 8 * K) for K, whole in pairs)


def conv2d(x: Array, w: Array, window: Window) -> Array:
    """y[n, o, i, j]: the blocks correlated with T x T kernels."""
    y = empty((x.shape[0], w.shape[0], *window.out), x.dtype)
    wt = _split(w, window).transpose(2, 4, 3, 5, 1, 0)  # T T s s C O
    channels = window.stride[0] * window.stride[1] * w.shape[1]
    wt = in_order(wt).reshape(*_taps(window), channels, len(w))
    taps.correlate(_to_blocks(x, window), wt, y.transpose(2, 3, 0, 1))  # blocks are wide
    return y


def conv_transpose2d(g: Array, w: Array, window: Window) -> Array:
    """x[n, c, h, k]: every block is a correlation of g; a kernel may lack taps, as 31 of 32."""
    w, window = _fill(w, window)
    N, C, (TH, TW) = len(g), w.shape[1], _taps(window)
    flipped = _split(w, window)[:, :, ::-1, :, ::-1].transpose(2, 4, 0, 3, 5, 1)  # T T O s s C
    wt = in_order(flipped).reshape(TH, TW, len(w), window.stride[0] * window.stride[1] * C)
    size = _count(window)
    blocks = buffer((*size, N, wt.shape[3]), g.dtype)
    source = framed(g, (TH - 1, TW - 1), (size[0] + TH - 1, size[1] + TW - 1))
    im2col.correlate(source, wt, blocks)
    x = empty((N, C, *window.image), g.dtype)
    _copy(pixels(x), blocks, window, back=True)
    return x


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v]: a pixel of g with T x T blocks, told from the side of the blocks."""
    (TH, TW), (sh, sw) = _taps(window), window.stride
    O, C, size = g.shape[1], x.shape[1], _count(window)
    source = framed(g, (TH - 1, TW - 1), (size[0] + TH - 1, size[1] + TW - 1))
    made = im2col.correlate_weight(source, _to_blocks(x, window), (TH, TW), size)
    split = made.reshape(TH, TW, O, sh, sw, C)[::-1, ::-1].transpose(2, 5, 0, 3, 1, 4)
    return in_order(split).reshape(O, C, *window.kernel)


def _filled(window: Window) -> Pair:
    """The kernel's size in whole blocks, in pixels."""
    (KH, KW), (sh, sw) = window.kernel, window.stride
    return -(-KH // sh) * sh, -(-KW // sw) * sw


def _fill(w: Array, window: Window) -> tuple[Array, Window]:
    """The same with taps of zero at bottom and right, so that the kernel is whole blocks."""
    kernel = _filled(window)
    if kernel == window.kernel:
        return w, window
    made = zeros((*w.shape[:2], *kernel), w.dtype)
    made[:, :, : window.kernel[0], : window.kernel[1]] = w
    return made, replace(window, kernel=kernel)


def _taps(window: Window) -> Pair:
    """T x T, the kernel counted in blocks."""
    return window.kernel[0] // window.stride[0], window.kernel[1] // window.stride[1]


def _count(window: Window) -> Pair:
    """How many blocks the windows span:  P + T - 1."""
    (TH, TW), (P, Q) = _taps(window), window.out
    return (P + TH - 1 if P else 0), (Q + TW - 1 if Q else 0)


def _split(w: Array, window: Window) -> Array:
    """O C KH KW -> O C T s T s."""
    (TH, TW), (sh, sw) = _taps(window), window.stride
    return w.reshape(*w.shape[:2], TH, sh, TW, sw)


def _to_blocks(x: Array, window: Window) -> Array:
    """Blocks of the image and the zeros around it: P' Q' N (s s C)."""
    N, C = x.shape[:2]
    blocks = buffer((*_count(window), N, window.stride[0] * window.stride[1] * C), x.dtype)
    _copy(pixels(x), blocks, window, back=False)
    return blocks


class Piece(NamedTuple):
    """A range of blocks of which the pixels `inside` lie in the image, at `image`."""

    blocks: slice
    inside: slice
    image: slice


@lru_cache(maxsize=1024)
def _pieces(window: Window, axis: int) -> tuple[slice, tuple[Piece, ...]]:
    """Which blocks are whole, and the pieces: those, and a cut block at either end."""
    s, p, H = window.stride[axis], window.pad[axis], window.image[axis]
    count = _count(window)[axis]
    first = min(-(-p // s), count)
    last = max(min((p + H) // s, count), first)  # whole blocks: first <= i < last
    found = []
    if first < last:
        found.append(Piece(slice(first, last), slice(0, s), slice(s * first - p, s * last - p)))
    for i in {first - 1, (p + H) // s} - set(range(first, last)):
        start, stop = max(s * i - p, 0), min(s * i + s - p, H)
        if 0 <= i < count and start < stop:
            inside = slice(start + p - s * i, stop + p - s * i)
            found.append(Piece(slice(i, i + 1), inside, slice(start, stop)))
    return slice(first, last), tuple(found)


def _copy(image: Array, blocks: Array, window: Window, back: bool) -> None:
    """From an image H W N C to its blocks P' Q' N (s s C), or back; what has no partner is zero."""
    N, C, (sh, sw) = *image.shape[2:], window.stride
    split = blocks.reshape(*blocks.shape[:3], sh, sw, C)
    (high, rows), (wide, columns) = _pieces(window, 0), _pieces(window, 1)
    if back:
        image[max((a.image.stop for a in rows), default=0) :] = 0
        image[:, max((b.image.stop for b in columns), default=0) :] = 0
    else:
        split[: high.start] = split[high.stop :] = 0
        split[:, : wide.start] = split[:, wide.stop :] = 0
    for a in rows:
        for b in columns:
            cut = split[a.blocks, b.blocks, :, a.inside, b.inside]  # i j N a b C
            i, j, _, h, k, _ = cut.shape
            part = image[a.image, b.image].reshape(i, h, j, k, N, C)  # a view: axes only split
            cut = cut.transpose(0, 3, 1, 4, 2, 5)
            if back:
                copy_runs(part, cut)
            else:
                copy_runs(cut, part)
