"""drawing: the cells of features as bands under the image, where they lie along one axis.

Every band is a feature: cell i covers image pixels S i + b - S/2 to S i + b + S/2, its centre is a
dot. What a crop takes away stays visible as an empty frame. Two dashed lines are the image's ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..models.coordinates import Grid, Line
from .canvas import Box, Canvas, Strokes, Words
from .words import both

LEFT, MIDDLE, RIGHT = 330, 600, 130  # of the names, the bands, the numbers
ROW, HEIGHT, TOP, BOTTOM = 26, 14, 64, 28
LONGEST = 38  # letters of a name
INK, GREY, LINE = "#222222", "#888888", "#ffffff"
IMAGE, KEPT, CUT, EDGE = "#e0a43a", "#5b8db8", "#f1f3f5", "#b8c0c8"


@dataclass(frozen=True)
class Band:
    """A feature of `count` cells; `whole` is what it was cropped from: (grid, count)."""

    name: str
    geometry: str
    grid: Grid
    count: int
    whole: tuple[Grid, int] | None = None


def drawn(bands: list[Band], size: int, title: str) -> Canvas:
    """The bands under each other, along the first axis; `size` pixels of the image."""
    ends = [_ends(band.grid.rows, band.count) for band in bands]
    ends += [_ends(band.whole[0].rows, band.whole[1]) for band in bands if band.whole]
    first, last = min(a for a, _ in ends), max(b for _, b in ends)
    canvas = Canvas(LEFT + MIDDLE + RIGHT, TOP + ROW * len(bands) + BOTTOM)
    scale = MIDDLE / float(last - first)

    def across(pixel: Fraction) -> float:
        return LEFT + float(pixel - first) * scale

    canvas.add(Words(14, 18, title, 14))
    canvas.add(Words(LEFT + MIDDLE + 40, TOP - 14, "S", align="end", colour=GREY))
    canvas.add(Words(LEFT + MIDDLE + 112, TOP - 14, "b", align="end", colour=GREY))
    for k, band in enumerate(bands):
        _draw_band(canvas, band, TOP + ROW * k, scale, across)
    bottom = TOP + ROW * len(bands)
    edges = [across(Fraction(-1, 2)), across(size - Fraction(1, 2))]
    canvas.add(Strokes(tuple((x, TOP - 6, x, bottom) for x in edges), INK, dashed=True))
    for x, pixel in zip(edges, (0, size), strict=True):
        canvas.add(Words(x, TOP - 14, str(pixel), 11, "middle", GREY))
    words = f"cells of stride S, the first around image pixel b; an image of {size} pixels"
    canvas.add(Words(LEFT, bottom + 14, words, 11, colour=GREY))
    return canvas


def _draw_band(canvas: Canvas, band: Band, top: float, scale: float, across: object) -> None:
    from typing import Any, cast

    place = cast(Any, across)
    line, middle = band.grid.rows, top + HEIGHT / 2
    if band.whole:
        begin, end = (place(pixel) for pixel in _ends(band.whole[0].rows, band.whole[1]))
        canvas.add(Box(begin, top, end - begin, HEIGHT, CUT, EDGE))
    begin, end = (place(pixel) for pixel in _ends(line, band.count))
    image = line.step == 1 and line.centre == 0
    canvas.add(Box(begin, top, end - begin, HEIGHT, IMAGE if image else KEPT))
    wide = float(line.step) * scale
    if wide >= 4:
        cuts = [begin + wide * i for i in range(1, band.count)]
        canvas.add(Strokes(tuple((x, top, x, top + HEIGHT) for x in cuts), LINE))
    if wide >= 12:
        centres = [begin + wide * (i + 0.5) for i in range(band.count)]
        canvas.add(Strokes(tuple((x, middle - 2, x, middle + 2) for x in centres), LINE, 3))
    canvas.add(Words(14, middle, _shortened(band.name)))
    canvas.add(Words(LEFT - 14, middle, band.geometry, 11, "end", GREY))
    canvas.add(Words(LEFT + MIDDLE + 40, middle, both((float(line.step),) * 2), align="end"))
    canvas.add(Words(LEFT + MIDDLE + 112, middle, both((float(line.centre),) * 2), align="end"))


def _shortened(name: str) -> str:
    """The end of a name that is too long: the layer itself stands there."""
    return name if len(name) <= LONGEST else f"...{name[3 - LONGEST :]}"


def _ends(line: Line, count: int) -> tuple[Fraction, Fraction]:
    """From where to where in the image the cells of a feature reach."""
    half = line.step / 2
    return line.centre - half, line.centre + line.step * (count - 1) + half
