"""tensor: products on tensor cores, cuda/conv_tensor.cu and cuda/conv_tensor_weight.cu.

For float16, bfloat16, and float32 as TF32 if mf.set_float32_matmul_precision allows it; sums are
float32. Every stride, dilation, pad and group. An array whose groups have no whole chunks of
channels is copied (chunks.py), and so is the weight for conv_transpose2d. A sum that fills few
tiles is cut into parts, which are added in a fixed order. Nothing depends on the card: the same
shapes give the same bits.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ....device import Array, cupy
from ....window import Window
from ..elementwise import floating
from ..launch import Program, blocks, program
from ..memory import empty, flat
from ..precision import tf32
from ..structs import phases_struct, window_struct
from .chunks import add, turned, whole, widened
from .problem import Problem

OLDEST = 80  # sm_80: mma.sync for bfloat16 and TF32, cp.async
FARTHEST = 1 << 29  # pixels or weights from one another, that coordinates fit int32
ROW = 64  # bytes along the sum that a step takes
STAGES = 4
FEW = 8  # steps: fewer are not worth a part of their own
BUSY = 132  # multiprocessors of a large card


class Tile(NamedTuple):
    """What a block makes; as in cuda/tensor_tile.cuh."""

    rows: int
    columns: int

    @property
    def threads(self) -> int:
        size = self.rows * self.columns
        return 32 * size // ((64 if size > 64 * 64 else 32) * 32)

    @property
    def shared(self) -> int:
        return STAGES * (1024 + ROW * (self.rows + self.columns))

    def cover(self, rows: int, columns: int) -> int:
        return blocks(rows, self.rows) * blocks(columns, self.columns)

    @property
    def time(self) -> int:
        """Of one step, in arbitrary units: products, and what it takes to fetch the operands."""
        return self.rows * self.columns + 32 * (self.rows + self.columns)


IMAGE_TILES = Tile(128, 128), Tile(128, 64), Tile(64, 64), Tile(128, 32)
WEIGHT_TILES = Tile(128, 128), Tile(128, 64), Tile(64, 64), Tile(32, 128)


class Plan(NamedTuple):
    """How a product is launched: tiles, and how many parts of `share` steps the sum has."""

    run: Program
    tile: Tile
    grid: tuple[int, int]
    share: int

    def __call__(self, kernel: str, *arguments: Any) -> None:
        self.run(kernel, self.grid, self.tile.threads, *arguments, shared=self.tile.shared)


def takes(problem: Problem) -> bool:
    """What multiplies, on a card with tensor cores for it."""
    if not multiplies(problem.dtype):
        return False
    return _capability(cupy().cuda.Device().id) >= OLDEST and _fits(problem)


def multiplies(dtype: Any) -> bool:
    """Whether it is a half, or float32 while TF32 is allowed."""
    return tf32() if dtype == np.float32 else dtype.itemsize == 2 and floating(dtype)


@lru_cache(maxsize=64)
def _capability(device: int) -> int:
    return int(cupy().cuda.Device(device).compute_capability)


@lru_cache(maxsize=4096)
def _fits(problem: Problem) -> bool:
    """Whether coordinates and offsets within the weight are small numbers."""
    channels = max(problem.C, problem.O) * problem.window.kernel[0] * problem.window.kernel[1]
    return max(_reach(problem.window), channels) < FARTHEST


def _reach(window: Window) -> int:
    """No coordinate of a pixel that meets a tap, in the image or beside it, is larger."""
    P, Q = window.out
    high = window.image[0] + window.pad[0] + window.stride[0] * P
    broad = window.image[1] + window.pad[1] + window.stride[1] * Q
    (KH, KW), (dh, dw) = window.kernel, window.dilation
    return max(high + dh * KH, broad + dw * KW)


def conv2d(
    x: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """y[n, o, i, j] = act(bias[o] + sum_{c,u,v} w[o, c, u, v] x[n, c', ...])."""
    N, O, C = x.shape[0], w.shape[0], w.shape[1]
    y = empty((N, O, *window.out), x.dtype)
    wide = whole(C, x.dtype)
    operands = widened(x, C, wide), widened(w, C, wide)
    plan = _forward(N, wide, O // window.groups, window, x.dtype, False)
    _correlate(plan, operands, bias, y, window, False, relu, N, wide, O // window.groups)
    return y


def conv_transpose2d(
    g: Array, w: Array, window: Window, bias: Array | None = None, relu: bool = False
) -> Array:
    """x[n, c, h, k] = act(bias[c] + sum of g[n, o, i, j] w[o, c, u, v] over the taps that meet)."""
    N, O, C = g.shape[0], w.shape[0] // window.groups, w.shape[1]
    x = empty((N, C * window.groups, *window.image), g.dtype)
    wide = whole(O, g.dtype)
    operands = widened(g, O, wide), turned(w, window.groups, wide)
    plan = _forward(N, wide, C, window, g.dtype, True)
    _correlate(plan, operands, bias, x, window, True, relu, N, wide, C)
    return x


def _correlate(
    plan: Plan, operands: tuple[Array, Array], bias: Array | None, y: Array, window: Window,
    transposed: bool, relu: bool, N: int, C: int, O: int,
) -> None:  # fmt: skip
    """act(bias + sum), C channels of each group being read and O written."""
    if not y.size:
        return
    parts = cupy().empty(plan.grid[1] * y.size, "f4") if plan.grid[1] > 1 else None
    geometry = window_struct(window), phases_struct(window)
    plan(
        "correlate", *operands, bias, flat(y), parts, *geometry, transposed, relu, N, C, O,
        plan.share,
    )  # fmt: skip
    if parts is not None:
        add(parts, bias, y, y.size // (O * window.groups), O * window.groups, 0, relu)


def conv2d_weight(x: Array, g: Array, window: Window) -> Array:
    """w[o, c, u, v] = sum_{n,i,j} g[n, o, i, j] x[n, c', s i + d u - p, s j + d v - p]."""
    N, C, O = x.shape[0], x.shape[1] // window.groups, g.shape[1] // window.groups
    w = empty((g.shape[1], C, *window.kernel), x.dtype)
    wide, high = whole(C, x.dtype), whole(O, g.dtype)
    plan = _weight(N, wide, O, window, x.dtype)
    rows, parts = g.shape[1] * window.kernel[0] * window.kernel[1], None
    if plan.grid[1] > 1 or wide != C:
        parts = cupy().empty(plan.grid[1] * rows * wide, "f4")
    operands = widened(x, C, wide), widened(g, O, high)
    geometry = window_struct(window)
    plan("correlate_weight", *operands, flat(w), parts, geometry, N, wide, O, high, plan.share)
    if parts is not None:
        add(parts, None, w, rows, C, wide - C, False)
    return w


@lru_cache(maxsize=4096)
def _forward(N: int, C: int, O: int, window: Window, dtype: Any, transposed: bool) -> Plan:
    """C channels of each group are read and O written; a transposed window, for every phase."""
    phases, pixels, (KH, KW) = 1, N * window.out[0] * window.out[1], window.kernel
    if transposed:
        (H, W), (sh, sw) = window.image, window.stride
        phases, pixels = min(sh, H) * min(sw, W), N * blocks(H, sh) * blocks(W, sw)
        (dh, dw) = window.dilation
        KH, KW = blocks(KH, sh // gcd(sh, dh)), blocks(KW, sw // gcd(sw, dw))  # of a phase, at most
    steps = blocks(KH * KW * C * dtype.itemsize, ROW)
    return _plan("conv_tensor", IMAGE_TILES, pixels, O, phases * window.groups, steps, dtype)


@lru_cache(maxsize=4096)
def _weight(N: int, C: int, O: int, window: Window, dtype: Any) -> Plan:
    """The sum goes over pixels: BK of them in a step."""
    steps = blocks(N * window.out[0] * window.out[1] * dtype.itemsize, ROW)
    columns = window.kernel[0] * window.kernel[1] * C
    return _plan("conv_tensor_weight", WEIGHT_TILES, O, columns, window.groups, steps, dtype)


def _plan(
    file: str, tiles: tuple[Tile, ...], rows: int, columns: int, times: int, steps: int, dtype: Any
) -> Plan:
    """The tile with which the busiest multiprocessor has least to do, and how the sum is cut."""

    def share(tile: Tile) -> int:
        count = max(times * tile.cover(rows, columns), 1)
        parts = max(min(2 * BUSY // count, steps // FEW), 1)
        return max(blocks(steps, parts), 1)

    def time(tile: Tile) -> int:
        count = times * tile.cover(rows, columns) * blocks(steps, share(tile))
        return blocks(count, BUSY) * share(tile) * tile.time

    tile = min(tiles, key=time)
    grid = times * tile.cover(rows, columns), max(blocks(steps, share(tile)), 1)
    run = program(file, REAL=dtype, BM=tile.rows, BN=tile.columns)
    return Plan(run, tile, grid, share(tile))
