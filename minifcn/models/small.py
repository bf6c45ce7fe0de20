"""small: an encoder for small data: stages of two convolutions, each at half the last one's size.

    stage k:  [max pool 2]  (conv 3x3, norm, ReLU) twice  ->  f_k: N C_k ceil(H / 2^k) ceil(W / 2^k)
    C_k = min(width 2^k, cap)

Pooling rounds up, so that an image of any size, 1 pixel too, has a feature at every stage, and
pixel (i, j) of stage k always covers image pixels from (2^k i, 2^k j): crops need no offset.

Shape   x: N C H W -> [f_0, ..., f_{depth-1}], finest first
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..shapes import ShapeError, whole

DEEPEST = 24  # stages: each covers twice as many pixels, and no image has 2^24


class SmallEncoder(nn.Module):
    """`depth` stages, the first of `width` channels; see the module's text.

    >>> encoder = SmallEncoder(width=4, depth=3)
    >>> encoder.channels, encoder.strides, encoder.radius
    ((4, 8, 16), (1, 2, 4), 14)
    """

    def __init__(
        self,
        width: int = 16,
        depth: int = 5,
        cap: int = 128,
        in_channels: int = 3,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        whole("SmallEncoder", "width", width, 1)
        if whole("SmallEncoder", "depth", depth, 1) > DEEPEST:
            raise ShapeError(f"SmallEncoder: depth is {depth}, expected at most {DEEPEST}")
        whole("SmallEncoder", "cap", cap, 1)
        self.config: dict[str, Any] = {
            "name": "small",
            "width": width,
            "depth": depth,
            "cap": cap,
            "in_channels": in_channels,
        }
        self.channels = tuple(min(width * 2**k, cap) for k in range(depth))
        self.strides = tuple(2**k for k in range(depth))
        self.stages = nn.ModuleList()
        before = in_channels
        for k, channels in enumerate(self.channels):
            self.stages.append(_stage(before, channels, k > 0, generator))
            before = channels

    @property
    def radius(self) -> int:
        """How far, in image pixels, the deepest feature may look beyond its own cell.

        Two 3x3 convolutions at stride s look 2 s further on each side; pooling looks no further
        than the cell that it fills.
        """
        return sum(2 * s for s in self.strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)  # N C_k ceil(H / 2^k) ceil(W / 2^k)
            features.append(x)
        return features


def _stage(before: int, channels: int, pool: bool, generator: Any) -> nn.Sequential:
    layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)] if pool else []
    for inputs in (before, channels):
        layers += [
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False, generator=generator),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)
