"""activation: nonlinearities as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from ..core import Tensor
from ..modes import mode
from ..shapes import whole
from .module import Module
from .parameter import Parameter, claim


class ReLU(Module):
    """max(x, 0).   Shape   any"""

    def __init__(self, inplace: bool = False) -> None:
        not_in_place("ReLU", inplace)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope x.   Shape   any"""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        not_in_place("LeakyReLU", inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where x > 0, else weight x, with one weight or one per channel.   Shape   x: N C ..."""

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.num_parameters = whole("PReLU", "num_parameters", num_parameters, 1)
        claim("PReLU", self.num_parameters)
        self.weight = Parameter(np.full(self.num_parameters, init, dtype or np.float32))
        self.to(device or mode.device)

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Sigmoid(Module):
    """1 / (1 + e^-x).   Shape   any"""

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(x)


class Tanh(Module):
    """tanh x.   Shape   any"""

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class Softmax(Module):
    """e^x_k / sum_j e^x_j along `dim`.   Shape   any"""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x_k - log sum_j e^x_j along `dim`.   Shape   any"""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


NAMES: dict[str, Callable[[], Module]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softmax": lambda: Softmax(1),
}


def activation_named(layer: str, activation: Any) -> Any:
    """A name as its layer ("linear" is none), a layer's class as a layer; all else as it is."""
    if activation is None or activation == "linear":
        return None
    if isinstance(activation, str):
        if activation not in NAMES:
            raise ValueError(
                f"{layer}: activation is {activation!r}, expected one of linear, {', '.join(NAMES)}"
            )
        return NAMES[activation]()
    if not callable(activation):
        raise TypeError(
            f"{layer}: activation is a {type(activation).__name__}, expected a function or a name"
        )
    return activation() if isinstance(activation, type) else activation


def not_in_place(layer: str, inplace: bool) -> None:
    """Tensors are never overwritten: their values are kept for the backward pass."""
    if inplace:
        raise ValueError(
            f"{layer}: inplace is True, expected False: results get arrays of their own"
        )
