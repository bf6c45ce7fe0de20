"""colours: a scale from nothing to all, in steps that look equal, dark to light.

A colour is a lightness L, a chroma C and a hue h in the OKLab space, where distances are about as
large as they look. L rises from 0.25 to 0.95, so the scale can be read in grey too; h goes from
blue (270 degrees) over red to yellow (105 = 465), and C is as large as a screen can show, up to
0.17. The table has 256 colours at equal distances along that path.

Source  Ottosson, A perceptual color space for image processing, 2020 (the two matrices)
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONES = np.array([
    [+4.0767416621, -3.3077115913, +0.2309699292],
    [-1.2684380046, +2.6097574011, -0.3413193965],
    [-0.0041960863, -0.7034186147, +1.7076147010],
])  # fmt: skip
OPPONENTS = np.array([
    [1.0, +0.3963377774, +0.2158037573],
    [1.0, -0.1055613458, -0.0638541728],
    [1.0, -0.0894841775, -1.2914855480],
])  # fmt: skip
LIGHTNESS, HUE, CHROMA = (0.25, 0.95), (270.0, 465.0), 0.17


def heat_colours(value: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The colour of each value in 0..1.

    >>> heat_colours(np.array([0.0, 0.5, 1.0])).tolist()
    [[14, 1, 109], [212, 77, 107], [255, 244, 101]]

    Shape   ... -> ... 3
    """
    colours: NDArray[np.uint8] = heat_table()[np.rint(255 * np.clip(value, 0, 1)).astype(np.uint8)]
    return colours


@cache
def heat_table() -> NDArray[np.uint8]:
    """The scale.   Shape   -> 256 3"""
    fine = np.linspace(0, 1, 2001)
    path = _oklab(fine)
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    even = np.interp(np.linspace(0, way[-1], 256), way, fine)
    table = np.rint(255 * _screen(_linear(_oklab(even)))).astype(np.uint8)
    table.setflags(write=False)
    return table


def _oklab(t: Floats) -> Floats:
    """L, a, b of the scale at t in 0..1, at the largest chroma that the screen has.   T -> T 3"""
    lightness = LIGHTNESS[0] + (LIGHTNESS[1] - LIGHTNESS[0]) * t
    angle = np.deg2rad(HUE[0] + (HUE[1] - HUE[0]) * t)
    chromas = np.linspace(0, CHROMA, 171)
    a, b = np.multiply.outer(np.cos(angle), chromas), np.multiply.outer(np.sin(angle), chromas)
    colours = _linear(np.stack([np.broadcast_to(lightness[:, None], a.shape), a, b], axis=-1))
    shown = ((colours >= 0) & (colours <= 1)).all(axis=-1)  # T chromas
    chroma = chromas[np.cumprod(shown, axis=1).sum(axis=1) - 1]
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)


def _linear(oklab: Floats) -> Floats:
    """Red, green and blue light of a colour L, a, b.   ... 3 -> ... 3"""
    light: Floats = (oklab @ OPPONENTS.T) ** 3 @ CONES.T
    return light


def _screen(light: Floats) -> Floats:
    """What a screen is told for that much light: sRGB."""
    light = np.clip(light, 0, 1)
    told: Floats = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return told
