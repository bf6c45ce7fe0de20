"""squeezenet: SqueezeNet 1.1, a classifier that is fully convolutional up to its last mean.

    fire       s = relu(squeeze 1x1 (x));  y = concat(relu(expand 1x1 (s)), relu(expand 3x3 (s)))
    features   conv 3x3/2 64, pool, fire 2, 3, pool, fire 4, 5, pool, fire 6 - 9: N 512 h w
    class map  relu(conv 1x1 to K): what is seen at each place, K scores
    classes    mean of the class map over its places

Nothing but the fire modules' 3x3 is padded, and pools (3x3/2) round up, so that pixel i of the last
feature has its middle at image pixel 16 i + 15. Images need 17 x 17 pixels.

Names   of parameters: torchvision's squeezenet1_1
Source  Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016;
        its version 1.1 by the authors (2.4 times less work); 1,235,496 parameters for K = 1000
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..nn import init
from ..nn.fuse import chain
from ..shapes import whole
from .coordinates import Grid
from .encoder import Encoder, at_least, child

Generator = np.random.Generator | None

SMALLEST = 17  # pixels: below, a pool has nothing left to look at
ENDS = (2, 5, 8, 13)  # of the features at strides 2, 4, 8 and 16, in the list of layers
POOL = "pool"
# squeeze, expand (each of the two); a pool before fires 2, 4 and 6
FIRES: tuple[Any, ...] = (
    POOL, (16, 64), (16, 64), POOL, (32, 128), (32, 128),
    POOL, (48, 192), (48, 192), (64, 256), (64, 256),
)  # fmt: skip


class Fire(nn.Module):
    """Few channels, then many: a 1x1 convolution feeds a 1x1 and a 3x3 one, side by side.

    Shape   x: N I H W -> y: N 2E H W
    """

    def __init__(self, inputs: int, squeeze: int, expand: int, generator: Generator = None) -> None:
        conv = partial(_conv, generator=generator)
        self.squeeze = conv(inputs, squeeze, 1)
        self.expand1x1 = conv(squeeze, expand, 1)
        self.expand3x3 = conv(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        s = self.squeeze(x)  # N S H W
        return F.cat([self.expand1x1(s), self.expand3x3(s)], 1)  # N 2E H W


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 for `classes` classes; `dropout` acts on the features, in training only.

    Shape   x: N C H W, H and W at least 17 -> N K

    >>> import minifcn as mf
    >>> net = SqueezeNet(classes=10).eval()
    >>> x = mf.tensor(np.zeros((1, 3, 35, 50), np.float32))
    >>> net(x).shape, net.class_map(x).shape
    ((1, 10), (1, 10, 2, 3))
    """

    def __init__(
        self,
        classes: int = 1000,
        dropout: float = 0.5,
        in_channels: int = 3,
        generator: Generator = None,
    ) -> None:
        self.classes = whole("squeezenet1_1", "classes", classes, 1)
        self.config: dict[str, Any] = {
            "name": "squeezenet1_1",
            "classes": classes,
            "dropout": dropout,
            "in_channels": in_channels,
        }
        self.features = _features(in_channels, generator)
        self.grid = _grids(self.features)[-1]  # where the cells of the class map lie
        self.classifier = nn.Sequential(
            nn.Dropout(dropout, generator=child(generator)),
            nn.Conv2d(512, classes, 1, weight_init=partial(init.normal, std=0.01),
                      bias_init=init.zeros, generator=generator),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(self.classifier[3](self.class_map(x)), 1)  # N K

    def class_map(self, x: Tensor) -> Tensor:
        """The scores at every place.   Shape   x: N C H W -> N K h w"""
        at_least("squeezenet1_1", x, SMALLEST)
        y: Tensor = chain(list(self.classifier)[:3], self.features(x))
        return y


class SqueezeNetEncoder(Encoder):
    """The features of SqueezeNet 1.1 at strides 2, 4, 8 and 16: after conv1 and fires 3, 5 and 9.

    Smaller images than 17 x 17 get zeros at bottom and right.

    Shape   x: N C H W -> [N 64 .., N 128 .., N 256 .., N 512 ..]

    >>> encoder = SqueezeNetEncoder()
    >>> encoder.strides, encoder.offsets, encoder.radius
    ((2, 4, 8, 16), (1, 3, 7, 15), 103)
    """

    def __init__(self, in_channels: int = 3, generator: Generator = None) -> None:
        self.config = {"name": "squeezenet1_1", "in_channels": in_channels}
        self.features = _features(in_channels, generator)
        self.lies((64, 128, 256, 512), _grids(self.features))

    def forward(self, x: Tensor) -> list[Tensor]:
        at_least("squeezenet1_1", x, 1)
        H, W = x.shape[2:]
        if min(H, W) < SMALLEST:
            x = F.pad(x, (0, max(SMALLEST - W, 0), 0, max(SMALLEST - H, 0)))
        layers, features = list(self.features), []
        for first, last in zip((0, *ENDS), ENDS, strict=False):
            x = chain(layers[first:last], x)
            features.append(x)
        return features


def _features(in_channels: int, generator: Generator) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, 64, 3, stride=2, weight_init=init.he_uniform,
                  bias_init=init.zeros, generator=generator),
        nn.ReLU(),
    ]  # fmt: skip
    before = 64
    for fire in FIRES:
        if fire == POOL:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            continue
        squeeze, expand = fire
        layers.append(Fire(before, squeeze, expand, generator))
        before = 2 * expand
    return nn.Sequential(*layers)


def _grids(features: nn.Sequential) -> list[Grid]:
    """Where the cells of each feature lie."""
    wide = [layer.expand3x3 if isinstance(layer, Fire) else layer for layer in features]
    return [Grid().follow(wide[:end]) for end in ENDS]


def _conv(inputs: int, outputs: int, size: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, activation="relu", weight_init=init.he_uniform,
                     bias_init=init.zeros, **options)  # fmt: skip
