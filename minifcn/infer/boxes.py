"""boxes: frames around the things on a photo, each with its name and score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..images import UInt8
from .drawing import Colour, text_size, typeset, width_of
from .regions import Region

DARK, LIGHT = (0, 0, 0), (255, 255, 255)


def draw_boxes(
    picture: UInt8, found: Sequence[Region], colours: Sequence[Colour] = (), scores: bool = True
) -> UInt8:
    """Frame each region in the colour of its class (white without colours); the surest on top.

    Shape   H W 3 -> H W 3
    """
    from PIL import Image, ImageDraw

    H, W, _ = picture.shape
    image = Image.fromarray(np.ascontiguousarray(picture))
    pen = ImageDraw.Draw(image)
    size = text_size(max(H, W))
    line = max(1, round(max(H, W) / 320))
    for region in reversed(found):
        colour = colours[region.category] if colours else LIGHT
        x, y, width, height = region.box
        corners = (x, y, x + width - 1, y + height - 1)
        pen.rectangle(corners, outline=_readable(colour), width=min(2 * line, max(width, 1)))
        pen.rectangle(corners, outline=colour, width=line)
        words = f"{region.label} {region.score:.2f}" if scores else region.label
        if H < 3 * size or W < 4 * size:
            continue  # a picture too small for words
        text, font = typeset(words, size)
        tall, wide = round(1.4 * size), width_of(words, size) + size // 2
        left = max(0, min(x, W - wide))
        top = y - tall if y >= tall else min(y + height, H - tall)  # above, else below, else inside
        pen.rectangle((left, top, left + wide, top + tall - 1), fill=colour)
        middle = (left + size // 4, top + tall // 2)
        pen.text(middle, text, fill=_readable(colour), font=font, anchor="lm")
    return np.array(image)


def _readable(ground: Colour) -> Colour:
    """Black or white, whichever can be read on that colour."""
    r, g, b = ground
    return DARK if 0.299 * r + 0.587 * g + 0.114 * b > 140 else LIGHT
