"""heat: from what a classifier says at every place to how much of a class is where on a photo.

    mean         m_kij = mean of the class map over the u x v cells around (i, j), 0 beyond its edge
    probability  p_kij = softmax over k of m_k at each (i, j)
    place        of cell (i, j) in the network's image: pixel (S i + b, S j + b), with the cells'
                 step S and centre b of models/coordinates.py
    heat         bilinear between these places; beyond the outermost, the nearest

A single cell sees a small part of a thing and is easily wrong; the classifier was trained on the
mean over 13 x 13 of them. The mean over 7 x 7 says what is there and still where. Scores end in a
ReLU, so 0 is what a cell says that has seen nothing: towards the edge the heat fades.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import UInt8
from .colours import heat_colours, heat_table
from .drawing import Canvas, magnification, magnify, text_size, width_of

Floats = NDArray[np.float32]
Array = NDArray[Any]

BLOCK = 32  # classes whose means are held at once


@dataclass(frozen=True)
class Axis:
    """Where values lie along one axis of a photo, in its pixels: first, first + step, ..."""

    first: float
    step: float

    def scaled(self, factor: float) -> Axis:
        """The same places on a photo `factor` times as large; pixel centres are at 0, 1, 2, ...

        y' + 1/2 = factor (y + 1/2)
        """
        return Axis(factor * (self.first + 0.5) - 0.5, factor * self.step)


def window_means(class_map: Array, window: int) -> Floats:
    """The mean over the window of u x v cells around each cell; beyond the edge there are zeros.

        m_kij = 1/(u v) sum_{|a| <= u/2, |b| <= v/2} y_{k,i+a,j+b}

    u and v are `window`, or the largest odd number of cells that a smaller map has.

    Shape   class_map: K h w -> K h w
    """
    if class_map.ndim != 3 or 0 in class_map.shape:
        raise ValueError(f"heat: class_map has shape {class_map.shape}, expected K h w, none 0")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"heat: window is {window}, expected an odd number of cells")
    y = class_map
    for axis in (1, 2):
        n = y.shape[axis]
        half = min(window, n - 1 + n % 2) // 2
        total = np.cumsum(y, axis=axis, dtype=np.float64)
        total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis)
        last = total.take(np.minimum(np.arange(n) + half + 1, n), axis)
        first = total.take(np.maximum(np.arange(n) - half, 0), axis)
        y = (last - first) / (2 * half + 1)
    return y.astype(np.float32)


def softmax(scores: Array) -> Floats:
    """p_k = exp(y_k) / sum_k exp(y_k), over axis 0; nan is refused.   Shape   K ... -> K ..."""
    if not np.isfinite(scores).all():
        raise ValueError("heat: the class map has nan or inf, so nothing is likely anywhere")
    odds = np.exp(scores - scores.max(axis=0))
    likely: Floats = (odds / odds.sum(axis=0)).astype(np.float32)
    return likely


def window_softmax(class_map: Array, window: int, categories: Sequence[int]) -> Floats:
    """The softmax of the window means, for some of the classes; others are never kept at once.

    With the largest score M_ij so far, the sum of exp(m_kij - M_ij) grows block by block.

    Shape   class_map: K h w -> c h w
    """
    chosen = window_means(class_map[list(categories)], window)  # c h w
    largest = np.full(class_map.shape[1:], -np.inf)
    total = np.zeros(class_map.shape[1:])
    for first in range(0, len(class_map), BLOCK):
        m = window_means(class_map[first : first + BLOCK], window)
        most = np.maximum(largest, m.max(axis=0))
        total = total * np.exp(largest - most) + np.exp(m - most).sum(axis=0)
        largest = most
    if not np.isfinite(total).all():
        raise ValueError("heat: the class map has nan or inf, so nothing is likely anywhere")
    likely: Floats = (np.exp(chosen - largest) / total).astype(np.float32)
    return likely


def spread(values: Array, rows: Axis, columns: Axis, size: tuple[int, int]) -> Floats:
    """Values at places of a photo, spread over all its pixels: bilinear, the nearest beyond.

    >>> spread(np.array([[0.0, 1.0]]), Axis(0, 1), Axis(1, 2), (1, 5)).tolist()
    [[0.0, 0.0, 0.5, 1.0, 1.0]]

    Shape   values: h w -> H W
    """
    y = values.astype(np.float32)
    for axis, (line, S) in enumerate(zip((rows, columns), size, strict=True)):
        n = y.shape[axis]
        place = np.clip((np.arange(S) - line.first) / line.step, 0, n - 1)
        lower = np.minimum(place.astype(np.int64), max(n - 2, 0))
        share = (place - lower).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        a, b = y.take(lower, axis=axis), y.take(np.minimum(lower + 1, n - 1), axis=axis)
        y = a + (b - a) * share
    return y


def lay_over(photo: UInt8, heat: Floats, alpha: float = 0.65) -> UInt8:
    """Colour a photo by its heat; where there is none, the photo stays as it is.

        y_ij = (1 - a_ij) photo_ij + a_ij colour(p_ij),    a_ij = alpha min(1, 2 p_ij)

    Shape   photo: H W 3, heat: H W in 0..1 -> H W 3
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or heat.shape != photo.shape[:2]:
        raise ValueError(
            f"lay_over: photo is {photo.dtype} of shape {photo.shape} and heat has {heat.shape}, "
            f"expected uint8 H W 3 and H W"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"lay_over: alpha is {alpha}, expected 0..1")
    mixed = np.empty_like(photo)
    for part in np.array_split(np.arange(len(photo)), 1 + photo.size // 2**22):
        rows = slice(part[0], part[-1] + 1) if len(part) else slice(0)  # a huge photo by strips
        a = (alpha * np.minimum(1, 2 * heat[rows]))[..., None]
        mixed[rows] = np.rint((1 - a) * photo[rows] + a * heat_colours(heat[rows]))
    return mixed


def with_scale(picture: UInt8, title: str) -> UInt8:
    """Put the scale of heat below a picture, with its title: what 0, 0.5 and 1 look like.

    Shape   h w 3 -> H W 3, larger; tiny pictures are magnified
    """
    picture = magnify(picture, magnification(max(picture.shape[:2])))
    H, W, _ = picture.shape
    size = text_size(max(H, W))
    gap = size // 2
    bar = heat_table()[np.linspace(0, 255, max(8 * size, min(W // 2, 20 * size))).astype(int)]
    bar = np.repeat(bar[None], size, axis=0)  # size B 3
    long = bar.shape[1]
    W = max(W, long + width_of(title, size) + 5 * gap + width_of("1", size))
    canvas = Canvas(H + 3 * size, W)
    canvas.paste(0, 0, picture)
    canvas.write(H + size, gap, title, size)
    left = W - long - gap - width_of("1", size) // 2
    canvas.paste(H + gap, left, bar)
    for k, text in enumerate(("0", "0.5", "1")):
        canvas.write(H + 2 * size + gap, left + k * long // 2, text, size, align="m")
    return canvas.array()
