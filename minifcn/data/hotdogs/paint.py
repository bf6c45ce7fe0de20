"""Antialiased shapes on a canvas, from signed distances.   coverage = clip(1/2 - d, 0, 1)

d < 0 inside the shape, d > 0 outside, in pixels. Arrays only ever meet + - * / sqrt floor min max
and comparisons, which IEEE 754 rounds the same everywhere, and random numbers come from
`Generator.random` alone: a scene is the same to the last bit on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32
Colour = tuple[float, float, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Dice:
    """Random choices, all of them made from uniform numbers in [0, 1)."""

    rng: np.random.Generator

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def count(self, low: int, high: int) -> int:
        """A whole number with low <= number <= high."""
        return low + int((high - low + 1) * self.rng.random())

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(len(choices) * self.rng.random())]

    def direction(self) -> tuple[float, float]:
        """A unit vector (y, x), uniform on the circle, found without sine or cosine."""
        while True:
            y, x = self.between(-1, 1), self.between(-1, 1)
            square = y * y + x * x
            if 0.01 < square <= 1:
                return y / math.sqrt(square), x / math.sqrt(square)

    def tone(self, dark: Colour, bright: Colour, spread: float = 0.06) -> Colour:
        """A colour between two, each channel then scaled a little."""
        t = self.rng.random()
        red, green, blue = (
            (d + t * (b - d)) * self.between(1 - spread, 1 + spread)
            for d, b in zip(dark, bright, strict=True)
        )
        return red, green, blue


def value_noise(dice: Dice, H: int, W: int, cell_h: float, cell_w: float) -> Array:
    """Smooth noise in 0..1: random values on a lattice, blended by the smoothstep 3t^2 - 2t^3.

    Shape   -> H W; a lattice cell is cell_h x cell_w pixels
    """
    rows, fy = _cells(H, cell_h, dice.rng.random())
    columns, fx = _cells(W, cell_w, dice.rng.random())
    grid = dice.rng.random((rows[-1] + 2, columns[-1] + 2), dtype=np.float32)
    tall = grid[rows] + (grid[rows + 1] - grid[rows]) * fy[:, None]  # H columns
    noise: Array = tall[:, columns] + (tall[:, columns + 1] - tall[:, columns]) * fx  # H W
    return noise


def _cells(size: int, cell: float, start: float) -> tuple[NDArray[np.intp], Array]:
    position = (np.arange(size, dtype=np.float32) / cell + start).astype(np.float32)
    index = position.astype(np.intp)
    t = position - index.astype(np.float32)
    return index, t * t * (3 - 2 * t)


# Signed distances in the frame of an object: a runs along it, b across it.


def capsule(a: Array, b: Array, half: float, radius: float) -> Array:
    """A sausage shape: all points within `radius` of the segment |a| <= half, b = 0."""
    over = np.maximum(np.abs(a) - half, 0)
    d: Array = np.sqrt(over * over + b * b) - radius
    return d


def taper(a: Array, b: Array, half: float, radius: float, tip: float) -> Array:
    """A capsule whose radius falls linearly to tip * radius at a = +half."""
    slope = radius * (1 - tip) / (2 * half)
    at = np.minimum(np.maximum(a, -half), half)
    over = a - at
    d: Array = np.sqrt(over * over + b * b) - (radius - slope * (at + half))
    return d


def box(a: Array, b: Array, half_a: float, half_b: float, corner: float) -> Array:
    """A rectangle |a| <= half_a, |b| <= half_b with rounded corners."""
    over_a = np.abs(a) - (half_a - corner)
    over_b = np.abs(b) - (half_b - corner)
    out_a, out_b = np.maximum(over_a, 0), np.maximum(over_b, 0)
    inner = np.minimum(np.maximum(over_a, over_b), 0)
    d: Array = np.sqrt(out_a * out_a + out_b * out_b) + inner - corner
    return d


def triangle(x: Array) -> Array:
    """The triangle wave of period 1 with values -1..1."""
    return np.abs(x - np.floor(x) - 0.5) * 4 - 1


def zigzag(a: Array, b: Array, height: float, period: float, thick: float) -> Array:
    """A line of sauce without end: the points near b = height * triangle(a / period)."""
    steep = 4 * height / period
    return np.abs(b - height * triangle(a / period)) / math.sqrt(1 + steep * steep) - thick


@dataclass(frozen=True)
class Pose:
    """Where a thing lies: its centre (y, x), the unit direction of its long axis, and its measures.

    Length and radius are in pixels; `bend` is the height of its curve, as a part of the length.
    """

    y: float
    x: float
    along: tuple[float, float]
    length: float
    radius: float
    bend: float = 0.0


class Canvas:
    """A picture and its mask, painted from back to front."""

    def __init__(self, image: Array, texture: Array, light: tuple[float, float]) -> None:
        _, H, W = image.shape
        self.image = image  # 3 H W, values 0..255: long rows, as NumPy likes them
        self.mask = np.zeros((H, W), dtype=np.uint8)
        self.texture = texture  # H W, values 0..1, the grain that every object shares
        self.light = light  # (y, x): where the light comes from

    def frame(self, pose: Pose, reach: float) -> Frame | None:
        """The window of the canvas within `reach` of the pose, or None where that is outside."""
        H, W = self.mask.shape
        half = pose.length / 2
        extent_y = abs(pose.along[0]) * half + reach
        extent_x = abs(pose.along[1]) * half + reach
        top, bottom = max(0, int(pose.y - extent_y)), min(H, int(pose.y + extent_y) + 2)
        left, right = max(0, int(pose.x - extent_x)), min(W, int(pose.x + extent_x) + 2)
        if top >= bottom or left >= right:
            return None
        return Frame(self, pose, (slice(top, bottom), slice(left, right)))


class Frame:
    """A window of a canvas, seen in the coordinates a (along) and b (across) of one object."""

    def __init__(self, canvas: Canvas, pose: Pose, window: tuple[slice, slice]) -> None:
        self.canvas, self.window = canvas, window
        dy, dx = pose.along
        y = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None] - pose.y
        x = np.arange(window[1].start, window[1].stop, dtype=np.float32) - pose.x
        self.a: Array = (y * dy + x * dx).astype(np.float32)
        self.b: Array = (y * dx - x * dy).astype(np.float32)
        if pose.bend:
            bow = 4 * pose.bend / pose.length  # the axis is b = -bow (a^2 - length^2/12)
            self.b += bow * self.a * self.a - pose.bend * pose.length / 3
        ly, lx = canvas.light
        self.light = ly * dx - lx * dy  # the light along +b
        self.grain = canvas.texture[window]

    def paint(
        self,
        distance: Array,
        colour: Colour,
        shade: Array | float = 1.0,
        *,
        label: int | None = None,
        grain: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Cover the inside of a shape with colour * shade; with a label, mark the mask too."""
        cover = np.minimum(np.maximum(0.5 - distance, 0), opacity)
        if grain:
            shade = shade * (1 + grain * (self.grain - 0.5))
        part = self.canvas.image[:, self.window[0], self.window[1]]  # 3 h w
        change = np.array(colour, dtype=np.float32)[:, None, None] * shade - part
        change *= cover
        part += change
        if label is not None:
            self.canvas.mask[self.window][distance < 0] = label

    def shadow(self, distance: Array, height: float, dark: float = 0.45) -> None:
        """Darken what lies away from the light, softly, `height` pixels off the shape."""
        ly, lx = self.canvas.light
        soft = np.minimum(np.maximum(0.5 - distance / (1.5 * height), 0), 1) * dark
        H, W = self.canvas.mask.shape
        dy, dx = round(-ly * height), round(-lx * height)
        rows, columns = self.window
        top, bottom = max(0, rows.start + dy), min(H, rows.stop + dy)
        left, right = max(0, columns.start + dx), min(W, columns.stop + dx)
        if top >= bottom or left >= right:
            return
        inner = soft[
            top - rows.start - dy : bottom - rows.start - dy,
            left - columns.start - dx : right - columns.start - dx,
        ]
        self.canvas.image[:, top:bottom, left:right] *= 1 - inner
