"""panel: pictures in rows and titled columns, as photo | truth | prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..images import UInt8
from .drawing import Canvas, magnification, magnify, text_size, width_of


def panel(
    rows: Sequence[Sequence[UInt8]], titles: Sequence[str], captions: Sequence[str] = ()
) -> UInt8:
    """Set pictures in rows and columns; a title over each column, a caption below each row.

    All pictures are magnified alike, if they are tiny.

    Shape   pictures: h w 3 -> H W 3
    """
    _check(rows, titles, captions)
    factor = magnification(max(max(picture.shape[:2]) for row in rows for picture in row))
    cells = [[magnify(picture, factor) for picture in row] for row in rows]
    heights = [max(len(cell) for cell in row) for row in cells]
    widths = [max(row[j].shape[1] for row in cells) for j in range(len(titles))]

    size = text_size(2 * max(widths))
    widths = [max(w, width_of(t, size)) for w, t in zip(widths, titles, strict=True)]
    gap, line = size // 2, math.ceil(1.7 * size)
    below = line if captions else gap
    lefts = [gap + sum(widths[:j]) + gap * j for j in range(len(widths))]
    tops = [line + sum(heights[:i]) + below * i for i in range(len(heights))]
    longest = max((width_of(caption, size) for caption in captions), default=0)
    W = gap + max(lefts[-1] + widths[-1] - gap, longest) + gap
    canvas = Canvas(tops[-1] + heights[-1] + below, W)

    for left, width, title in zip(lefts, widths, titles, strict=True):
        canvas.write(line // 2, left + width // 2, title, size, align="m")
    for i, row in enumerate(cells):
        for left, cell in zip(lefts, row, strict=True):
            canvas.paste(tops[i], left, cell)
        if captions:
            canvas.write(tops[i] + heights[i] + line // 2, gap, captions[i], size)
    return canvas.array()


def _check(rows: Sequence[Sequence[UInt8]], titles: Sequence[str], captions: Sequence[str]) -> None:
    if not rows or not titles:
        raise ValueError(f"panel: {len(rows)} rows and {len(titles)} titles, expected some of each")
    for i, row in enumerate(rows):
        if len(row) != len(titles):
            raise ValueError(
                f"panel: row {i} has {len(row)} pictures, but there are {len(titles)} titles"
            )
        for j, picture in enumerate(row):
            if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
                raise ValueError(
                    f"panel: picture {j} of row {i} has shape {picture.shape}, expected H W 3"
                )
    if captions and len(captions) != len(rows):
        raise ValueError(f"panel: {len(captions)} captions, but there are {len(rows)} rows")
