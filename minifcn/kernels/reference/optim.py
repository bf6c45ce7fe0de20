"""An optimizer's step, one element at a time."""

from __future__ import annotations

import numpy as np

from ...device import Array

__all__ = ["sgd_step", "squared_norm"]


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


def squared_norm(x: Array) -> float:
    total = 0.0
    for index in np.ndindex(x.shape):
        total += x[index].item() ** 2
    return total
