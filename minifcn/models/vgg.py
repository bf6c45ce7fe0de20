"""vgg: VGG16, thirteen 3x3 convolutions in five stages, each at half the last one's size.

    stage k     (conv 3x3, ReLU) two or three times, C_k = 64, 128, 256, 512, 512; max pool 2
    classifier  mean over 7x7 fields, then flatten, three linear layers: 25088, 4096, 4096, K

For 224 x 224 pixels the fifth pooling gives 7 x 7, and the mean does nothing.

Names   of parameters: torchvision's vgg16 (configuration D, without batch normalisation)
Source  Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
        2014, table 1, column D; 138,357,544 parameters for K = 1000
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..nn import init
from ..nn.fuse import chain
from ..shapes import flag, whole
from .coordinates import Grid
from .encoder import Encoder, at_least, child

Generator = np.random.Generator | None

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
SMALLEST = 32  # pixels, where pools round down


class VGG16(nn.Module):
    """VGG16 for `classes` classes; `dropout` acts between the linear layers, in training only.

    `width` is the channels of the first stage, and all others go with it; VGG16 itself has 64.

    Shape   x: N C H W, H and W at least 32 -> N K
    """

    def __init__(
        self,
        classes: int = 1000,
        dropout: float = 0.5,
        in_channels: int = 3,
        width: int = 64,
        generator: Generator = None,
    ) -> None:
        width = whole("vgg16", "width", width, 1)
        self.classes = whole("vgg16", "classes", classes, 1)
        self.config: dict[str, Any] = {
            "name": "vgg16",
            "classes": classes,
            "dropout": dropout,
            "in_channels": in_channels,
            "width": width,
        }
        self.features = vgg16_layers(in_channels, generator=generator, width=width)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        sizes = (8 * width * 7 * 7, 64 * width, 64 * width, classes)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            if layers:
                layers += [nn.ReLU(), nn.Dropout(dropout, generator=child(generator))]
            layers.append(nn.Linear(inputs, outputs, weight_init=init.he_uniform,
                                    bias_init=init.zeros, generator=generator))  # fmt: skip
        self.classifier = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        at_least("vgg16", x, SMALLEST)
        y: Tensor = self.classifier(F.flatten(self.avgpool(self.features(x)), 1))  # N K
        return y


class VGG16Encoder(Encoder):
    """What each of VGG16's five poolings gives, at strides 2, 4, 8, 16 and 32.

    `ceil_mode` lets the pools round up, so that no pixel of the image is left out and any size
    works; without it they round down, as in the classifier. Both agree where 32 divides the size.

    Shape   x: N C H W -> [N 64 .., N 128 .., N 256 .., N 512 .., N 512 ..]

    >>> encoder = VGG16Encoder()
    >>> encoder.strides, encoder.offsets, encoder.radius
    ((2, 4, 8, 16, 32), (0.5, 1.5, 3.5, 7.5, 15.5), 90)
    """

    def __init__(
        self,
        ceil_mode: bool = True,
        in_channels: int = 3,
        width: int = 64,
        generator: Generator = None,
    ) -> None:
        self.ceil_mode = flag("vgg16", "ceil_mode", ceil_mode)
        self.config = {
            "name": "vgg16",
            "ceil_mode": ceil_mode,
            "in_channels": in_channels,
            "width": whole("vgg16", "width", width, 1),
        }
        self.features = vgg16_layers(in_channels, ceil_mode, generator, width)
        layers = list(self.features)
        self.ends = [k + 1 for k, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        grids = [Grid().follow(layers[:end]) for end in self.ends]
        self.lies([width * stage[-1] // 64 for stage in STAGES], grids)

    def forward(self, x: Tensor) -> list[Tensor]:
        at_least("vgg16", x, 1 if self.ceil_mode else SMALLEST)
        layers, features = list(self.features), []
        for first, last in zip([0, *self.ends], self.ends, strict=False):
            x = chain(layers[first:last], x)  # N C_k ceil(H / 2^k) ceil(W / 2^k)
            features.append(x)
        return features


def vgg16_layers(
    in_channels: int = 3,
    ceil_mode: bool = False,
    generator: Generator = None,
    width: int = 64,
    first_padding: int = 1,
) -> nn.Sequential:
    """The five stages as one Sequential, numbered as torchvision's `features`.

    `width` channels in the first stage instead of 64, and so on; `first_padding` of conv1_1.
    """
    layers: list[nn.Module] = []
    before = in_channels
    for stage in STAGES:
        for channels in (width * wide // 64 for wide in stage):
            padding = 1 if layers else first_padding
            conv = nn.Conv2d(before, channels, 3, padding=padding, weight_init=init.he_uniform,
                             bias_init=init.zeros, generator=generator)  # fmt: skip
            layers += [conv, nn.ReLU()]
            before = channels
        layers.append(nn.MaxPool2d(2, ceil_mode=ceil_mode))
    return nn.Sequential(*layers)
