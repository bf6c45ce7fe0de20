"""conv: convolution layers. PyTorch's arguments, then, by keyword, TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import functional as F
from ..core import Tensor
from ..device import check
from ..shapes import Padding, Pair, pad_word, pair, sides, whole
from . import init
from .activation import activation_named
from .module import Module
from .parameter import Fans, Parameter
from .seed import stream

Activation = Callable[[Tensor], Tensor] | str
Regularizer = Callable[[Tensor], Tensor]


class _Conv(Module):
    """What both share: parameters, and what happens after the convolution."""

    weight: Parameter
    bias: Parameter | None
    transposed = False

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
        device: str,
        dtype: Any,
        activation: Activation | None,
        normalizer: Any,
        weight_init: init.Init | None,
        bias_init: init.Init | None,
        regularizer: Regularizer | None,
        trainable: bool,
        generator: np.random.Generator | None,
    ) -> None:
        layer = type(self).__name__
        self.in_channels = whole(layer, "in_channels", in_channels, 1)
        self.out_channels = whole(layer, "out_channels", out_channels, 1)
        self.kernel_size = pair(layer, "kernel_size", kernel_size, 1)
        self.stride = pair(layer, "stride", stride, 1)
        self.padding = padding
        self.dilation = pair(layer, "dilation", dilation, 1)
        self.groups = whole(layer, "groups", groups, 1)
        self.padding_mode = padding_mode
        self._check(layer)

        shape, fans = self._weight_shape()
        rng, dtype = stream(generator), np.dtype(np.float32 if dtype is None else dtype)
        weight = (weight_init or init.torch_uniform)(shape, rng, fans)
        self.weight = Parameter(
            self._checked(weight, shape, "weight_init").astype(dtype), fans=fans
        )
        self.bias = None
        if bias or (bias is None and normalizer is None):
            first = (bias_init or init.torch_uniform)((self.out_channels,), rng, fans)
            self.bias = Parameter(
                self._checked(first, (self.out_channels,), "bias_init").astype(dtype)
            )
        elif bias_init is not None:
            raise ValueError(f"{layer}: bias_init is given, but bias is off; pass bias=True")

        self.regularizer = regularizer
        self.normalizer = _made(normalizer, self.out_channels)
        self.activation = activation_named(layer, activation)
        self.astype(dtype).to(check(device))
        if not trainable:
            self.requires_grad_(False)

    def _weight_shape(self) -> tuple[tuple[int, ...], Fans]:
        ends = (self.out_channels, self.in_channels // self.groups)
        if self.transposed:
            ends = (self.in_channels, self.out_channels // self.groups)
        shape = (*ends, *self.kernel_size)
        return shape, init.fans(shape, self.transposed, self.groups)

    def _check(self, layer: str) -> None:
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"{layer}: {name} is {getattr(self, name)}, expected a multiple of groups "
                    f"{self.groups}"
                )
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate")
        if self.padding_mode not in modes:
            raise ValueError(
                f"{layer}: padding_mode is {self.padding_mode!r}, expected one of {', '.join(modes)}"
            )
        if isinstance(self.padding, str):
            pad_word(layer, self.padding)
        else:
            sides(layer, self.padding)

    def _checked(self, made: Any, shape: tuple[int, ...], name: str) -> Any:
        made = np.asarray(made.data if isinstance(made, Tensor) else made)
        if made.shape != shape:
            raise ValueError(
                f"{type(self).__name__}: {name} made an array of shape {made.shape}, expected {shape}"
            )
        return made

    def _finish(self, y: Tensor) -> Tensor:
        """Normalizer, then activation."""
        for step in (self.normalizer, self.activation):
            y = y if step is None else step(y)
        return y

    def extra_repr(self) -> str:
        told = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        told.append(f"stride={self.stride}")
        if self.padding not in (0, (0, 0)):
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


class Conv2d(_Conv):
    """Convolution; see F.conv2d for the formula.

    After PyTorch's arguments come TensorFlow's, by keyword: `padding` also takes "same" (strided too),
    "same_lower" and "valid"; `normalizer` (a module class, called with out_channels, a module, or a
    function; it switches the bias off unless bias=True) and then `activation` (a function or a name such as
    "relu") follow the convolution; `weight_init` and `bias_init` are functions of nn.init;
    `regularizer(weight)` is added to the loss by the trainer; `trainable=False` freezes the parameters of
    the layer and of what follows it; `generator` draws the first weights.

    Shape   x: N C H W  ->  y: N O P Q

    >>> import minifcn as mf
    >>> layer = Conv2d(3, 8, 3, stride=2, padding="same", activation="relu")
    >>> layer
    Conv2d(
      3, 8, kernel_size=(3, 3), stride=(2, 2), padding='same'
      (activation): ReLU()
    )
    >>> layer(mf.tensor([[[[1.0] * 5] * 7] * 3])).shape
    (1, 8, 4, 3)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Padding = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool | None = None,
        padding_mode: str = "zeros",
        device: str = "cpu",
        dtype: Any = None,
        *,
        activation: Activation | None = None,
        normalizer: Any = None,
        weight_init: init.Init | None = None,
        bias_init: init.Init | None = None,
        regularizer: Regularizer | None = None,
        trainable: bool = True,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                         bias, padding_mode, device, dtype, activation, normalizer, weight_init,
                         bias_init, regularizer, trainable, generator)  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._padded(x), 0
        y = F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return self._finish(y)

    def _padded(self, x: Tensor) -> Tensor:
        """x with the padding that the geometry asks for, mirrored or repeated from the image."""
        from ..shapes import Window

        image = x.shape[2], x.shape[3]
        window = Window.for_conv("Conv2d", image, self.kernel_size, self.stride, self.padding,
                                 self.dilation)  # fmt: skip
        (top, left), (bottom, right) = window.pad, window.far_pad
        far = (left, max(right, 0), top, max(bottom, 0))
        return F.pad(x, far, mode=self.padding_mode)


