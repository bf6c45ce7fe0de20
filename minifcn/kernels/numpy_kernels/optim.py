"""What an optimizer does to a parameter, in place: several passes, piece by piece in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...device import Array
from .memory import buffer
from .rows import PIECE

__all__ = ["sgd_step", "squared_norm"]


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
