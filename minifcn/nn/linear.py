"""linear: the fully connected layer, and the convolution that it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core import Tensor
from ..modes import mode
from ..shapes import Pair, flag, pair, whole
from . import init
from .conv import Conv2d
from .module import Module
from .parameter import Parameter, first_values, floating_dtype
from .seed import stream


class Linear(Module):
    """y = x weight^T + bias.

    Shape   x: ... I, weight: O I, bias: O -> y: ... O

    >>> import minifcn as mf
    >>> Linear(3, 2)(mf.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        weight_init: init.Init | None = None,
        bias_init: init.Init | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.in_features = whole("Linear", "in_features", in_features, 1)
        self.out_features = whole("Linear", "out_features", out_features, 1)
        shape = (self.out_features, self.in_features)
        rng, fans = stream(generator), init.fans(shape)
        dtype = floating_dtype("Linear", dtype)
        make = init.chosen(weight_init)
        self.weight = first_values("Linear: weight_init", make, shape, rng, fans, dtype)
        self.bias = None
        if flag("Linear", "bias", bias):
            make = init.chosen(bias_init)
            self.bias = first_values("Linear: bias_init", make, shape[:1], rng, fans, dtype)
        elif bias_init is not None:
            raise ValueError("Linear: bias_init is given, but bias is False; expected bias=True")
        self.to(device or mode.device)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def to_conv1x1(self, image_size: int | Pair | None = None, order: str = "CHW") -> Conv2d:
        """The convolution with the same answers, which also takes larger images.

        Without `image_size` the features are channels: a 1x1 convolution. With image_size = (H, W)
        they are a flattened image, read as `order` says: "CHW" (PyTorch's flatten) or "HWC"
        (TensorFlow's); the kernel is then H x W and gives one pixel for an image of that size.

        Shape   weight: O I -> O C H W, I = C H W
        """
        if order not in ("CHW", "HWC"):
            raise ValueError(f"to_conv1x1: order is {order!r}, expected 'CHW' or 'HWC'")
        H, W = (1, 1) if image_size is None else pair("to_conv1x1", "image_size", image_size, 1)
        O, I = self.out_features, self.in_features
        if I % (H * W):
            raise ValueError(
                f"to_conv1x1: in_features is {I}, expected a multiple of H W = {H} x {W} = {H * W}"
            )
        C = I // (H * W)
        w = self.weight.detach()
        if order == "CHW":
            w = w.reshape(O, C, H, W)
        else:
            w = w.reshape(O, H, W, C).permute(0, 3, 1, 2)  # O C H W
        has_bias = self.bias is not None
        conv = Conv2d(C, O, (H, W), bias=has_bias, dtype=w.dtype, device=w.device,
                      weight_init=init.zeros,
                      bias_init=init.zeros if has_bias else None)  # fmt: skip
        conv.load_state_dict({"weight": w, **({"bias": self.bias} if has_bias else {})})
        return conv

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"
