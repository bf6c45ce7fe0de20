"""resnet: ResNet-18, 34 and 50: each block adds a correction to what it gets.

    block        y = relu(x + correction(x));  x goes through a 1x1 convolution where sizes change
    basic        conv 3x3, norm, relu, conv 3x3, norm                        ResNet-18, 34
    bottleneck   conv 1x1 to C, norm, relu, conv 3x3, norm, relu, conv 1x1 to 4C, norm   ResNet-50
    stem         conv 7x7/2 64, norm, relu, max pool 3x3/2                   stride 4
    layers 1-4   C = 64, 128, 256, 512 in several blocks; the first block of layers 2-4 has stride 2

All paddings are symmetric, so pixel i of a feature of stride s has its middle at image pixel s i.

Dilation in place of stride ("a trous"): `dilate` says for layers 2, 3 and 4 whether they keep the
size. All later convolutions then look twice as far apart, so that every s-th pixel of the finer
feature is exactly that of the strided network.

Names   of parameters: torchvision's resnet18, 34, 50 (which puts the stride of a bottleneck on its
        3x3 convolution)
Source  He et al., Deep Residual Learning for Image Recognition, 2015, table 1; Chen et al.,
        Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs, 2014,
        section 3.1 (dilation).
        Parameters at K = 1000: 11,689,512; 21,797,672; 25,557,032
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..nn import init
from ..nn.fuse import chain
from ..shapes import flag, shown, whole
from .coordinates import Grid
from .encoder import Encoder, at_least

Generator = np.random.Generator | None

# depth -> blocks in each layer, whether they are bottlenecks
DEPTHS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}
relu = nn.ReLU()  # has no parameters; shared by all, so that no block needs a name for it
init_conv = partial(init.he_normal, mode="fan_out")


class Block(nn.Module):
    """x + correction(x).   Shape   x: N I H W -> y: N `expansion` C H/s W/s

    `dilations`: of the convolution with the stride, and of one behind it.
    """

    expansion: ClassVar[int]
    downsample: nn.Sequential | None

    def _shortcut(self, inputs: int, outputs: int, stride: int, generator: Generator) -> None:
        """A 1x1 convolution, where x has another size than the correction."""
        if stride == 1 and inputs == outputs:
            self.downsample = None
            return
        conv = _conv(inputs, outputs, 1, stride, generator=generator)
        self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def steps(self) -> list[Any]:
        """The correction's layers in turn."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = chain(self.steps(), x)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Basic(Block):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(
        self, inputs: int, C: int, stride: int, dilations: Sequence[int], generator: Generator
    ) -> None:
        first, second = dilations
        self.conv1 = _conv(inputs, C, 3, stride, first, generator)
        self.bn1 = nn.BatchNorm2d(C)
        self.conv2 = _conv(C, C, 3, 1, second, generator)
        self.bn2 = nn.BatchNorm2d(C)
        self._shortcut(inputs, C, stride, generator)

    def steps(self) -> list[Any]:
        return [self.conv1, self.bn1, relu, self.conv2, self.bn2]


class Bottleneck(Block):
    """A 3x3 convolution among few channels, between two 1x1."""

    expansion = 4

    def __init__(
        self, inputs: int, C: int, stride: int, dilations: Sequence[int], generator: Generator
    ) -> None:
        self.conv1 = _conv(inputs, C, 1, generator=generator)
        self.bn1 = nn.BatchNorm2d(C)
        self.conv2 = _conv(C, C, 3, stride, dilations[0], generator)
        self.bn2 = nn.BatchNorm2d(C)
        self.conv3 = _conv(C, 4 * C, 1, generator=generator)
        self.bn3 = nn.BatchNorm2d(4 * C)
        self._shortcut(inputs, 4 * C, stride, generator)

    def steps(self) -> list[Any]:
        return [self.conv1, self.bn1, relu, self.conv2, self.bn2, relu, self.conv3, self.bn3]


