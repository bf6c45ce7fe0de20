"""What lies below the food: tables and cloths, plates and cutlery, light and shade.

Wood and cloth come in the colours of bread, meat and sauce, among others.
"""

from __future__ import annotations

import numpy as np

from .food import BREAD, KETCHUP, MEAT, MUSTARD
from .paint import (
    Array,
    Canvas,
    Colour,
    Dice,
    Pose,
    box,
    capsule,
    triangle,
    value_noise,
)

PLAIN: tuple[tuple[Colour, Colour], ...] = (
    ((60, 84, 110), (150, 180, 200)),
    ((60, 100, 80), (160, 190, 160)),
    ((150, 150, 150), (236, 232, 224)),
    ((50, 48, 52), (110, 104, 100)),
)
FOOD: tuple[tuple[Colour, Colour], ...] = (BREAD, BREAD, BREAD, MEAT, MEAT, KETCHUP, MUSTARD)


def background(dice: Dice, H: int, W: int, unit: float) -> Array:
    """A table or a cloth that fills the picture.   Shape   -> 3 H W, values 0..255"""
    tones = dice.pick(FOOD) if dice.chance(0.65) else dice.pick(PLAIN)
    first = np.array(dice.tone(*tones), dtype=np.float32)[:, None, None]
    other = np.array(dice.tone(*tones), dtype=np.float32)[:, None, None]
    pattern = dice.pick((wood, wood, gingham, weave, stone))(dice, H, W, unit)  # H W
    image: Array = first + pattern * (other * dice.between(0.7, 1.0) - first)
    return image


def wood(dice: Dice, H: int, W: int, unit: float) -> Array:
    """Planks with a long grain and dark seams."""
    long, fine = 40 * unit, 1.6 * unit
    if dice.chance(0.5):
        return _planks(dice, value_noise(dice, H, W, fine, long), np.arange(H)[:, None], unit)
    return _planks(dice, value_noise(dice, H, W, long, fine), np.arange(W)[None, :], unit)


def _planks(dice: Dice, grain: Array, across: Array, unit: float) -> Array:
    width = dice.between(14, 40) * unit
    position = (across / width + dice.between(0, 1)).astype(np.float32)
    plank = np.floor(position)
    seam = np.abs(position - plank - 0.5) * width > 0.5 * width - 0.6 * unit
    tones = dice.rng.random(int(plank.max()) + 1, dtype=np.float32)
    pattern: Array = 0.5 * grain + 0.4 * tones[plank.astype(np.intp)] + 0.5 * seam
    return pattern


def gingham(dice: Dice, H: int, W: int, unit: float) -> Array:
    """A checked cloth: stripes both ways, darker where they cross."""
    period = dice.between(9, 26) * unit
    start_y, start_x = dice.between(0, 1), dice.between(0, 1)
    y = np.arange(H, dtype=np.float32)[:, None] / period + start_y
    x = np.arange(W, dtype=np.float32)[None, :] / period + start_x
    rows = np.minimum(np.maximum(0.5 + triangle(y) * period / 4, 0), 1)
    columns = np.minimum(np.maximum(0.5 + triangle(x) * period / 4, 0), 1)
    depth = dice.between(0.4, 1.0)
    return depth * 0.5 * (rows + columns) + 0.15 * value_noise(dice, H, W, unit, unit)


def weave(dice: Dice, H: int, W: int, unit: float) -> Array:
    """A plain cloth with folds."""
    folds = value_noise(dice, H, W, dice.between(14, 60) * unit, dice.between(14, 60) * unit)
    return 0.8 * folds + 0.3 * value_noise(dice, H, W, 1.2 * unit, 1.2 * unit)


def stone(dice: Dice, H: int, W: int, unit: float) -> Array:
    """A speckled slab."""
    coarse = value_noise(dice, H, W, 20 * unit, 20 * unit)
    middle = value_noise(dice, H, W, 6 * unit, 6 * unit)
    return 0.4 * coarse + 0.35 * middle + 0.35 * value_noise(dice, H, W, 1.5 * unit, 1.5 * unit)


