"""Batch normalisation: cuda/norm.cu and cuda/norm_sums.cu.

x, y and their gradients are of one floating type. What is one number per channel may be of another:
float32 for halves, as under autocast, or x's own. Sums of halves are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...device import Array, cupy
from .columns import Plan, plan, room, rows_of, shaped, size_of, whole_packs, wide_dtype
from .elementwise import count_up, fitted
from .launch import THREADS, blocks, program
from .memory import dense, put

__all__ = [
    "batch_norm", "batch_norm_grad", "batch_norm_relu", "batch_norm_relu_grad",
    "batch_norm_weight", "channel_affine", "channel_affine_relu", "moments", "move_running",
]  # fmt: skip

_Lines = tuple[Array, Array | None, Array]  # gy, y, x
Totals = Callable[[Array, Array], Sequence[Array]]


class _Rows:
    """Arrays N C ... of one shape as rows, with the launch shapes and programs for them."""

    def __init__(self, like: Array, lines: Sequence[Array | None], stat: Any) -> None:
        self.rows, self.C = size_of(like)
        self.packed = whole_packs(self.C, *lines)
        self.plan: Plan = plan(self.rows, self.C, 16 // like.itemsize if self.packed else 1)
        self.macros = {"REAL": like.dtype, "STAT": stat, "WIDE": wide_dtype(like.dtype)}

    def program(self, file: str) -> Any:
        return program(file, PACKED=self.packed, **self.macros)


def _stats(x: Array, *numbers: Array | None) -> tuple[Any, list[Any]]:
    """(their dtype, the numbers per channel in it): their own if they agree, else float32."""
    known = [one for one in numbers if one is not None]
    dtype = known[0].dtype
    if any(one.dtype != dtype for one in known) or dtype not in (x.dtype, wide_dtype(x.dtype)):
        dtype = wide_dtype(x.dtype)
    return dtype, [None if one is None else dense(fitted(one, dtype)) for one in numbers]


# ---- forward -------------------------------------------------------------------------------------


def moments(
    x: Array,
    running: tuple[Array | None, Array | None] = (None, None),
    momentum: float = 0.0,
    count: Array | None = None,
) -> tuple[Array, Array]:
    """(mean, biased variance) of every channel, in float32 if x is half; of no values 0.

    The running statistics and the number of batches move in the same launch, if they can.
    """
    line, wide = rows_of(x), wide_dtype(x.dtype)
    of = _Rows(x, (line,), wide)
    parts, (run, C) = of.plan.runs[0], (of.plan.run, of.C)
    means, squares = (cupy().empty((parts, C), wide) for _ in range(2))
    mean, var = (cupy().empty(C, wide) for _ in range(2))
    sums = of.program("norm_sums")
    sums("moments", of.plan.runs, of.plan.block, line, means, squares, of.rows, run, C)
    moves = of.rows > 1
    now = all(one is None or _plain(one, wide) for one in running)
    counts = count is not None and _plain(count, "int64") and C > 0
    sums("moments_total", of.plan.final, (32, 32), line, means, squares, mean, var,
         *(running if moves and now else (None, None)), float(momentum),
         of.rows / max(of.rows - 1, 1), count if counts else None, parts, of.rows, run,
         C)  # fmt: skip
    if moves and not now:
        move_running(running, mean, var, momentum, of.rows / (of.rows - 1))
    if count is not None and not counts:
        count_up(count)
    return mean, var


def _plain(x: Array, dtype: Any) -> bool:
    return bool(x.dtype == dtype and x.flags.c_contiguous)


def move_running(
    running: tuple[Array | None, Array | None],
    mean: Array,
    var: Array,
    momentum: float,
    unbias: float,
) -> None:
    """running = (1 - momentum) running + momentum (mean, unbias var), in place where not None."""
    dtypes = {one.dtype for one in running if one is not None}
    for dtype in dtypes:
        given = [one if one is not None and one.dtype == dtype else None for one in running]
        own = [None if one is None else dense(one) for one in given]
        wide = wide_dtype(dtype)
        stat = dtype if mean.dtype == var.dtype == dtype else wide
        batch = (dense(fitted(one, stat)) for one in (mean, var))
        run = program("norm", REAL=dtype, STAT=stat, WIDE=wide, PACKED=False)
        run("move", blocks(mean.size), THREADS, *own, *batch, float(momentum), float(unbias),
            mean.size)  # fmt: skip
        for made, one in zip(own, given, strict=True):
            if made is not None and one is not None and not one.flags.c_contiguous:
                put(made, one)


def _affine(
    x: Array,
    origin: Array,
    scale: Array,
    shift: Array,
    var: Array | None,
    eps: float,
    relu: bool,
) -> Array:
    line, (y, out) = rows_of(x), room(x.shape, x.dtype)
    dtype, (origin, scale, shift_, var) = _stats(x, origin, scale, shift, var)
    of = _Rows(x, (line, out), dtype)
    of.program("norm")("affine", of.plan.spread, of.plan.block, line, origin, scale, shift_, var,
                       float(eps), relu, out, of.rows, of.C)  # fmt: skip
    return shaped(y, x.shape)


def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    return _affine(x, mean, weight, bias, var, eps, False)


def batch_norm_relu(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> Array:
    return _affine(x, mean, weight, bias, var, eps, True)


def channel_affine(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    return _affine(x, origin, scale, shift, None, 0.0, False)


def channel_affine_relu(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    return _affine(x, origin, scale, shift, None, 0.0, True)


# ---- backward ------------------------------------------------------------------------------------


def _sums(lines: _Lines, mean: Array, var: Array, eps: float, of: _Rows) -> tuple[Array, Array]:
    """(gw, gb) for lines (gy, y or None, x)."""
    parts, C = of.plan.runs[0], of.C
    products, plain = (cupy().empty((parts, C), of.macros["WIDE"]) for _ in range(2))
    gw, gb = (cupy().empty(C, of.macros["STAT"]) for _ in range(2))
    sums = of.program("norm_sums")
    sums("grad_sums", of.plan.runs, of.plan.block, *lines, mean, products, plain, of.rows,
         of.plan.run, C)  # fmt: skip
    sums("grad_sums_total", of.plan.final, (32, 32), products, plain, var, float(eps), gw, gb,
         parts, C)  # fmt: skip
    return gw, gb


def _input(
    lines: _Lines, stats: Sequence[Array | None], eps: float, M: int, out: Array, of: _Rows
) -> None:
    """gx for lines (gy, y or None, x) and stats (weight, mean, var, gw, gb)."""
    of.program("norm")("input_grad", of.plan.spread, of.plan.block, *lines, *stats, float(eps),
                       float(max(M, 1)), out, of.rows, of.C)  # fmt: skip


def batch_norm_weight(gy: Array, x: Array, mean: Array, var: Array, eps: float) -> Array:
    lines = rows_of(gy), None, rows_of(x)
    dtype, (mean_, var_) = _stats(x, mean, var)
    return _sums(lines, mean_, var_, eps, _Rows(x, lines, dtype))[0]


def batch_norm_grad(
    gy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    gw: Array,
    gb: Array,
    eps: float,
    M: int,
) -> Array:
    (gx, out), lines = room(x.shape, x.dtype), (rows_of(gy), None, rows_of(x))
    dtype, stats = _stats(x, weight, mean, var, gw, gb)
    _input(lines, stats, eps, M, out, _Rows(x, (*lines, out), dtype))
    return shaped(gx, x.shape)


def batch_norm_relu_grad(
    gy: Array,
    y: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    eps: float,
    M: int,
    totals: Totals,
) -> tuple[Array, Array, Array]:
    """(gx, gw, gb) of batch_norm_relu; `totals` adds up (gw, gb) over processes, on the device."""
    (gx, out), lines = room(x.shape, x.dtype), (rows_of(gy), rows_of(y), rows_of(x))
    dtype, (weight_, mean_, var_) = _stats(x, weight, mean, var)
    of = _Rows(x, (*lines, out), dtype)
    gw, gb = (fitted(one, weight.dtype) for one in _sums(lines, mean_, var_, eps, of))
    sums = (dense(fitted(one, dtype)) for one in totals(gw, gb))
    _input(lines, (weight_, mean_, var_, *sums), eps, M, out, of)
    return shaped(gx, x.shape), gw, gb
