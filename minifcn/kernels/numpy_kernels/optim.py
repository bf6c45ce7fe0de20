"""What an optimizer does to a parameter, in place and in few passes."""

from __future__ import annotations

import numpy as np

from ...device import Array

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
    step = np.multiply(p, weight_decay) if weight_decay else g  # p; where it is not g, it is ours
    if weight_decay:
        (np.subtract if maximize else np.add)(step, g, out=step)
    elif maximize:
        step = np.negative(g)
    if v is None:
        p -= np.multiply(step, lr, out=None if step is g else step)
        return
    if caffe:
        v *= momentum
        v += np.multiply(step, lr, out=None if step is g else step)
        p -= v
        return
    if first:
        v[...] = step
    else:
        v *= momentum
        v += step if dampening == 0 else np.multiply(step, 1 - dampening)
    if nesterov:
        ahead = np.multiply(v, momentum)
        ahead += step
        ahead *= lr
        p -= ahead
    else:
        p -= np.multiply(v, lr)


def squared_norm(x: Array) -> float:
    """sum x^2, added up in float64."""
    return float(np.sum(np.square(x, dtype=np.float64)))
