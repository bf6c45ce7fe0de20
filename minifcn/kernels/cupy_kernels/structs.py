"""structs: the geometry structs of common.cuh as NumPy dtypes, passed to kernels by value."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd

import numpy as np

from ...device import Array
from ...window import Window

AXES = 6  # of a View

STRUCTS = {
    "Window": np.dtype(
        [(n, "i4") for n in "H W P Q KH KW sh sw dh dw ph pw groups".split()], align=True
    ),
    "Phases": np.dtype([(n, "i4") for n in "period_h period_w inverse_h inverse_w".split()]),
    "View": np.dtype(
        [("ndim", "i4"), ("pad_", "i4"), ("size", "i8", AXES), ("stride", "i8", AXES)], align=True
    ),
    "Group": np.dtype(  # of group.cuh: arrays of one launch, and their first blocks
        [(n, "u8", 64) for n in "pgvb"] + [("size", "i8", 64), ("from", "i4", 65), ("count", "i4")],
        align=True,
    ),
    "Grid": np.dtype([("start", "i8", AXES), ("step", "i8", AXES)], align=True),
}


@lru_cache(maxsize=1024)
def window_struct(window: Window) -> Array:
    """`struct Window` of a Window."""
    made = np.zeros((), STRUCTS["Window"])
    values = (
        *window.image, *window.out, *window.kernel, *window.stride, *window.dilation, *window.pad,
        window.groups,
    )  # fmt: skip
    for name, value in zip(STRUCTS["Window"].names or (), values, strict=True):
        made[name] = value
    return made


@lru_cache(maxsize=1024)
def phases_struct(window: Window) -> Array:
    """`struct Phases` of a Window: along each axis s' = s / gcd(s, d) and 1 / d' modulo s'."""
    made = np.zeros((), STRUCTS["Phases"])
    for axis, s, d in zip("hw", window.stride, window.dilation, strict=True):
        period = s // gcd(s, d)
        made[f"period_{axis}"] = period
        made[f"inverse_{axis}"] = pow(d // gcd(s, d), -1, period)
    return made


def view_struct(size: Sequence[int], stride: Sequence[int]) -> Array:
    """`struct View` of axes with these sizes and strides, in elements."""
    if len(size) > AXES:
        raise ValueError(f"cuda: an array of {len(size)} axes, expected at most {AXES}")
    made = np.zeros((), STRUCTS["View"])
    made["ndim"] = len(size)
    made["size"][: len(size)] = size
    made["stride"][: len(size)] = stride
    return made


def grid_struct(start: Sequence[int], step: Sequence[int]) -> Array:
    """`struct Grid` of the places start + step k on every axis."""
    if len(start) > AXES:
        raise ValueError(f"cuda: an array of {len(start)} axes, expected at most {AXES}")
    made = np.zeros((), STRUCTS["Grid"])
    made["start"][: len(start)] = start
    made["step"][: len(step)] = step
    return made
