"""canvas: rectangles, lines and words on a sheet, as SVG text or as a PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from html import escape

FINE = 2  # a PNG has so many pixels per unit
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Box:
    """A rectangle; colours as #rrggbb, "" for none."""

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    edge: str = ""


@dataclass(frozen=True)
class Strokes:
    """Straight lines (x1, y1, x2, y2) of one colour; dashed ones are upright."""

    lines: tuple[tuple[float, float, float, float], ...]
    colour: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Words:
    """A line of text around the height y; `align` start, middle or end."""

    x: float
    y: float
    text: str
    size: int = 12
    align: str = "start"
    colour: str = "#222222"


@dataclass
class Canvas:
    """A white sheet; what is added later lies above."""

    width: float
    height: float
    items: list[Box | Strokes | Words] = field(default_factory=list)

    def add(self, *items: Box | Strokes | Words) -> None:
        """Put things on the sheet."""
        self.items.extend(items)

    def svg(self) -> str:
        """The text of an SVG file."""
        size = f'width="{self.width:g}" height="{self.height:g}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {self.width:g} {self.height:g}" font-family="{FONT}">',
            f'<rect {size} fill="#ffffff"/>',
            *(_svg(item) for item in self.items),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def png(self) -> bytes:
        """The bytes of a PNG file, FINE pixels per unit; needs Pillow."""
        from PIL import Image, ImageDraw

        sheet = Image.new("RGB", (round(self.width * FINE), round(self.height * FINE)), "#ffffff")
        pen = ImageDraw.Draw(sheet)
        for item in self.items:
            _paint(pen, item)
        file = io.BytesIO()
        sheet.save(file, "PNG", optimize=True)
        return file.getvalue()


def _svg(item: Box | Strokes | Words) -> str:
    if isinstance(item, Box):
        edge = f' stroke="{item.edge}"' if item.edge else ""
        fill = item.fill or "none"
        return (
            f'<rect x="{_n(item.x)}" y="{_n(item.y)}" width="{_n(item.width)}" '
            f'height="{_n(item.height)}" fill="{fill}"{edge}/>'
        )
    if isinstance(item, Strokes):
        path = "".join(f"M{_n(a)} {_n(b)}L{_n(c)} {_n(d)}" for a, b, c, d in item.lines)
        dash = ' stroke-dasharray="4 3"' if item.dashed else ""
        return f'<path d="{path}" stroke="{item.colour}" stroke-width="{_n(item.width)}"{dash}/>'
    anchor = "" if item.align == "start" else f' text-anchor="{item.align}"'
    return (
        f'<text x="{_n(item.x)}" y="{_n(item.y)}" font-size="{item.size}" fill="{item.colour}"'
        f'{anchor} dominant-baseline="central">{escape(item.text)}</text>'
    )


def _paint(pen: object, item: Box | Strokes | Words) -> None:
    from typing import Any, cast

    from ..infer.drawing import typeset

    draw = cast(Any, pen)
    if isinstance(item, Box):
        far = (item.x + item.width) * FINE - 1, (item.y + item.height) * FINE - 1
        corners = (item.x * FINE, item.y * FINE, max(far[0], item.x * FINE), far[1])
        draw.rectangle(corners, fill=item.fill or None, outline=item.edge or None, width=FINE)
    elif isinstance(item, Strokes):
        width = max(1, round(item.width * FINE))
        for line in item.lines:
            for a, b, c, d in _dashes(line) if item.dashed else [line]:
                draw.line([(a * FINE, b * FINE), (c * FINE, d * FINE)], item.colour, width)
    else:
        text, font = typeset(item.text, item.size * FINE)
        anchor = {"start": "l", "middle": "m", "end": "r"}[item.align]
        draw.text((item.x * FINE, item.y * FINE), text, item.colour, font, f"{anchor}m")


def _dashes(line: tuple[float, float, float, float]) -> list[tuple[float, float, float, float]]:
    """An upright line as dashes of 4, 3 apart."""
    a, b, c, d = line
    count = int((d - b) // 7) + 1
    return [(a, b + 7 * k, c, min(b + 7 * k + 4, d)) for k in range(count)]


def _n(value: float) -> str:
    """A number in as few digits as it takes: two behind the point."""
    return f"{round(value, 2):g}"
