"""bias: one number per channel, checked before anything is computed, added along axis 1.

y[n, o, ...] = x[n, o, ...] + bias[o]
"""

from __future__ import annotations

from typing import Any

from ..core import Tensor, as_tensor
from ..shapes import ShapeError


def check_bias(op: str, given: Any, weight: Tensor, letter: str, size: int) -> Tensor | None:
    """The bias as a tensor of one value per channel of the result, in weight's dtype; or None."""
    if given is None:
        return None
    bias = as_tensor(given)
    if bias.ndim != 1:
        raise ShapeError(f"{op}: bias has {bias.ndim} axes {bias.shape}, expected 1: {letter}")
    if bias.shape[0] != size:
        raise ShapeError(
            f"{op}: axis 0 ({letter}) of bias is {bias.shape[0]}, but axis 1 ({letter}) of the "
            f"result is {size}, expected {size}"
        )
    if bias.dtype != weight.dtype:
        raise TypeError(
            f"{op}: dtype of bias is {bias.dtype}, but dtype of weight is {weight.dtype}; "
            f"convert one with .astype()"
        )
    return bias


def add_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    """y + bias along axis 1, if there is a bias."""
    return y if bias is None else y + bias.reshape(1, -1, *(1,) * (y.ndim - 2))
