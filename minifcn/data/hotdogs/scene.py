"""One scene: what is on the table, where it lies, and in which order it is painted.

Lengths are in units of 1/96 of the height of a 96 x 128 picture, scaled to the area of other sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import food, table
from .paint import Canvas, Dice, Pose, value_noise

Painter = Callable[[Canvas, Dice, Pose], None]


@dataclass(frozen=True)
class Kind:
    """A sort of object: its painter, the ranges of its measures, and what it is made of.

    Meat never lies on or against bread unless it is a hot dog: then nobody could say what it is.
    """

    paint: Painter
    length: tuple[float, float]  # 0 for round things
    radius: tuple[float, float]
    bend: tuple[float, float] = (0.0, 0.0)
    family: str = "other"  # bread, meat, dog, thin or other
    share: int = 1  # how often, relative to the other distractors


HOT_DOG = Kind(food.hot_dog, (50, 74), (9.5, 13), (0.0, 0.1), "dog")
PLATE = Kind(table.plate, (0, 0), (30, 46))
DISTRACTORS = (
    Kind(food.bare_sausage, (36, 64), (5, 8.5), (0.0, 0.14), "meat", 6),
    Kind(food.bare_bun, (46, 74), (9.5, 13.5), (0.0, 0.1), "bread", 7),
    Kind(food.burger, (0, 0), (14, 20), family="bread", share=4),
    Kind(food.banana, (46, 66), (5.5, 8), (0.12, 0.22), share=2),
    Kind(food.carrot, (40, 64), (5, 8.5), (0.0, 0.04), share=2),
    Kind(food.fries, (0, 0), (13, 19), share=2),
    Kind(table.cutlery, (50, 76), (4, 6), family="thin", share=2),
)
LOTTERY = tuple(kind for kind in DISTRACTORS for _ in range(kind.share))
HOT_DOGS = (0, 1, 1, 1, 1, 2, 2, 2, 3)  # how many in a scene, each entry equally likely
TRIES = 8


def draw(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint one scene.

    Shape   -> image H W 3 with values 0..255, mask H W with 1 = hot dog (bread, meat and sauce)
    """
    H, W = size
    dice, unit = Dice(rng), math.sqrt(H * W / (96 * 128))
    light = dice.direction()
    image = table.background(dice, H, W, unit)
    canvas = Canvas(image, value_noise(dice, H, W, 2.2 * unit, 2.2 * unit), light)
    for _ in range(dice.pick((0, 0, 1, 1, 2))):
        PLATE.paint(canvas, dice, _pose(dice, PLATE, H, W, unit, margin=0))
    for kind, pose in _arrange(dice, H, W, unit):
        kind.paint(canvas, dice, pose)
    table.illuminate(canvas, dice, unit)
    pixels = np.minimum(np.maximum(canvas.image + 0.5, 0), 255).astype(np.uint8)  # 3 H W
    return np.ascontiguousarray(pixels.transpose(1, 2, 0)), canvas.mask


def _arrange(dice: Dice, H: int, W: int, unit: float) -> list[tuple[Kind, Pose]]:
    """Choose objects and places; drop what finds none; return them in painting order."""
    wanted = [HOT_DOG] * dice.pick(HOT_DOGS)
    wanted += [dice.pick(LOTTERY) for _ in range(dice.count(3, 6))]
    placed: list[tuple[Kind, Pose]] = []
    for kind in wanted:
        margin = 8 * unit if kind is HOT_DOG else -4 * unit
        for _ in range(TRIES):
            pose = _pose(dice, kind, H, W, unit, margin)
            if all(_room(kind, pose, other, there, unit) for other, there in placed):
                placed.insert(dice.count(0, len(placed)), (kind, pose))
                break
    return placed


def _pose(dice: Dice, kind: Kind, H: int, W: int, unit: float, margin: float) -> Pose:
    low, high = min(margin, 0.5 * H), min(margin, 0.5 * W)
    return Pose(
        y=dice.between(low, H - low),
        x=dice.between(high, W - high),
        along=dice.direction(),
        length=dice.between(*kind.length) * unit,
        radius=dice.between(*kind.radius) * unit,
        bend=dice.between(*kind.bend),
    )


def _room(kind: Kind, pose: Pose, other: Kind, there: Pose, unit: float) -> bool:
    """Whether two things may lie so: apart, or overlapping a little where no doubt arises."""
    families = {kind.family, other.family}
    if families == {"thin", "dog"} or families == {"thin"}:
        return True
    edible = {"bread", "meat", "dog"}
    slack = (
        -2 * unit
        if len(families) == 2 and families <= edible
        else 0.4 * min(pose.radius, there.radius)
    )
    return distance(pose, there) >= pose.radius + there.radius - slack


def distance(one: Pose, two: Pose) -> float:
    """The distance between the axes of two objects, as straight segments (0 where they cross)."""
    p, q = _ends(one), _ends(two)
    if _sides(p, q) and _sides(q, p):
        return 0.0
    return min(_to(p[0], q), _to(p[1], q), _to(q[0], p), _to(q[1], p))


Point = tuple[float, float]


def _ends(pose: Pose) -> tuple[Point, Point]:
    reach = max(0.0, pose.length / 2 - pose.radius)
    dy, dx = pose.along[0] * reach, pose.along[1] * reach
    return (pose.y - dy, pose.x - dx), (pose.y + dy, pose.x + dx)


def _sides(line: tuple[Point, Point], points: tuple[Point, Point]) -> bool:
    """Whether two points lie on different sides of a line."""
    (y0, x0), (y1, x1) = line
    first, second = ((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0) for y, x in points)
    return first * second < 0


def _to(point: Point, segment: tuple[Point, Point]) -> float:
    (y0, x0), (y1, x1) = segment
    dy, dx = y1 - y0, x1 - x0
    square = dy * dy + dx * dx
    t = ((point[0] - y0) * dy + (point[1] - x0) * dx) / square if square else 0.0
    t = min(1.0, max(0.0, t))
    ry, rx = point[0] - y0 - t * dy, point[1] - x0 - t * dx
    return math.sqrt(ry * ry + rx * rx)
