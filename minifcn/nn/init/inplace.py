"""inplace: the initialisers as functions that fill a tensor, under PyTorch's names.

A layer's parameter carries its fans, so that transposed and grouped weights get the right ones; for
any other tensor they are those of a plain convolution or linear layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core import Tensor
from ...device import Array, to_device
from ...modes import no_grad
from ...shapes import shown
from . import values
from .values import Rng


def init_(
    tensor: Tensor, init: Callable[..., Array], generator: Rng = None, **options: Any
) -> Tensor:
    """Fill `tensor` by an initialiser of nn.init, and give it back.

    >>> from minifcn import nn
    >>> init_(nn.Parameter([1.0, 2.0]), values.constant, value=3.0).tolist()
    [3.0, 3.0]
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"init: tensor is {shown(tensor)}, expected a Tensor")
    made = init(tensor.shape, generator, getattr(tensor, "fans", None), **options)
    with no_grad():
        return tensor.copy_(to_device(made, tensor.device))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Rng = None) -> Tensor:
    """U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))."""
    return init_(tensor, values.xavier_uniform, generator, gain=gain)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Rng = None) -> Tensor:
    """N(0, s^2), s = gain sqrt(2 / (fan_in + fan_out))."""
    return init_(tensor, values.xavier_normal, generator, gain=gain)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Rng = None,
) -> Tensor:
    """U(-b, b), b = gain sqrt(3 / fan); `a` is the slope of leaky_relu."""
    return init_(
        tensor, values.he_uniform, generator, mode=mode, nonlinearity=nonlinearity, slope=a
    )


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Rng = None,
) -> Tensor:
    """N(0, s^2), s = gain / sqrt(fan); `a` is the slope of leaky_relu."""
    return init_(tensor, values.he_normal, generator, mode=mode, nonlinearity=nonlinearity, slope=a)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Rng = None) -> Tensor:
    """U(a, b)."""
    return init_(tensor, values.uniform, generator, low=a, high=b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Rng = None) -> Tensor:
    """N(mean, std^2)."""
    return init_(tensor, values.normal, generator, mean=mean, std=std)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return init_(tensor, values.constant, value=val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return init_(tensor, values.zeros)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return init_(tensor, values.ones)


def bilinear_(tensor: Tensor) -> Tensor:
    """Bilinear upsampling, see `bilinear`."""
    return init_(tensor, values.bilinear)
