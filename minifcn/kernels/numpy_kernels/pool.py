"""Pooling by taps: one strided pass per kernel tap, over some output rows at a time.

A tap meets the image for a rectangle of output pixels; `_meetings` gives that rectangle on both
sides, so no padded copy of the image is made, and padding can neither win nor count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...device import Array
from ...window import Sides, Window
from .elementwise import cut
from .memory import buffer, empty, pixels
from .rows import PIECE, result

__all__ = [
    "avg_pool2d", "avg_pool_grad", "max_pool2d", "max_pool_grad", "max_pool_indices",
    "max_pool_take",
]  # fmt: skip

FEW = 2048  # numbers; with fewer the calls cost more than the work

Key = tuple[slice, slice]  # rows, columns
Meeting = tuple[int, Key, Key]  # tap u KW + v, output pixels, image pixels


def max_pool2d(x: Array, window: Window, taps: bool = True) -> tuple[Array, Array | None]:
    """(y, tap): the largest pixel of every window, and if wanted the tap u KW + v that met it.

    Of equals the first; a NaN wins, the last one; KH KW where no tap meets the image.
    """
    KH, KW = window.kernel
    if not taps:
        return _largest(x, window), None
    if x.size <= FEW and (found := _pick(x, window)) is not None:
        return found
    y = empty((*x.shape[:2], *window.out), x.dtype)
    tap = empty(y.shape, np.uint8 if KH * KW < 256 else np.min_scalar_type(KH * KW))
    _contest(pixels(x), window, pixels(y), pixels(tap))
    if y.size and not y.min() > _lowest(x.dtype):
        _search(x, window, y, tap)
    return y, tap


def _largest(x: Array, window: Window) -> Array:
    """Without taps: the largest of each column of a window, then of these."""
    (P, Q), W, s, (N, C) = window.out, window.image[1], window.stride[0], x.shape[:2]
    y = empty((N, C, P, Q), x.dtype)
    image, best = pixels(x), pixels(y)
    high = max(PIECE // max(W * N * C, 1), 1)
    room = buffer((min(high, P), W, N, C), x.dtype)
    for start in range(0, P, high):
        stop = min(start + high, P)
        columns = room[: stop - start]
        columns[...] = best[start:stop] = _lowest(x.dtype)
        for out, source in _axis_meetings(window, 0):
            first, last = max(out.start, start), min(out.stop, stop)
            if first < last:
                top = source.start + s * (first - out.start)
                values = image[top : top + s * (last - first - 1) + 1 : s]
                part = columns[first - start : last - start]
                np.maximum(part, values, out=part)
        for out, source in _axis_meetings(window, 1):
            part = best[start:stop, out]
            np.maximum(part, columns[:, source], out=part)
    return y


def _contest(x: Array, window: Window, y: Array, tap: Array) -> None:
    """Each tap against the best before it; right where the best is a number above the lowest."""
    for rows, meetings in _blocks(window, y):
        best, winner = y[rows], tap[rows]
        first = 0
        if meetings and best.shape == best[meetings[0][1]].shape:
            (first, _, image), *meetings = meetings
            best[...] = x[image]
        else:
            best[...] = _lowest(x.dtype)
        winner[...] = first
        wins = buffer(best.shape, np.bool_)
        for t, out, image in meetings:
            value, top, number, won = x[image], best[out], winner[out], wins[out]
            np.greater(value, top, out=won)
            np.maximum(value, top, out=top)
            new = won.view(tap.dtype) if tap.itemsize == 1 else won.astype(tap.dtype)
            if t != 1:
                np.multiply(new, t, out=new)
            np.maximum(number, new, out=number)  # t grows: the last to win


def _pick(x: Array, window: Window) -> tuple[Array, Array] | None:
    """For few pixels: all taps side by side. None if it is not right, see _contest."""
    places = _tap_places(window)
    if places is None or x.size == 0:
        return None
    (N, C), out = x.shape[:2], window.out
    values = x.reshape(N, C, x.shape[2] * x.shape[3]).take(places, 2)  # N C KHKW PQ
    y, tap = values.max(2), values.argmax(2)
    if not y.min() > _lowest(x.dtype):
        return None
    return y.reshape(N, C, *out), tap.astype(np.uint8).reshape(N, C, *out)


@lru_cache(maxsize=64)
def _tap_places(window: Window) -> Array | None:
    """KHKW PQ: h W + k of the pixel that each tap of each window meets; None if one meets none."""
    meetings, (P, Q), (H, W) = list(_meetings(window)), window.out, window.image
    if len(meetings) > 255 or any(out != (slice(0, P), slice(0, Q)) for _, out, _ in meetings):
        return None
    image = np.arange(H * W).reshape(H, W)
    return np.stack([image[place].reshape(-1) for _, _, place in meetings])


def _search(x: Array, window: Window, y: Array, tap: Array) -> None:
    """The largest, then the first tap that meets it: right for NaN, -inf and empty windows too."""
    KH, KW = window.kernel
    y[...] = _lowest(x.dtype)
    meetings = [(t, (..., *out), (..., *image)) for t, out, image in _meetings(window)]
    for _, out, image in meetings:
        np.maximum(y[out], x[image], out=y[out])
    tap[...] = KH * KW
    for t, out, image in reversed(meetings):
        np.copyto(tap[out], t, where=x[image] == y[out])
    for t, out, image in meetings if np.isnan(y).any() else []:
        np.copyto(tap[out], t, where=np.isnan(x[image]))


def max_pool_grad(g: Array, tap: Array, window: Window) -> Array:
    """x[h, k] = sum of g[i, j] over the windows whose tap meets pixel (h, k)."""
    x = empty((*g.shape[:2], *window.image), g.dtype)
    image, gradient, winner = pixels(x), pixels(g), pixels(tap)
    apart = all(d * (k - 1) < s for k, s, d in zip(*_geometry(window), strict=True))
    if not (apart and _covers(window)):
        image[...] = 0
    for rows, meetings in _blocks(window, winner):
        lost = buffer(winner[rows].shape, np.bool_)
        share = buffer(lost.shape, g.dtype)
        for t, out, place in meetings:
            np.not_equal(winner[rows][out], t, out=lost[out])
            if apart:
                cut(gradient[rows][out], lost[out], image[place])
            else:
                cut(gradient[rows][out], lost[out], share[out])
                np.add(image[place], share[out], out=image[place])
    return x


def _geometry(window: Window) -> tuple[Any, Any, Any]:
    return window.kernel, window.stride, window.dilation


def _covers(window: Window) -> bool:
    """Whether windows that stand apart leave no pixel of the image out."""
    tiles = tuple(s * p for s, p in zip(window.stride, window.out, strict=True))
    return window.kernel == window.stride and window.pad == (0, 0) and tiles == window.image


def max_pool_take(x: Array, tap: Array, window: Window) -> Array:
    """y[i, j] = the pixel that tap[i, j] meets; 0 where it meets none."""
    y = empty(tap.shape, x.dtype)
    image, found, winner = pixels(x), pixels(y), pixels(tap)
    found[...] = 0
    for rows, meetings in _blocks(window, winner):
        lost = buffer(winner[rows].shape, np.bool_)
        share = buffer(lost.shape, x.dtype)
        for t, out, place in meetings:
            np.not_equal(winner[rows][out], t, out=lost[out])
            cut(image[place], lost[out], share[out])
            np.add(found[rows][out], share[out], out=found[rows][out])  # to a 0
    return y


def max_pool_indices(x: Array, window: Window) -> Array:
    """h W + w of every window's largest pixel; -1 where no tap meets the image."""
    tap = max_pool2d(x, window)[1]
    assert tap is not None
    (KH, KW), W = window.kernel, window.image[1]
    (sh, sw), (dh, dw), (top, left) = window.stride, window.dilation, window.pad
    u, v = np.divmod(tap.astype(np.int64), KW)
    h = sh * np.arange(window.out[0])[:, None] + dh * u - top
    w = sw * np.arange(window.out[1]) + dw * v - left
    return np.where(tap == KH * KW, -1, h * W + w)


