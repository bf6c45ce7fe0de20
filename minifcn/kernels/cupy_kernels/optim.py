"""What an optimizer does to parameters, in place: cuda/optim.cu."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...device import Array, cupy, to_host
from . import numbers
from .columns import RUNS, wide_dtype
from .group import MOST, Lines, group_struct, launches
from .launch import THREADS, blocks, program
from .memory import dense, empty, flat, in_c_order, is_packed, packed, put

__all__ = ["copies", "not_finite", "sgd_step", "sgd_steps", "squared_norm", "update_loss_scale"]

Rate = float | Array | Callable[[], float]


def sgd_step(
    p: Array,
    g: Array,
    v: Array | None,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    caffe: bool = False,
    first: bool = False,
) -> None:
    """`sgd_steps` of one parameter."""
    sgd_steps([p], [g], [v], lr, momentum, dampening, weight_decay, nesterov, maximize, caffe,
              first)  # fmt: skip


def sgd_steps(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array | None],
    lr: Rate,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    caffe: bool = False,
    first: bool = False,
    skip: Array | None = None,
    scale: Array | None = None,
    begun: Sequence[Array | None] | None = None,
) -> None:
    """The step of numpy_kernels.sgd_steps, 64 parameters in a launch.

    A function `lr` is asked again at every replay of a captured step.
    """
    at, rate = _rate(lr)
    numbers_ = (momentum, dampening, weight_decay)
    rule = (at, rate, *map(float, numbers_), nesterov, maximize, caffe, first, skip, scale)
    marks = [None] * len(params) if begun is None else begun
    lines = [_lines(*one) for one in zip(params, grads, velocities, marks, strict=True)]
    numbers.hold(lines)  # a graph has addresses only
    for dtype, group in launches(lines):
        run = program("optim", REAL=dtype, WIDE=wide_dtype(dtype))
        struct = group_struct(group)
        run("sgd_steps", int(struct["from"][len(group)]), THREADS, struct, *rule)
        if any(one.b is not None for one in group):
            run("begin", 1, MOST, struct, skip)
    for one in lines:
        for made, source in one.put_back:
            put(made, source)


def _rate(lr: Rate) -> tuple[Array | None, float]:
    """(device memory that holds the learning rate, or None; the learning rate)."""
    if callable(lr):
        if not isinstance(numbers.current.table, numbers.Table):
            return None, float(lr())
        lr = numbers.fresh(lr, "float64")
    return (None, float(lr)) if isinstance(lr, (int, float)) else (lr, 0.0)


def _lines(p: Array, g: Array, v: Array | None, b: Array | None) -> Lines:
    """p, g and v in one order: p's own, if v has it too."""
    own = (p,) if v is None else (p, v)
    if all(is_packed(one) for one in own):
        return Lines(flat(p), dense(g), None if v is None else flat(v), b)
    if all(one.flags.c_contiguous for one in own):
        velocity = None if v is None else v.reshape(-1)
        return Lines(p.reshape(-1), in_c_order(g).reshape(-1), velocity, b)
    copies = tuple((packed(one), one) for one in own)
    velocity = None if v is None else flat(copies[1][0])
    changed = tuple(pair for pair in copies if pair[0] is not pair[1])
    return Lines(flat(copies[0][0]), dense(g), velocity, b, changed)


def squared_norm(x: Array) -> float:
    """sum x^2, added up in float64; read back."""
    runs = min(blocks(x.size), RUNS)
    sums, sum_ = (cupy().empty(count, np.float64) for count in (runs, 1))
    run = program("optim", REAL=x.dtype, WIDE=wide_dtype(x.dtype))
    run("squares", runs, THREADS, dense(x), sums, x.size)
    run("total", 1, 1, sums, sum_, runs)
    return float(to_host(sum_)[0])


def copies(arrays: Sequence[Array]) -> list[Array]:
    """A copy of each, that nobody else has; 64 of them in a launch."""
    made, lines = [empty(x.shape, x.dtype) for x in arrays], []
    for y, x in zip(made, arrays, strict=True):
        if is_packed(x):
            lines.append(Lines(flat(y), flat(x), None))
        else:
            put(x, y)
    for dtype, group in launches(lines):
        run, struct = program("optim", REAL=dtype, WIDE=wide_dtype(dtype)), group_struct(group)
        run("copies", int(struct["from"][len(group)]), THREADS, struct)
    return made


def not_finite(arrays: Sequence[Array]) -> Array:
    """One int32: 1 if an element of any array is infinite or nan, else 0."""
    flag: Array = cupy().empty(1, np.int32)
    program("optim", REAL=np.float32, WIDE=np.float32)("clear", 1, 1, flag)
    lines = [Lines(line, line, None) for line in map(_any_line, arrays)]
    numbers.hold(lines)
    for dtype, group in launches(lines):
        run, struct = program("optim", REAL=dtype, WIDE=wide_dtype(dtype)), group_struct(group)
        run("not_finite", int(struct["from"][len(group)]), THREADS, struct, flag)
    return flag


def _any_line(x: Array) -> Array:
    """The memory of x in any order."""
    made: Array = x.reshape(-1) if x.flags.c_contiguous else dense(x)
    return made


def update_loss_scale(
    scale: Array,
    good_steps: Array,
    flag: Array,
    growth_factor: float,
    backoff_factor: float,
    growth_interval: int,
) -> None:
    run = program("optim", REAL=np.float32, WIDE=np.float32)
    run("update_loss_scale", 1, 1, scale, good_steps, flag, float(growth_factor),
        float(backoff_factor), growth_interval)  # fmt: skip