def plate(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A round plate or a board, label 0."""
    frame = canvas.frame(pose, 1.4 * pose.radius)
    if frame is None:
        return
    a, b, radius = frame.a, frame.b, pose.radius
    if dice.chance(0.3):
        board = box(a, b, radius, 0.72 * radius, 0.15 * radius)
        frame.shadow(board, 0.06 * radius + 1)
        stripes = 0.86 + 0.08 * triangle(b / (0.2 * radius))
        frame.paint(board, dice.tone(*BREAD), stripes, label=0, grain=0.1)
        return
    disc = capsule(a, b, 0, radius)
    glaze: tuple[Colour, Colour] = ((226, 224, 218), (252, 250, 246))
    colour = dice.tone(*(glaze if dice.chance(0.6) else dice.pick(PLAIN + FOOD)), spread=0.02)
    frame.shadow(disc, 0.08 * radius + 1)
    frame.paint(disc, colour, 0.95 + 0.05 * frame.light * b / radius, label=0, grain=0.05)
    rim = np.abs(disc + 0.3 * radius) - 0.012 * radius - 0.2
    frame.paint(rim, (90, 84, 80), opacity=0.3)
    if dice.chance(0.4):
        band = np.abs(disc + 0.1 * radius) - 0.03 * radius
        frame.paint(band, dice.tone(*dice.pick(PLAIN + FOOD)), opacity=0.8)


def cutlery(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A knife, a fork or a spoon, label 0."""
    frame = canvas.frame(pose, 3 * pose.radius)
    if frame is None:
        return
    a, b, half, radius = frame.a, frame.b, pose.length / 2, pose.radius
    handle = box(a + 0.5 * half, b, 0.5 * half, 0.42 * radius, 0.4 * radius)
    kind = dice.pick(("knife", "fork", "spoon"))
    if kind == "knife":
        head = box(a - 0.45 * half, b + 0.1 * radius, 0.55 * half, 0.6 * radius, 0.5 * radius)
    elif kind == "spoon":
        head = capsule(a - 0.75 * half, b, 0.12 * half, radius)
        head = np.minimum(head, box(a, b, 0.7 * half, 0.2 * radius, 0.1 * radius))
    else:
        palm = capsule(a - 0.6 * half, b, 0.06 * half, 0.75 * radius)
        tines = np.abs(np.abs(b) - 0.4 * radius) - 0.16 * radius  # two on each side of b = 0
        tines = np.maximum(tines, np.abs(a - 0.82 * half) - 0.18 * half)
        head = np.minimum(
            np.minimum(palm, tines), box(a, b, 0.6 * half, 0.2 * radius, 0.1 * radius)
        )
    d = np.minimum(handle, head)
    frame.shadow(d, 1 + 0.3 * radius)
    metal: tuple[Colour, Colour] = ((150, 152, 156), (216, 216, 220))
    gleam = 1 + 0.25 * frame.light * b / radius
    frame.paint(d, dice.tone(*metal, spread=0.02), gleam, label=0, grain=0.1)
    if dice.chance(0.3):  # a wooden grip
        frame.paint(handle, dice.tone(*dice.pick((BREAD, MEAT))), gleam, grain=0.3)


def illuminate(canvas: Canvas, dice: Dice, unit: float) -> None:
    """Tint, uneven light, sometimes the shadow of something outside, and the noise of a camera."""
    H, W = canvas.mask.shape
    image = canvas.image
    slope = dice.between(0, 0.3)
    ly, lx = canvas.light
    y = np.linspace(-slope * ly, slope * ly, H, dtype=np.float32)[:, None]
    x = np.linspace(-slope * lx, slope * lx, W, dtype=np.float32)
    light = dice.between(0.8, 1.12) + y + x  # H W
    if dice.chance(0.3):
        light = light * (1 - dice.between(0.25, 0.5) * _shadow_edge(dice, H, W, unit))
    tint = np.array([dice.between(0.92, 1.08) for _ in range(3)], dtype=np.float32)
    image *= light
    image *= tint[:, None, None]
    noise = dice.rng.random((3, H, W), dtype=np.float32)
    noise -= 0.5
    noise *= dice.between(3, 16)
    image += noise


def _shadow_edge(dice: Dice, H: int, W: int, unit: float) -> Array:
    """1 on one side of a soft straight line through the picture, 0 on the other."""
    v, u = dice.direction()
    y = np.arange(H, dtype=np.float32)[:, None] - dice.between(0.1, 0.9) * H
    x = np.arange(W, dtype=np.float32) - dice.between(0.1, 0.9) * W
    soft = dice.between(2, 20) * unit
    return np.minimum(np.maximum((y * v + x * u) / soft + 0.5, 0), 1)
