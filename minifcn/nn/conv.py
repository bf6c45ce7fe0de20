"""conv: convolution layers. PyTorch's arguments, then, by keyword, TensorFlow's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core import Tensor
from ..shapes import Pair, bind, pair
from ..window import Padding, Window
from . import init
from .conv_base import Activation, ConvBase, Extras, Regularizer
from .fuse import chain


class Conv2d(ConvBase):
    """Convolution; see F.conv2d for the formula.

    padding       also "same" (TensorFlow's rule, with stride too), "same_lower" and "valid"
    normalizer    follows the convolution: a module class, called with out_channels, a module, or a
                  function; the bias is then off, unless bias=True
    activation    follows that: a function, a module, or a name such as "relu"
    weight_init   and bias_init: functions (shape, rng, fans) of nn.init
    regularizer   a function of the weight; the trainer adds its value to the loss
    trainable     False freezes the parameters of the layer and of what follows it
    generator     draws the first weights; None is the default stream, see seed.py

    Shape   x: N C H W -> y: N O P Q

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

    takes_relu = True  # see fuse.py
    padding_modes = ("zeros", "reflect", "replicate")

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
        device: str | None = None,
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
                         bias, padding_mode, device, dtype,
                         Extras(activation, normalizer, weight_init, bias_init, regularizer,
                                trainable, generator))  # fmt: skip

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """With `relu`, what a ReLU behind this layer would give; see fuse.py."""
        padding, (relu, followers) = self.padding, self.followers(relu)
        if self.padding_mode != "zeros":
            x, padding = self._padded(x), 0
        y = F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups,
                     relu=relu)  # fmt: skip
        result: Tensor = chain(followers, y)
        return result

    def _padded(self, x: Tensor) -> Tensor:
        """x with the padding that the geometry asks for, mirrored or repeated from the image."""
        sizes = bind("Conv2d", x=("N C H W", x.shape))
        window = Window.for_conv("Conv2d", (sizes["H"], sizes["W"]), self.kernel_size, self.stride,
                                 self.padding, self.dilation)  # fmt: skip
        (top, left), (bottom, right) = window.pad, window.far_pad
        far = (left, max(right, 0), top, max(bottom, 0))
        return F.pad(x, far, mode=self.padding_mode)


class ConvTranspose2d(ConvBase):
    """Transposed convolution; see F.conv_transpose2d for the formula.

    The weight is I O/G KH KW, as in PyTorch. TensorFlow's arguments are those of Conv2d; with
    padding="same" the result is stride times as large, with the values of TensorFlow's
    conv2d_transpose. `output_size` chooses among the sizes that the convolution maps back to x's.

    Shape   x: N I P Q -> y: N O H W

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[1.0] * 3] * 3]])
    >>> ConvTranspose2d(1, 2, 3, stride=2, padding="same")(x).shape
    (1, 2, 6, 6)
    >>> ConvTranspose2d(1, 2, 3, stride=2, padding=1)(x, output_size=(5, 6)).shape
    (1, 2, 5, 6)
    """

    takes_relu = True  # see fuse.py
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
        device: str | None = None,
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
                         bias, padding_mode, device, dtype,
                         Extras(activation, normalizer, weight_init, bias_init, regularizer,
                                trainable, generator))  # fmt: skip

    def forward(self, x: Tensor, output_size: Any = None, relu: bool = False) -> Tensor:
        """With `relu`, what a ReLU behind this layer would give; see fuse.py."""
        size = None if output_size is None else tuple(output_size)[-2:]
        extra, (relu, followers) = self.output_padding if size is None else 0, self.followers(relu)
        y = F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, extra,
                               self.groups, self.dilation, size, relu=relu)  # fmt: skip
        result: Tensor = chain(followers, y)
        return result

    def extra_repr(self) -> str:
        extra = "" if self.output_padding == (0, 0) else f", output_padding={self.output_padding}"
        return super().extra_repr() + extra