class ResNetEncoder(Encoder):
    """What the stem's first half and the four layers give, at strides 2, 4, 8, 16 and 32.

    `width` is C of layer 1, and all others go with it; the networks of the paper have 64.

    Shape   x: N C H W -> five features

    >>> encoder = ResNetEncoder(18, dilate=(False, True, True))
    >>> encoder.channels, encoder.strides, encoder.offsets
    ((64, 64, 128, 256, 512), (2, 4, 8, 8, 8), (0, 0, 0, 0, 0))
    """

    def __init__(
        self,
        depth: int,
        dilate: Sequence[bool] = (False, False, False),
        in_channels: int = 3,
        width: int = 64,
        generator: Generator = None,
    ) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"resnet: depth is {shown(depth)}, expected 18, 34 or 50")
        self.name = name = f"resnet{depth}"
        if not isinstance(dilate, (tuple, list)) or len(dilate) != 3:
            raise ValueError(
                f"{name}: dilate is {shown(dilate)}, expected three flags, for layers 2, 3 and 4"
            )
        dilate = [flag(name, f"dilate[{k}]", value) for k, value in enumerate(dilate)]
        width = whole(name, "width", width, 1)
        self.config = {
            "name": name,
            "dilate": dilate,
            "in_channels": in_channels,
            "width": width,
        }
        blocks, bottleneck = DEPTHS[depth]
        kind = Bottleneck if bottleneck else Basic
        self.conv1 = _conv(in_channels, width, 7, 2, generator=generator)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs, spread, widths = width, 1, [width * 2**k for k in range(4)]
        layers = []
        for C, count, keep in zip(widths, blocks, (None, *dilate), strict=True):
            stride, before = (1 if keep is None else 2), spread
            if keep:
                stride, spread = 1, 2 * spread
            layer = nn.Sequential(kind(inputs, C, stride, (before, spread), generator))
            inputs = C * kind.expansion
            for _ in range(1, count):
                layer.append(kind(inputs, C, 1, (spread, spread), generator))
            layers.append(layer)
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.lies([width, *(C * kind.expansion for C in widths)], self._grids(layers))

    def _grids(self, layers: list[nn.Sequential]) -> list[Grid]:
        grid = Grid().follow(self.conv1)
        grids = [grid]
        grid = grid.follow(self.maxpool)
        for layer in layers:
            for block in layer:
                convs = [part for part in block.children() if isinstance(part, nn.Conv2d)]
                grid = grid.follow(convs)
            grids.append(grid)
        return grids

    def forward(self, x: Tensor) -> list[Tensor]:
        at_least(self.name, x, 1)
        features = [chain([self.conv1, self.bn1, relu], x)]
        x = self.maxpool(features[0])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class ResNet(ResNetEncoder):
    """The classifier: the mean of the last feature over its places, then a linear layer.

    Shape   x: N C H W -> N K

    >>> import minifcn as mf
    >>> net = ResNet(18, classes=10).eval()
    >>> net(mf.tensor(np.zeros((1, 3, 33, 65), np.float32))).shape
    (1, 10)
    """

    def __init__(
        self,
        depth: int,
        classes: int = 1000,
        dilate: Sequence[bool] = (False, False, False),
        in_channels: int = 3,
        width: int = 64,
        generator: Generator = None,
    ) -> None:
        super().__init__(depth, dilate, in_channels, width, generator)
        self.classes = whole(self.name, "classes", classes, 1)
        self.config["classes"] = classes
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.channels[-1], classes, generator=generator)

    def features(self, x: Tensor) -> Tensor:
        """The last feature.   Shape   x: N C H W -> N C h w"""
        last: Tensor = super().forward(x)[-1]
        return last

    def forward(self, x: Tensor) -> Any:
        return self.fc(F.flatten(self.avgpool(self.features(x)), 1))  # N K


def _conv(
    inputs: int,
    outputs: int,
    size: int,
    stride: int = 1,
    dilation: int = 1,
    generator: Generator = None,
) -> nn.Conv2d:
    """No bias, as a norm follows; padded so that stride 1 keeps the size."""
    return nn.Conv2d(inputs, outputs, size, stride, dilation * (size - 1) // 2, dilation,
                     bias=False, weight_init=init_conv, generator=generator)  # fmt: skip


resnet18, resnet34, resnet50 = (partial(ResNet, depth) for depth in DEPTHS)
encoder18, encoder34, encoder50 = (partial(ResNetEncoder, depth) for depth in DEPTHS)