def avg_pool2d(x: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    """y[i, j] = sum_{u,v} x[s i + d u - p, s j + d v - p] / div[i, j]; first along H, then W."""
    (P, Q), (_, W) = window.out, window.image
    rows, y = empty((*x.shape[:2], P, W), x.dtype), empty((*x.shape[:2], P, Q), x.dtype)
    _gather(x, _axis_meetings(window, 0), rows, 2)
    _gather(rows, _axis_meetings(window, 1), y, 3)
    np.divide(y, _divisors(window, counts, divisor, x.dtype), out=y)
    return y


def avg_pool_grad(g: Array, window: Window, counts: Sides, divisor: int | None) -> Array:
    """x[h, k] = sum of g[i, j] / div[i, j] over the windows that cover pixel (h, k)."""
    (P, _), (H, W) = window.out, window.image
    share = result(g)
    np.divide(g, _divisors(window, counts, divisor, g.dtype), out=share)
    rows, x = empty((*g.shape[:2], P, W), g.dtype), empty((*g.shape[:2], H, W), g.dtype)
    _gather(share, [(image, out) for out, image in _axis_meetings(window, 1)], rows, 3)
    _gather(rows, [(image, out) for out, image in _axis_meetings(window, 0)], x, 2)
    return x


def _gather(x: Array, moves: Sequence[Key], y: Array, axis: int) -> None:
    """y = the sum over (to, from) of x[from] put at y[to], along one axis."""
    before = (slice(None),) * axis
    parts = [(y[(*before, to)], x[(*before, source)]) for to, source in moves]
    if parts[0][0].shape == y.shape:  # the first tap of most windows meets all of y
        np.copyto(*parts.pop(0))
    else:
        y[...] = 0
    for part, values in parts:
        np.add(part, values, out=part)


def _lowest(dtype: np.dtype[Any]) -> float:
    """What every value of the dtype beats or equals."""
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _meetings(window: Window) -> Iterator[Meeting]:
    """(t, out, image): where tap t = u KW + v meets the image, on either side."""
    across = _axis_meetings(window, 1)
    for u, (out_rows, image_rows) in enumerate(_axis_meetings(window, 0)):
        for v, (out_columns, image_columns) in enumerate(across):
            yield u * len(across) + v, (out_rows, out_columns), (image_rows, image_columns)


def _blocks(window: Window, y: Array) -> Iterator[tuple[slice, list[Meeting]]]:
    """Some rows of y (P Q N C) at a time, and where each tap meets the image there."""
    P = y.shape[0]
    high = max(PIECE // max(y[:1].size, 1), 1)
    return iter(_cut_blocks(window, P, high))


@lru_cache(maxsize=64)
def _cut_blocks(window: Window, P: int, high: int) -> list[tuple[slice, list[Meeting]]]:
    made, meetings, s = [], list(_meetings(window)), window.stride[0]
    for start in range(0, P, high):
        rows, inside = slice(start, min(start + high, P)), []
        for t, (out, columns), (image, image_columns) in meetings:
            first, stop = max(out.start, rows.start), min(out.stop, rows.stop)
            if first < stop and columns.start < columns.stop:
                top = image.start + s * (first - out.start)
                part = slice(top, top + s * (stop - first - 1) + 1, s)
                own = slice(first - start, stop - start)
                inside.append((t, (own, columns), (part, image_columns)))
        made.append((rows, inside))
    return made


@lru_cache(maxsize=256)
def _axis_meetings(window: Window, axis: int) -> tuple[Key, ...]:
    """For each tap u: the i with 0 <= s i + d u - p < H, and those s i + d u - p."""
    s, d, H = window.stride[axis], window.dilation[axis], window.image[axis]
    made = []
    for u in range(window.kernel[axis]):
        offset = d * u - window.pad[axis]
        first = max(-(offset // s), 0)
        count = max(min((H - 1 - offset) // s + 1, window.out[axis]) - first, 0)
        start = s * first + offset
        image = slice(start, start + s * count, s) if count else slice(0)
        made.append((slice(first, first + count), image))
    return tuple(made)


@lru_cache(maxsize=64)
def _divisors(
    window: Window, counts: Sides, divisor: int | None, dtype: np.dtype[np.generic]
) -> Array:
    """div[i, j]: how many pixels of window (i, j) lie in the counted range, at least 1."""
    if divisor is not None:
        return np.array(divisor, dtype)
    sizes: list[Array] = []
    for axis in (0, 1):
        start = window.stride[axis] * np.arange(window.out[axis]) - window.pad[axis]
        place = start[:, None] + window.dilation[axis] * np.arange(window.kernel[axis])
        first, stop = counts[axis]
        size = ((place >= first) & (place < stop)).sum(1)
        sizes.append(np.maximum(size, 1))
    return np.asarray(sizes[0][:, None] * sizes[1], dtype)
