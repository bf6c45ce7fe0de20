"""conv_base: what the two convolution layers share: their parameters, and what follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..core import Tensor
from ..modes import mode
from ..shapes import Pair, flag, function, one_of, pair, whole
from ..window import Padding, pad_word, sides
from . import init
from .activation import ReLU, activation_named
from .fuse import is_relu
from .module import Module
from .parameter import Parameter, first_values, floating_dtype
from .seed import stream

RELU = ReLU()
Activation = Callable[[Tensor], Tensor] | str
Regularizer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Extras:
    """What TensorFlow's layers take beyond PyTorch's."""

    activation: Activation | None
    normalizer: Any
    weight_init: init.Init | None
    bias_init: init.Init | None
    regularizer: Regularizer | None
    trainable: bool
    generator: np.random.Generator | None


class ConvBase(Module):
    """Weight and bias; after the convolution the normalizer, then the activation."""

    weight: Parameter
    bias: Parameter | None
    transposed = False
    padding_modes: tuple[str, ...] = ("zeros",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair,
        padding: Padding,
        dilation: int | Pair,
        groups: int,
        bias: bool | None,
        padding_mode: str,
        device: str | None,
        dtype: Any,
        extras: Extras,
    ) -> None:
        layer = type(self).__name__
        self.in_channels = whole(layer, "in_channels", in_channels, 1)
        self.out_channels = whole(layer, "out_channels", out_channels, 1)
        self.kernel_size = pair(layer, "kernel_size", kernel_size, 1)
        self.stride = pair(layer, "stride", stride, 1)
        self.padding = _padding(layer, padding)
        self.dilation = pair(layer, "dilation", dilation, 1)
        self.groups = whole(layer, "groups", groups, 1)
        self.padding_mode = padding_mode
        self._check(layer)
        self._make_parameters(layer, bias, floating_dtype(layer, dtype), extras)
        if extras.regularizer is not None:
            function(layer, "regularizer", extras.regularizer)
        self.regularizer = extras.regularizer
        if extras.normalizer is not None:
            function(layer, "normalizer", extras.normalizer)
        self.normalizer = _made(extras.normalizer, self.out_channels, self.weight.dtype)
        self.activation = activation_named(layer, extras.activation)
        self.to(device or mode.device)
        if not flag(layer, "trainable", extras.trainable):
            self.requires_grad_(False)

    def _make_parameters(self, layer: str, bias: bool | None, dtype: Any, extras: Extras) -> None:
        shape = self.out_channels, self.in_channels // self.groups, *self.kernel_size
        if self.transposed:
            shape = self.in_channels, self.out_channels // self.groups, *self.kernel_size
        fans, rng = init.fans(shape, self.transposed, self.groups), stream(extras.generator)
        make = init.chosen(extras.weight_init)
        self.weight = first_values(f"{layer}: weight_init", make, shape, rng, fans, dtype)
        self.bias = None
        if bias is not None:
            flag(layer, "bias", bias)
        if bias or (bias is None and extras.normalizer is None):
            make, shape_of_bias = init.chosen(extras.bias_init), (self.out_channels,)
            self.bias = first_values(f"{layer}: bias_init", make, shape_of_bias, rng, fans, dtype)
        elif extras.bias_init is not None:
            raise ValueError(f"{layer}: bias_init is given, but bias is off; expected bias=True")

    def _check(self, layer: str) -> None:
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"{layer}: {name} is {getattr(self, name)}, expected a multiple of groups "
                    f"{self.groups}"
                )
        one_of(layer, "padding_mode", self.padding_mode, self.padding_modes)

    def followers(self, relu: bool) -> tuple[bool, list[Any]]:
        """Whether a ReLU follows the convolution at once, and what follows then.

        relu: a ReLU behind the layer counts as its own, see fuse.py.
        """
        steps = [self.normalizer, self.activation, RELU if relu else None]
        steps = [step for step in steps if step is not None]
        at_once = bool(steps) and is_relu(steps[0])
        return at_once, steps[at_once:]

    def extra_repr(self) -> str:
        told = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        told.append(f"stride={self.stride}")
        if self.padding != (0, 0):
            told.append(f"padding={self.padding!r}")
        if self.dilation != (1, 1):
            told.append(f"dilation={self.dilation}")
        if self.groups != 1:
            told.append(f"groups={self.groups}")
        if self.bias is None:
            told.append("bias=False")
        if self.padding_mode != "zeros":
            told.append(f"padding_mode={self.padding_mode!r}")
        return ", ".join(told)


def _padding(layer: str, padding: Padding) -> Padding:
    """A word, (height, width), or ((top, bottom), (left, right)) where the sides differ."""
    if isinstance(padding, str):
        return pad_word(layer, padding)
    (top, bottom), (left, right) = four = sides(layer, padding)
    return (top, left) if (top, left) == (bottom, right) else four


def _made(normalizer: Any, channels: int, dtype: Any) -> Any:
    """A class, or a partial of one, is called with the channels; all else is used as it is."""
    maker = normalizer.func if isinstance(normalizer, partial) else normalizer
    if not isinstance(maker, type):
        return normalizer
    made = normalizer(channels)
    return made.astype(dtype) if isinstance(made, Module) else made
