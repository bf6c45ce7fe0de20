"""curve: the course of a training as a picture, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..images import FilePath, UInt8, write_png
from .drawing import GREY, PAPER, Canvas, Colour, width_of

Floats = NDArray[np.float64]

COLOURS = ((31, 98, 189), (214, 84, 20), (36, 138, 61), (136, 66, 168), (120, 92, 20))
LONG = 100  # from so many values on, a series is drawn pale under the running mean of 2 % of them
FINE = 2  # drawn so much larger and then reduced: smooth edges
TEXT = FINE * 13


def loss_curve(
    history: Mapping[str, Sequence[float]],
    path: FilePath,
    *,
    x: str = "step",
    size: tuple[int, int] = (420, 720),
) -> None:
    """Write a PNG of `size` = (H, W): a line for each named series, a loss or a score.

    The longest series counts the steps; a shorter one (a score for each epoch) is spread evenly
    over them. What is not finite leaves a gap.
    """
    write_png(path, draw_curves(history, x=x, size=size))


def draw_curves(
    history: Mapping[str, Sequence[float]], *, x: str = "step", size: tuple[int, int] = (420, 720)
) -> UInt8:
    """Draw what `loss_curve` writes.   Shape   -> H W 3"""
    from PIL import Image

    series = {name: np.asarray(values, np.float64) for name, values in history.items()}
    finite = np.concatenate([np.empty(0), *(y[np.isfinite(y)] for y in series.values())])
    if not finite.size:
        raise ValueError(f"loss_curve: history has no finite value; its series are {list(history)}")
    steps = max(len(y) for y in series.values())
    columns = [step for step in ticks(0, steps) if step <= steps and step.is_integer()]
    rungs = ticks(min(0.0, finite.min()), finite.max())

    H, W = FINE * size[0], FINE * size[1]
    left = 3 * TEXT + max(width_of(f"{rung:g}", TEXT) for rung in rungs)
    frame = Frame(left, 3 * TEXT, W - left - 2 * TEXT, H - 7 * TEXT, steps, rungs[0], rungs[-1])
    canvas = Canvas(H, W)
    _draw_grid(canvas, frame, columns, rungs, x)
    for k, (name, y) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        at = np.arange(1, len(y) + 1) * steps / max(len(y), 1)
        if len(y) >= LONG:
            _draw_line(canvas, frame, at, y, pale(colour), FINE)
            y = running_mean(y, len(y) // 50)
        _draw_line(canvas, frame, at, y, colour, 2 * FINE)
        left = _draw_key(canvas, left, name, colour)
    small = Image.fromarray(canvas.array()).resize((size[1], size[0]), Image.Resampling.BOX)
    return np.array(small)


@dataclass(frozen=True)
class Frame:
    """The rectangle of the sheet in which x = 0..x_max and y = y_min..y_max are drawn."""

    left: int
    top: int
    width: int
    height: int
    x_max: float
    y_min: float
    y_max: float

    def across(self, x: float) -> float:
        """How far from the left side of the sheet x lies."""
        return self.left + self.width * x / self.x_max

    def down(self, y: float) -> float:
        """How far below the top of the sheet y lies."""
        return self.top + self.height * (self.y_max - y) / (self.y_max - self.y_min)


def ticks(low: float, high: float) -> list[float]:
    """From 2 to 9 round numbers around low..high, 1, 2 or 5 times a power of ten apart.

    >>> ticks(0, 1.37)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 7))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= 7)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, max(last, first + 1) + 1)]


def running_mean(y: Floats, count: int) -> Floats:
    """The mean of the last `count` >= 1 values, without those that are not finite.

        m_i = mean(y_j : i - count < j <= i, y_j finite)

    Shape   I -> I
    """
    known = np.isfinite(y)
    total = np.cumsum(np.where(known, y, 0.0))
    seen = np.cumsum(known)
    mean = np.full(y.shape, np.nan)
    before = np.maximum(np.arange(len(y)) - count, -1)  # -1: nothing goes before
    total_before = np.where(before >= 0, total[before], 0.0)
    seen_before = np.where(before >= 0, seen[before], 0)
    np.divide(total - total_before, seen - seen_before, out=mean, where=seen > seen_before)
    return mean


def pale(colour: Colour) -> Colour:
    """Two thirds of the way to the paper."""
    r, g, b = ((c + 2 * p) // 3 for c, p in zip(colour, PAPER, strict=True))
    return r, g, b


def _draw_grid(
    canvas: Canvas, frame: Frame, columns: Sequence[float], rungs: Sequence[float], x: str
) -> None:
    bottom, right = frame.top + frame.height, frame.left + frame.width
    for rung in rungs:
        height = round(frame.down(rung))
        canvas.pen.line([(frame.left, height), (right, height)], fill=pale(GREY), width=FINE)
        canvas.write(height, frame.left - TEXT // 2, f"{rung:g}", TEXT, align="r")
    for step in columns:
        place = round(frame.across(step))
        canvas.pen.line([(place, bottom), (place, bottom + TEXT // 3)], fill=GREY, width=FINE)
        canvas.write(bottom + TEXT, place, f"{step:g}", TEXT, align="m")
    canvas.pen.line([(frame.left, bottom), (right, bottom)], fill=GREY, width=FINE)
    canvas.write(bottom + 5 * TEXT // 2, (frame.left + right) // 2, x, TEXT, align="m")


def _draw_line(
    canvas: Canvas, frame: Frame, x: Floats, y: Floats, colour: Colour, width: int
) -> None:
    """Draw each run of finite values; a value alone becomes a dot."""
    known = np.isfinite(y)
    for run in np.split(np.arange(len(y)), np.flatnonzero(np.diff(known)) + 1):
        if not run.size or not known[run[0]]:
            continue
        points = [(frame.across(x[i]), frame.down(y[i])) for i in run.tolist()]
        canvas.pen.line(points, fill=colour, width=width, joint="curve")
        if len(points) == 1:
            (px, py), r = points[0], width
            canvas.pen.ellipse((px - r, py - r, px + r, py + r), fill=colour)


def _draw_key(canvas: Canvas, left: int, name: str, colour: Colour) -> int:
    """Draw a swatch and a name above the frame; return where the next may begin."""
    middle = 3 * TEXT // 2
    canvas.box(middle - TEXT // 2, left, TEXT, colour)
    canvas.write(middle, left + 3 * TEXT // 2, name, TEXT)
    return left + 3 * TEXT + width_of(name, TEXT)
