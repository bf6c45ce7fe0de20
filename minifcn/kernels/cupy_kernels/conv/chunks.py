"""chunks: arrays as the tensor kernels want them, and their parts as arrays; conv_tensor_ends.cu.

Tensor kernels load channels in chunks of 16 bytes. An array that has other numbers of channels in a
group, or does not begin at a multiple of 16 bytes, is copied with zeros in between.
"""

from __future__ import annotations

from typing import Any

from ....device import Array, cupy
from ..launch import THREADS, blocks, program
from ..memory import dense, flat

CHUNK = 16  # bytes
MANY = 32  # parts: several threads share an element


class Widened:
    """How many arrays were copied to give every group whole chunks; a test counts."""

    count = 0


def whole(C: int, dtype: Any) -> int:
    """C channels, or as many more as make whole chunks."""
    return blocks(C * dtype.itemsize, CHUNK) * CHUNK // int(dtype.itemsize)


def widened(x: Array, C: int, wide: int) -> Array:
    """x as kernels are given it, groups of C channels each with zeros up to `wide` ones."""
    x = dense(x)
    start: Any = x.data
    if C == wide and start.ptr % CHUNK == 0:
        return x
    Widened.count += 1
    rows = x.size // max(C, 1)
    y: Array = cupy().empty(rows * wide, x.dtype)
    run = program("conv_tensor_ends", REAL=x.dtype)
    run("widen", blocks(y.nbytes // CHUNK), THREADS, x, y, rows, C, wide)
    return y


def turned(w: Array, groups: int, wide: int) -> Array:
    """w of shape (groups O) C KH KW as (groups C) KH KW O, with zeros up to `wide` ones for O."""
    O, C, taps = w.shape[0] // groups, w.shape[1], w.shape[2] * w.shape[3]
    y: Array = cupy().empty(groups * C * taps * wide, w.dtype)
    grid = groups * taps * blocks(C, 32) * blocks(wide, 32)
    run = program("conv_tensor_ends", REAL=w.dtype)
    run("turn", grid, (32, 8), dense(w), y, groups, C, O, taps, wide)
    return y


def add(
    parts: Array, bias: Array | None, y: Array, rows: int, C: int, rest: int, relu: bool
) -> None:
    """y = act(bias + sum of parts), of rows of C elements, which have `rest` more in the parts."""
    run = program("conv_tensor_ends", REAL=y.dtype)
    count = parts.size // max(rows * (C + rest), 1)
    block = (32, 8) if count >= MANY else (256, 1)
    grid = blocks(y.size, block[0])
    run("add_parts", grid, block, parts, bias, flat(y), rows, C, C + rest, count, relu)
