"""Things on the table: hot dogs, and what shares their colours and parts without being one.

Every function paints one object around the origin of its frame. Bread has the same colours in a
hot dog, a bare bun and a burger; meat the same in a hot dog, a bare sausage and a patty: only the
arrangement tells.
"""

from __future__ import annotations

import math

import numpy as np

from .paint import (
    Array,
    Canvas,
    Colour,
    Dice,
    Frame,
    Pose,
    box,
    capsule,
    taper,
    zigzag,
)

BREAD: tuple[Colour, Colour] = ((176, 108, 50), (238, 192, 124))
CRUMB: tuple[Colour, Colour] = ((226, 196, 148), (250, 232, 196))
MEAT: tuple[Colour, Colour] = ((124, 48, 30), (214, 104, 62))
MUSTARD: tuple[Colour, Colour] = ((214, 160, 24), (250, 206, 60))
KETCHUP: tuple[Colour, Colour] = ((150, 20, 16), (206, 44, 30))
GREEN: tuple[Colour, Colour] = ((70, 120, 36), (150, 190, 80))


def rounded(frame: Frame, b: Array, radius: float, depth: float = 0.3) -> Array:
    """The shade of a round body: dark towards its edges, bright where it faces the light."""
    t = b / radius
    return 1.06 + 0.22 * frame.light * t - depth * t * t


def bread(frame: Frame, dice: Dice, half: float, radius: float, label: int) -> None:
    """A long bun with a baked, darker rim."""
    d = capsule(frame.a, frame.b, half, radius)
    colour = dice.tone(*BREAD)
    frame.shadow(d, 0.3 * radius)
    frame.paint(d, colour, rounded(frame, frame.b, radius), label=label, grain=0.25)


def sausage(
    frame: Frame, dice: Dice, b: Array, half: float, radius: float, label: int, cast: float
) -> None:
    """A sausage along b = 0 with a highlight, now and then grill marks, often a zigzag of sauce."""
    a = frame.a
    d = capsule(a, b, half, radius)
    frame.shadow(d, cast, 0.5)
    frame.paint(d, dice.tone(*MEAT), rounded(frame, b, radius, 0.4), label=label, grain=0.2)
    if dice.chance(0.3):
        lean = dice.between(-0.6, 0.6)
        stripes = np.abs(_wrap(a + lean * b, radius * 1.6)) - 0.09 * radius
        frame.paint(np.maximum(stripes, d + 1), (50, 24, 16), opacity=0.6)
    shine = capsule(a, b - 0.4 * radius * frame.light, 0.8 * half, 0.09 * radius)
    frame.paint(shine, (255, 232, 210), opacity=dice.between(0.2, 0.5))
    if dice.chance(0.6):
        sauce(frame, dice, b, 0.92 * half, radius, label)


def sauce(frame: Frame, dice: Dice, b: Array, half: float, radius: float, label: int) -> None:
    """One or two zigzags of mustard and ketchup."""
    kinds = dice.pick(((MUSTARD,), (KETCHUP,), (MUSTARD, KETCHUP)))
    for kind in kinds:
        height = radius * dice.between(0.35, 0.75)
        period = radius * dice.between(1.3, 2.4)
        start = dice.between(0, 1) * period
        thick = max(0.7, radius * dice.between(0.13, 0.2))
        line = zigzag(frame.a + start, b, height, period, thick)
        line = np.maximum(line, np.abs(frame.a) - half)
        frame.paint(line, dice.tone(*kind), label=label)


