"""fcn_resnet: FCN on a dilated ResNet-50, its scores at stride 8 enlarged by a bilinear resize.

    backbone    ResNet-50, layers 3 and 4 dilated: N 2048 ceil(H/8) ceil(W/8)
    classifier  conv 3x3 to a quarter of the channels, norm, relu, dropout, conv 1x1 to K
    auxiliary   the same on layer 3, for a second loss in training
    logits      bilinear resize, align_corners=False

resize="image"    to H W, as torchvision does: by H / ceil(H/8), which is 8 only where 8 divides H.
                  Elsewhere a tile, of another height, is resized by another factor than the image.
resize="cells"    by 8, and cut to H W: the same where 8 divides H and W, and tiles of an image of
                  any size give the values of the whole.

Names   of parameters: torchvision's fcn_resnet50
Source  Long, Shelhamer and Darrell 2015, section 3; the layout of torchvision.models.segmentation;
        35,322,218 parameters for K = 21 with the auxiliary classifier
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..shapes import flag, one_of, whole
from .coordinates import Grid, Layer
from .encoder import child
from .resnet import ResNetEncoder, init_conv

Generator = np.random.Generator | None


class FCNHead(nn.Sequential):
    """Scores of a feature.   Shape   x: N C h w -> N K h w"""

    def __init__(self, C: int, classes: int, generator: Generator = None) -> None:
        super().__init__(
            nn.Conv2d(C, C // 4, 3, padding=1, bias=False, weight_init=init_conv,
                      generator=generator),
            nn.BatchNorm2d(C // 4),
            nn.ReLU(),
            nn.Dropout(0.1, generator=child(generator)),
            nn.Conv2d(C // 4, classes, 1, generator=generator),
        )  # fmt: skip


class FCNResNet50(nn.Module):
    """torchvision's fcn_resnet50; `aux` adds the auxiliary classifier; `resize`: see above.

    Shape   x: N C H W -> logits: N K H W

    >>> net = FCNResNet50(classes=2)
    >>> net.stride, net.radius
    (8, 229)
    """

    aux_classifier: FCNHead | None

    def __init__(
        self,
        classes: int = 21,
        aux: bool = False,
        in_channels: int = 3,
        width: int = 64,
        resize: str = "image",
        generator: Generator = None,
    ) -> None:
        self.classes = whole("fcn_resnet50", "classes", classes, 1)
        self.config: dict[str, Any] = {
            "name": "fcn_resnet50",
            "classes": classes,
            "aux": flag("fcn_resnet50", "aux", aux),
            "in_channels": in_channels,
            "width": width,
            "resize": resize,
        }
        self.resize = one_of("fcn_resnet50", "resize", resize, ("image", "cells"))
        self.backbone = ResNetEncoder(50, (False, True, True), in_channels, width, generator)
        self.stride = self.backbone.strides[-1]
        head = Grid().follow(Layer("head", 3, padding=1))
        # The head sees a cell further, and so does the resize.
        self.radius = self.backbone.radius + self.stride * (head.reach + 1)
        middle, last = self.backbone.channels[-2:]
        self.classifier = FCNHead(last, classes, generator)
        self.aux_classifier = FCNHead(middle, classes, generator) if aux else None

    def forward(self, x: Tensor) -> Tensor:
        return self._enlarged(self.classifier(self.backbone(x)[-1]), x)

    def with_auxiliary(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both classifiers' logits, for a loss  l(logits) + l(auxiliary) / 2.

        Shape   x: N C H W -> N K H W, N K H W
        """
        if self.aux_classifier is None:
            raise ValueError(
                "fcn_resnet50: there is no auxiliary classifier; make it with aux=True"
            )
        *_, middle, last = self.backbone(x)
        auxiliary = self.aux_classifier(middle)
        return self._enlarged(self.classifier(last), x), self._enlarged(auxiliary, x)

    def _enlarged(self, scores: Tensor, x: Tensor) -> Tensor:
        (h, w), (H, W) = scores.shape[2:], x.shape[2:]
        size = (H, W) if self.resize == "image" else (self.stride * h, self.stride * w)
        y = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        return y if size == (H, W) else y[:, :, :H, :W]  # N K H W
