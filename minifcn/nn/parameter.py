"""parameter: a tensor that is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Tensor, tensor
from ..device import Array, by_name, is_floating
from ..modes import mode
from ..shapes import Shape, ShapeError, function, shown

Fans = tuple[int, int]  # (fan_in, fan_out), see init


class Parameter(Tensor):
    """A tensor with memory of its own that requires a gradient; a module finds it by its type.

    `fans` says how many inputs meet in one output and how many outputs one input reaches, where the
    layer knows better than the shape does (transposed and grouped convolutions).

    >>> Parameter([1.0, 2.0])
    tensor([1., 2.], dtype=float32, requires_grad=True)
    """

    __slots__ = ("fans",)

    def __init__(self, data: Any, requires_grad: bool = True, fans: Fans | None = None) -> None:
        super().__init__(tensor(data).data, requires_grad)
        self.fans = fans

    def replace(self, data: Array) -> None:
        """Hold another array, of another dtype or on another device; the gradient moves along."""
        wanted, gradient = self.requires_grad, self.grad
        self.requires_grad = False
        self.data = data
        self.requires_grad = wanted
        if gradient is not None:
            self.grad = gradient.detach().astype(data.dtype).to(self.device)


def first_values(
    argument: str,
    init: Callable[..., Any],
    shape: Shape,
    rng: np.random.Generator,
    fans: Fans,
    dtype: Any,
) -> Parameter:
    """A parameter filled by init(shape, rng, fans), which the user gave as `argument`."""
    layer, _, name = argument.partition(": ")
    function(layer, name, init)
    claim(layer, math.prod(shape))
    made = init(shape, rng, fans)
    values = np.asarray(made.numpy() if isinstance(made, Tensor) else made)
    if values.shape != shape:
        raise ShapeError(f"{argument}: made an array of shape {values.shape}, expected {shape}")
    parameter = Parameter([0.0], fans=fans)
    parameter.replace(tensor(values, dtype).data)  # one copy, not two: VGG16 has 138 million values
    return parameter


def claim(layer: str, count: int) -> None:
    """Say that `count` weights will be made; refused where there is no room, see nn.blank."""
    if mode.room is None:
        return
    if count > mode.room:
        raise ValueError(f"{layer}: wants {count} weights, but there are only {mode.room}")
    mode.room -= max(count, 1)


def floating_dtype(layer: str, dtype: Any) -> np.dtype[Any]:
    """`dtype` as NumPy's, float32 if None, or an error that names the layer."""
    try:
        found = np.dtype(np.float32 if dtype is None else by_name(dtype))
    except TypeError:
        found = None
    if found is None or not is_floating(found):
        raise TypeError(f"{layer}: dtype is {shown(dtype)}, expected a floating type")
    return found