def hot_dog(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A sausage in a bun, label 1: two lobes of bread on both sides of the meat."""
    frame = canvas.frame(pose, 1.6 * pose.radius + pose.bend * pose.length)
    if frame is None:
        return
    radius, half = pose.radius, pose.length / 2 - pose.radius
    bread(frame, dice, half, radius, 1)
    b = frame.b - radius * dice.between(-0.14, 0.14)
    meat = radius * dice.between(0.46, 0.58)
    crumb = capsule(frame.a, b, half + 0.15 * radius, meat + radius * dice.between(0.04, 0.16))
    frame.paint(crumb, dice.tone(*CRUMB), 0.92, label=1, grain=0.15)
    reach = half + radius * dice.between(0.4, 1.1) - meat
    if dice.chance(0.25):  # salad or onions between bread and meat
        leaf = dice.tone(*dice.pick((GREEN, CRUMB)))
        wave = meat * (1.25 + 0.12 * frame.grain)
        frame.paint(np.abs(b) - wave + _outside(frame.a, half), leaf, label=1, grain=0.6)
    sausage(frame, dice, b, reach, meat, 1, 0.25 * radius)


def bare_sausage(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A sausage without a bun, label 0."""
    frame = canvas.frame(pose, 2 * pose.radius + pose.bend * pose.length)
    if frame is not None:
        half = pose.length / 2 - pose.radius
        sausage(frame, dice, frame.b, half, pose.radius, 0, 0.5 * pose.radius)


def bare_bun(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """Bread without meat, label 0: closed, scored like a baguette, open, or filled with salad."""
    frame = canvas.frame(pose, 1.6 * pose.radius + pose.bend * pose.length)
    if frame is None:
        return
    a, b, radius, half = frame.a, frame.b, pose.radius, pose.length / 2 - pose.radius
    bread(frame, dice, half, radius, 0)
    kind = dice.pick(("closed", "scored", "scored", "open", "open", "filled"))
    if kind == "scored":
        lean = dice.pick((-0.7, -0.4, 0.4, 0.7))
        cuts = np.abs(_wrap(a + lean * b, radius * dice.between(1.1, 1.7))) - 0.14 * radius
        cuts = np.maximum(cuts, capsule(a, b, half, 0.72 * radius))
        frame.paint(cuts, dice.tone(*CRUMB), label=0, grain=0.3)
    elif kind in ("open", "filled"):
        crumb = capsule(a, b, half + 0.2 * radius, radius * dice.between(0.5, 0.68))
        frame.paint(crumb, dice.tone(*CRUMB), 0.95, label=0, grain=0.15)
        if kind == "filled":
            filling = capsule(a, b, half, radius * dice.between(0.38, 0.5))
            frame.paint(filling, dice.tone(*GREEN), label=0, grain=0.9)
        elif dice.chance(0.6):
            sauce(frame, dice, b, half, 0.55 * radius, 0)


def burger(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A burger, label 0: a round bun with sesame from above, or its layers from the side."""
    frame = canvas.frame(pose, 2 * pose.radius)
    if frame is None:
        return
    a, b, radius = frame.a, frame.b, pose.radius
    crust, meat, leaf = dice.tone(*BREAD), dice.tone(*MEAT), dice.tone(*GREEN)
    if dice.chance(0.5):
        disc = capsule(a, b, 0, radius)
        frame.shadow(disc, 0.3 * radius)
        if dice.chance(0.6):
            frame.paint(disc, dice.pick((meat, leaf)), 0.9, label=0, grain=0.6)
            disc = capsule(a + 0.06 * radius, b - 0.05 * radius, 0, 0.9 * radius)
        frame.paint(disc, crust, rounded(frame, b, radius), label=0, grain=0.25)
        for _ in range(dice.count(8, 16)):
            v, u = dice.direction()
            r = 0.8 * radius * math.sqrt(dice.between(0, 1))  # evenly over the disc
            seed = capsule(a - u * r, b - v * r, 0.05 * radius, 0.055 * radius + 0.25)
            frame.paint(seed, (250, 236, 200))
        return
    outline = box(a, b, radius, 0.86 * radius, 0.4 * radius)
    frame.shadow(outline, 0.3 * radius)
    frame.paint(outline, crust, 1.0, label=0, grain=0.25)
    dome = rounded(frame, a, 1.3 * radius)
    frame.paint(np.maximum(outline, 0.05 * radius - b), crust, dome, label=0, grain=0.25)
    wave = 0.08 * radius * (frame.grain - 0.5)
    for colour, low, high in (
        (leaf, 0.0, 0.2),
        (dice.tone(*MUSTARD), -0.12, 0.02),
        (meat, -0.46, -0.08),
    ):
        middle, thick = (low + high) / 2 * radius, (high - low) / 2 * radius
        layer = box(a, b - middle + wave, 1.06 * radius, thick, 0.8 * thick)
        frame.paint(layer, colour, 1.0, label=0, grain=0.4)


def banana(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A banana, label 0."""
    frame = canvas.frame(pose, 2 * pose.radius + pose.bend * pose.length)
    if frame is None:
        return
    a, b, radius, half = frame.a, frame.b, pose.radius, pose.length / 2
    slim = 1 - 0.5 * (a / half) * (a / half)
    d = capsule(a, b, half - 0.5 * radius, 0) - radius * np.maximum(slim, 0.25)
    frame.shadow(d, 0.4 * radius)
    skin = dice.tone((206, 150, 40), (248, 214, 84))
    ridge = 1.0 + 0.1 * np.minimum(np.maximum(b / radius * 6, -1), 1)
    frame.paint(d, skin, rounded(frame, b, radius) * ridge, label=0, grain=0.2)
    frame.paint(np.maximum(d, 0.94 * half - np.abs(a)), (70, 46, 24), label=0)


def carrot(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A carrot, label 0: meat's length, an orange between meat and bread, a green top."""
    frame = canvas.frame(pose, 2.4 * pose.radius)
    if frame is None:
        return
    a, b, radius, half = frame.a, frame.b, pose.radius, pose.length / 2 - pose.radius
    for lean in (-0.5, 0.0, 0.45):
        leaf = capsule(a + half + 1.4 * radius, b - lean * (a + half), 1.3 * radius, 0.2 * radius)
        frame.paint(leaf, dice.tone(*GREEN), label=0)
    d = taper(a, b, half, radius, 0.3)
    frame.shadow(d, 0.4 * radius)
    skin = dice.tone((190, 84, 26), (232, 128, 48))
    frame.paint(d, skin, rounded(frame, b, radius), label=0, grain=0.2)
    rings = np.abs(_wrap(a + 0.15 * b, radius * 1.1)) - 0.06 * radius
    frame.paint(np.maximum(rings, d + 0.4 * radius * (b > 0)), (120, 52, 16), opacity=0.5)


def fries(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """A handful of fries, label 0, in the colours of bread."""
    frame = canvas.frame(pose, 1.6 * pose.radius)
    if frame is None:
        return
    for _ in range(dice.count(4, 7)):
        v, u = dice.direction()
        shift_a, shift_b = (dice.between(-0.5, 0.5) * pose.radius for _ in range(2))
        a, b = frame.a - shift_a, frame.b - shift_b
        stick = box(a * u + b * v, b * u - a * v, 0.9 * pose.radius, 0.15 * pose.radius + 0.6, 0.6)
        frame.shadow(stick, 1.5)
        frame.paint(stick, dice.tone(*BREAD), label=0, grain=0.2)


def _wrap(x: Array, period: float) -> Array:
    """x moved by whole periods to -period/2 .. period/2."""
    return x - period * np.floor(x / period + 0.5)


def _outside(a: Array, half: float) -> Array:
    return np.maximum(np.abs(a) - half, 0)
