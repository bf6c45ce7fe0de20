"""What an optimizer does to a parameter, in place: several passes, piece by piece in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...device import Array
from .elementwise import copy
from .memory import buffer
from .rows import PIECE

__all__ = ["copies", "not_finite", "sgd_step", "sgd_steps", "squared_norm", "update_loss_scale"]

Rate = float | Array | Callable[[], float]


@np.errstate(all="ignore")  # it is called outside of operators too, see Op.__call__
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
    """Write one step into p and its momentum v (None without momentum); g is only read.

    g' = (-g if maximize else g) + weight_decay p
    v  = momentum v + (1 - dampening) g'     the first time v = g'
    p -= lr (g' + momentum v if nesterov, else v, else g' without momentum)

    caffe: v = momentum v + lr g',  p -= v
    """
    for part in _parts(p, g, v, v is not None and (nesterov or dampening != 0)):
        _step(*part, lr, momentum, dampening, weight_decay, nesterov, maximize, caffe, first)


@np.errstate(all="ignore")
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
    """`sgd_step` of every parameter; of gradients / scale, and of none if `skip` is not 0.

    `lr` is a number, an array of one, or a function that gives it. `begun` has, for a parameter
    whose steps may all have been left out so far, an int32: 0, until a step is made.
    """
    if skip is not None and skip.any():
        return
    rate = float(lr() if callable(lr) else np.asarray(lr).item())
    marks = [None] * len(params) if begun is None else begun
    for p, g, v, mark in zip(params, grads, velocities, marks, strict=True):
        slope = g if scale is None else np.asarray(g / scale.item())
        new = first or (mark is not None and not mark.any())
        sgd_step(p, slope, v, rate, momentum, dampening, weight_decay, nesterov, maximize, caffe,
                 new)  # fmt: skip
        if mark is not None:
            mark[...] = 1


def _step(
    p: Array,
    g: Array,
    v: Array | None,
    move: Array,
    spare: Array,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    caffe: bool,
    first: bool,
) -> None:
    """One piece; `move` and, if it takes two, `spare` are scratch."""
    slope = g
    if weight_decay:
        slope = np.multiply(p, weight_decay, out=move)
        (np.subtract if maximize else np.add)(slope, g, out=slope)
    elif maximize:
        slope = np.negative(g, out=move)
    if v is None:
        np.multiply(slope, lr, out=move)
    elif caffe:
        v *= momentum
        v += np.multiply(slope, lr, out=move)
        move = v
    else:
        if first:
            v[...] = slope
        else:
            v *= momentum
            v += slope if dampening == 0 else np.multiply(slope, 1 - dampening, out=spare)
        if nesterov:
            np.multiply(v, momentum, out=spare)
            spare += slope
            np.multiply(spare, lr, out=move)
        else:
            np.multiply(v, lr, out=move)
    p -= move


def _parts(
    p: Array, g: Array, v: Array | None, two: bool
) -> Iterator[tuple[Array, Array, Array | None, Array, Array]]:
    """(p, g, v, scratch, more scratch) by pieces; in one if p does not lie in C order."""
    ours = [a for a in (p, v) if a is not None]
    size = min(p.size, PIECE) if all(a.flags.c_contiguous for a in ours) else p.size
    if size == p.size:
        move = buffer(p.shape, p.dtype)
        yield p, g, v, move, buffer(p.shape, p.dtype) if two else move
        return
    flat, slopes = p.reshape(-1), g.reshape(-1) if g.flags.c_contiguous else _in_c_order(g)
    velocity = None if v is None else v.reshape(-1)
    move, spare = buffer((size,), p.dtype), buffer((size if two else 0,), p.dtype)
    for start in range(0, p.size, size):
        at = slice(start, start + size)
        count = flat[at].size
        part = None if velocity is None else velocity[at]
        yield flat[at], slopes[at], part, move[:count], spare[:count]


def _in_c_order(g: Array) -> Array:
    made = buffer(g.shape, g.dtype)
    np.copyto(made, g)
    return made.reshape(-1)


def squared_norm(x: Array) -> float:
    """sum x^2, added up in float64."""
    flat, total = x.reshape(-1), 0.0
    for start in range(0, x.size, PIECE):
        total += float(np.square(flat[start : start + PIECE], dtype=np.float64).sum())
    return total


def copies(arrays: Sequence[Array]) -> list[Array]:
    """A copy of each, that nobody else has."""
    return [copy(x) for x in arrays]


def not_finite(arrays: Sequence[Array]) -> Array:
    """One int32: 1 if an element of any array is infinite or nan, else 0."""
    return np.array([any(not np.isfinite(x).all() for x in arrays)], np.int32)


@np.errstate(all="ignore")
def update_loss_scale(
    scale: Array,
    good_steps: Array,
    flag: Array,
    growth_factor: float,
    backoff_factor: float,
    growth_interval: int,
) -> None:
    """Change scale (float32) and good_steps (int32), arrays of one number, after a step.

    A step with a `flag` backs the scale off; `growth_interval` steps without one let it grow,
    unless it would be infinite. The rule of PyTorch's GradScaler.
    """
    if flag.any():
        scale *= backoff_factor
        good_steps[:] = 0
        return
    good_steps += 1
    if good_steps.item() >= growth_interval:
        grown = scale * growth_factor
        scale[:] = np.where(np.isfinite(grown), grown, scale)
        good_steps[:] = 0
