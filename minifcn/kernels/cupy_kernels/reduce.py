"""Many numbers to few: cuda/reduce.cu, along whichever axes, without moving x.

In memory the axes that fall stand in runs, [A, R, B] with R falling; each run is one pass, the
innermost first. A pass of few long lines cuts them into segments and takes a second launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ...device import Array, cupy
from ...shapes import Shape
from .elementwise import floating
from .launch import THREADS, blocks, program
from .memory import by_speed, dense, is_packed, packed_order

__all__: list[str] = []  # tools of the other families

WORKERS = 1 << 16  # threads that keep a GPU busy
SHORT = 16  # a line so short is one thread's work
WIDE = 32  # lines side by side, one thread each, read whole sectors

Span = tuple[int, int, int]
Pass = Callable[[Array, Span, bool], Array]  # (line, (A, R, B), whether it is the last) -> line


def memory_order(x: Array) -> tuple[Array, tuple[int, ...]]:
    """x's memory as one line, and its axes from the slowest to the fastest; a copy if gaps."""
    if not is_packed(x):
        axes = tuple(by_speed(x))
        turned = x.transpose(axes)
        if turned.flags.c_contiguous:
            return turned.reshape(-1), axes
    return dense(x), packed_order(x.ndim)


def from_line(line: Array, shape: Shape, order: Sequence[int]) -> Array:
    """The array of this shape whose memory, in this order of axes, is `line`."""
    back = sorted(range(len(order)), key=lambda axis: order[axis])
    made: Array = line.reshape([shape[axis] for axis in order]).transpose(back)
    return made


def spans(sizes: Sequence[int], falls: Sequence[bool]) -> list[Span]:
    """[A, R, B] of every pass over axes of these sizes, given in memory order."""
    runs: list[tuple[bool, int]] = []
    for fall, size in zip(falls, sizes, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][0] == fall:
            runs[-1] = fall, runs[-1][1] * size
        else:
            runs.append((fall, size))
    found = []
    for place in reversed(range(len(runs))):
        if runs[place][0]:
            before = prod(size for _, size in runs[:place])
            after = prod(size for fall, size in runs[place:] if not fall)
            found.append((before, runs[place][1], after))
    return found


def reduced(x: Array, axes: Sequence[int], one_pass: Pass) -> Array:
    """x with `axes` of size 1, by the passes that this takes; at least one."""
    line, order = memory_order(x)
    todo = spans([x.shape[a] for a in order], [a in axes for a in order]) or [(x.size, 1, 1)]
    for number, span in enumerate(todo, 1):
        line = one_pass(line, span, number == len(todo))
    return from_line(line, tuple(1 if a in axes else n for a, n in enumerate(x.shape)), order)


def plan(span: Span) -> tuple[str, int, int]:
    """(way, segments, threads) of a first launch over [A, R, B]."""
    A, R, B = span
    by_threads = B >= WIDE or R <= SHORT
    each, least = (1, 64) if by_threads else (32, 1024)
    segments = max(1, min(WORKERS // max(A * B * each, 1), R // least))
    if segments > 1:
        segments = -(-R // -(-R // segments))  # none of them empty
    return "threads" if by_threads else "warps", segments, A * segments * B * each


def last_plan(span: Span) -> tuple[str, int]:
    """(way, threads) of the launch that joins segments."""
    A, R, B = span
    return ("threads", A * B) if R <= SHORT else ("warps", A * B * 32)


def total(x: Array, axes: Sequence[int], dtype: Any) -> Array:
    """The sum over `axes`, which stay with size 1, in `dtype`; on the way in 64 bits."""
    wide = np.dtype("f8" if floating(np.dtype(dtype)) else dtype)

    def one_pass(line: Array, span: Span, last: bool) -> Array:
        A, R, B = span
        way, S, threads = plan(span)
        if S > 1:
            line = _sum(line, wide, way, threads, (A, R, B, S))
            R = S
            way, threads = last_plan((A, S, B))
        return _sum(line, np.dtype(dtype) if last else wide, way, threads, (A, R, B, 1))

    return reduced(x, axes, one_pass)


def _sum(line: Array, dtype: Any, way: str, threads: int, sizes: tuple[int, ...]) -> Array:
    A, _, B, S = sizes
    y: Array = cupy().empty(A * S * B, dtype)
    own = "float64" if floating(dtype) else dtype
    run = program("reduce", REAL=line.dtype, OUT=dtype, TOTAL=np.dtype(own))
    run(f"sum_{way}", blocks(threads), THREADS, line, y, *sizes)
    return y


def extreme(x: Array, axes: Sequence[int], largest: bool) -> Array:
    """The largest or smallest over `axes`, which stay with size 1; nan wins."""
    run = _program(x)

    def launch(line: Array, way: str, threads: int, sizes: tuple[int, ...]) -> Array:
        A, _, B, S = sizes
        y: Array = cupy().empty(A * S * B, line.dtype)
        run(f"extreme_{way}", blocks(threads), THREADS, line, y, largest, *sizes)
        return y

    def one_pass(line: Array, span: Span, last: bool) -> Array:
        A, R, B = span
        way, S, threads = plan(span)
        line = launch(line, way, threads, (A, R, B, S))
        return line if S == 1 else launch(line, *last_plan((A, S, B)), (A, S, B, 1))

    return reduced(x, axes, one_pass)


def arg_extreme(x: Array, axis: int, largest: bool) -> Array:
    """The first index (int64) of the largest or smallest along `axis`; nan wins."""
    run = _program(x)

    def one_pass(line: Array, span: Span, last: bool) -> Array:
        A, R, B = span
        way, S, threads = plan(span)
        y: Array = cupy().empty(A * S * B, np.int64)
        run(f"arg_{way}", blocks(threads), THREADS, line, None, y, R, largest, A, R, B, S)
        if S == 1:
            return y
        found: Array = cupy().empty(A * B, np.int64)
        way, threads = last_plan((A, S, B))
        run(f"arg_{way}", blocks(threads), THREADS, line, y, found, R, largest, A, S, B, 1)
        return found

    return reduced(x, (axis,), one_pass)


def _program(x: Array) -> Any:
    """reduce.cu for extremes of x; it sums nothing there."""
    kind = "float64" if floating(x.dtype) else "uint64" if x.dtype.kind == "u" else "int64"
    return program("reduce", REAL=x.dtype, OUT=np.dtype(kind), TOTAL=np.dtype(kind))
