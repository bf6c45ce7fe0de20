"""An optimizer's step, one element at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...device import Array

__all__ = ["copies", "not_finite", "sgd_step", "sgd_steps", "squared_norm", "update_loss_scale"]


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
    for index in np.ndindex(p.shape):
        slope = g[index].item() * (-1 if maximize else 1) + weight_decay * p[index].item()
        move = lr * slope
        if v is not None and caffe:
            v[index] = momentum * v[index].item() + lr * slope
            move = v[index].item()
        elif v is not None:
            old = v[index].item()
            new = slope if first else momentum * old + (1 - dampening) * slope
            v[index] = new
            move = lr * (slope + momentum * new if nesterov else new)
        p[index] = p[index].item() - move


def sgd_steps(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array | None],
    lr: float | Array | Callable[[], float],
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
    if skip is not None and skip[0] != 0:
        return
    rate = lr() if callable(lr) else float(np.reshape(lr, ()))
    for k, g in enumerate(grads):
        new, mark = first, None if begun is None else begun[k]
        if mark is not None:
            new, mark[0] = first or mark[0] == 0, 1
        slope = g.copy()
        for index in np.ndindex(g.shape):
            slope[index] = g[index].item() / (1.0 if scale is None else scale[0].item())
        sgd_step(params[k], slope, velocities[k], rate, momentum, dampening, weight_decay, nesterov,
                 maximize, caffe, new)  # fmt: skip


def squared_norm(x: Array) -> float:
    total = 0.0
    for index in np.ndindex(x.shape):
        total += x[index].item() ** 2
    return total


def copies(arrays: Sequence[Array]) -> list[Array]:
    made = [np.empty(x.shape, x.dtype) for x in arrays]
    for y, x in zip(made, arrays, strict=True):
        for index in np.ndindex(x.shape):
            y[index] = x[index]
    return made


def not_finite(arrays: Sequence[Array]) -> Array:
    flag = np.zeros(1, np.int32)
    for x in arrays:
        for index in np.ndindex(x.shape):
            if not math.isfinite(x[index]):
                flag[0] = 1
    return flag


def update_loss_scale(
    scale: Array,
    good_steps: Array,
    flag: Array,
    growth_factor: float,
    backoff_factor: float,
    growth_interval: int,
) -> None:
    if flag[0] != 0:
        scale[0] = scale[0].item() * backoff_factor
        good_steps[0] = 0
    elif good_steps[0] + 1 < growth_interval:
        good_steps[0] += 1
    else:
        grown = scale[0].item() * growth_factor
        if grown <= float(np.finfo(np.float32).max):
            scale[0] = grown
        good_steps[0] = 0
