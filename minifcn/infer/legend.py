"""legend: which colour is which class, and how much of the picture it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..images import UInt8
from .drawing import Canvas, Colour, magnification, magnify, text_size, width_of


@dataclass(frozen=True)
class Entry:
    """A line of a legend: a swatch (hollow if the colour is None), a name, a number."""

    colour: Colour | None
    name: str
    value: str = ""


def with_legend(picture: UInt8, entries: Sequence[Entry]) -> UInt8:
    """Put a legend beside a picture, or below one that is too low for it.

    Shape   h w 3 -> H W 3, larger; tiny pictures are magnified
    """
    picture = magnify(picture, magnification(max(picture.shape[:2])))
    H, W, _ = picture.shape
    size = text_size(max(H, W))
    key = legend(entries, size)
    if len(key) <= H and W <= 2.5 * H:
        canvas = Canvas(H, W + key.shape[1])
        canvas.paste(0, W, key)
    else:
        key = legend(entries, size, columns=max(1, W // key.shape[1]))
        canvas = Canvas(H + len(key), max(W, key.shape[1]))
        canvas.paste(H, 0, key)
    canvas.paste(0, 0, picture)
    return canvas.array()


def legend(entries: Sequence[Entry], size: int, columns: int = 1) -> UInt8:
    """Draw the entries with text of `size` pixels, down the first column, then the next.

    Shape   -> H W 3
    """
    gap, line = size, math.ceil(1.6 * size)
    names = max((width_of(entry.name, size) for entry in entries), default=0)
    values = max((width_of(entry.value, size) for entry in entries), default=0)
    column = size + gap // 2 + names + gap + values
    rows = math.ceil(len(entries) / columns)
    columns = math.ceil(len(entries) / max(rows, 1))

    canvas = Canvas(rows * line + gap, columns * (column + gap) + gap)
    for k, entry in enumerate(entries):
        left = gap + k // rows * (column + gap)
        middle = gap // 2 + k % rows * line + line // 2
        canvas.box(middle - size // 2, left, size, entry.colour)
        canvas.write(middle, left + size + gap // 2, entry.name, size)
        canvas.write(middle, left + column, entry.value, size, align="r")
    return canvas.array()