class ConvTranspose2d(_Conv):
    """Transposed convolution; see F.conv_transpose2d for the formula.

    The weight is I O/G KH KW, as in PyTorch. TensorFlow's arguments as for Conv2d; with padding="same"
    the result is stride times as large, with the values of TensorFlow's conv2d_transpose.
    `output_size` chooses among the sizes that the convolution of the same arguments maps back.

    Shape   x: N I P Q  ->  y: N O H W

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[1.0] * 3] * 3]])
    >>> ConvTranspose2d(1, 2, 3, stride=2, padding="same")(x).shape
    (1, 2, 6, 6)
    >>> ConvTranspose2d(1, 2, 3, stride=2, padding=1)(x, output_size=(5, 6)).shape
    (1, 2, 5, 6)
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Padding = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool | None = None,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
        device: str = "cpu",
        dtype: Any = None,
        *,
        activation: Activation | None = None,
        normalizer: Any = None,
        weight_init: init.Init | None = None,
        bias_init: init.Init | None = None,
        regularizer: Regularizer | None = None,
        trainable: bool = True,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.output_padding = pair("ConvTranspose2d", "output_padding", output_padding, 0)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                         bias, padding_mode, device, dtype, activation, normalizer, weight_init,
                         bias_init, regularizer, trainable, generator)  # fmt: skip

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        size = None if output_size is None else tuple(output_size)[-2:]
        extra = self.output_padding if size is None else 0
        y = F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, extra,
                               self.groups, self.dilation, output_size=size)  # fmt: skip
        return self._finish(y)

    def extra_repr(self) -> str:
        extra = "" if self.output_padding == (0, 0) else f", output_padding={self.output_padding}"
        return super().extra_repr() + extra


def _made(normalizer: Any, channels: int) -> Any:
    """A class (or a partial of one) is called with the number of channels; all else is used as it is."""
    maker = normalizer.func if isinstance(normalizer, partial) else normalizer
    return normalizer(channels) if isinstance(maker, type) else normalizer
