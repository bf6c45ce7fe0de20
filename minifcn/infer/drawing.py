"""drawing: text on pictures that stays readable at any size.

Text is measured by the longer side of the picture, for that is what a viewer fits to the screen;
pictures of a few pixels are magnified. All is drawn with Pillow and its own font.
"""

from __future__ import annotations

import math
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..images import UInt8

if TYPE_CHECKING:
    from PIL import ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

Colour = tuple[int, int, int]

PAPER, INK, GREY = (255, 255, 255), (34, 34, 34), (160, 160, 160)
SMALLEST_TEXT = 13
LONG_SIDE, SHORT_SIDE = 240, 24  # what a picture is magnified to, at least

# Pillow's own font knows ASCII only; for other text, the first of these that the system has.
WIDER_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")


def text_size(longest_side: int) -> int:
    """The size of text for a picture, in pixels."""
    return max(SMALLEST_TEXT, round(longest_side / 42))


class Canvas:
    """A white sheet of H x W pixels with what a figure needs: pictures, boxes, lines of text."""

    def __init__(self, H: int, W: int) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", (W, H), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def paste(self, top: int, left: int, picture: UInt8) -> None:
        """Put a picture h w 3 with its corner at (top, left)."""
        from PIL import Image

        self.image.paste(Image.fromarray(np.ascontiguousarray(picture)), (left, top))

    def box(self, top: int, left: int, side: int, colour: Colour | None) -> None:
        """Draw a square swatch, hollow if it has no colour."""
        corners = (left, top, left + side - 1, top + side - 1)
        self.pen.rectangle(corners, fill=colour, outline=GREY, width=max(1, side // 16))

    def write(self, middle: int, x: int, text: str, size: int, align: str = "l") -> None:
        """Write a line around the height `middle`; x is its left (l), middle (m) or right (r)."""
        text, font = typeset(text, size)
        self.pen.text((x, middle), text, fill=INK, font=font, anchor=f"{align}m")

    def array(self) -> UInt8:
        """The sheet as a picture H W 3."""
        return np.array(self.image)


def width_of(text: str, size: int) -> int:
    """The width of a line of text, in pixels."""
    text, font = typeset(text, size)
    return math.ceil(font.getlength(text))


def typeset(text: str, size: int) -> tuple[str, Font]:
    """The text as it can be drawn, and the font: without any wider font, accents are dropped."""
    if text.isascii():
        return text, _own_font(size)
    font = _wider_font(size)
    if font is not None:
        return text, font
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode(), _own_font(size)


@cache
def _own_font(size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size)


@cache
def _wider_font(size: int) -> Font | None:
    from PIL import ImageFont

    for name in WIDER_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


def magnify(picture: UInt8, factor: int) -> UInt8:
    """Repeat every pixel `factor` times, and more along an axis that stays a thin line.

    Shape   h w ... -> H W ...
    """
    for axis in (0, 1):
        thin = math.ceil(SHORT_SIDE / (picture.shape[axis] * factor))
        picture = picture.repeat(factor * thin, axis=axis)
    return picture


def magnification(longest_side: int) -> int:
    """The factor that brings a picture of a few pixels to a visible size; 1 for photos."""
    return math.ceil(LONG_SIDE / longest_side)
