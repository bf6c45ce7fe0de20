"""fcn: a class for every pixel, from the features of any encoder.

    score      1x1 convolution: a classifier at every place of a feature, K scores each
    upsample   transposed convolution, k = 2 f, stride f, padding f/2, from bilinear weights
    skip       y = up(y) + score(finer feature): coarse says what, fine says where

`skips` says how many finer features join before the last upsampling. On an encoder of stride 32,
0, 1 and 2 skips are FCN-32s, FCN-16s and FCN-8s; they are this one class.

Sizes: a stage's size is ceil(H / s), and the transposed convolution gives exactly f times its
input, which starts at the same corner; so each result is cropped at bottom and right only, by less
than f pixels, and any image size works.

Shape   x: N C H W -> logits: N K H W
Source  Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation,
        CVPR 2015, sections 3.1 - 3.3 and 4.2; geometry without the 100-pixel padding
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..shapes import ShapeError, shown, whole


class FCN(nn.Module):
    """Scores of an encoder's features, upsampled and summed.

    `encoder(x)` gives a list of features, finest first, and has `channels` and `strides` to match;
    strides are powers of 2. `frozen` keeps the upsampling bilinear.

    >>> import minifcn as mf
    >>> from minifcn.models import SmallEncoder
    >>> net = FCN(SmallEncoder(width=4, depth=3), classes=2, skips=1)
    >>> net(mf.tensor(np.zeros((1, 3, 13, 7), np.float32))).shape
    (1, 2, 13, 7)
    """

    def __init__(
        self,
        encoder: Any,
        classes: int,
        skips: int | None = None,
        frozen: bool = False,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        classes = whole("FCN", "classes", classes, 1)
        missing = [name for name in ("channels", "strides", "radius") if not hasattr(encoder, name)]
        if missing:
            raise TypeError(
                f"FCN: encoder is {shown(encoder)} without {', '.join(missing)}, expected an "
                f"encoder such as SmallEncoder()"
            )
        deepest = len(encoder.channels) - 1
        skips = deepest if skips is None else whole("FCN", "skips", skips, 0)
        if skips > deepest:
            raise ShapeError(
                f"FCN: skips is {skips}, but the encoder has {deepest} features finer than its last"
            )
        self.config: dict[str, Any] = {
            "name": "fcn",
            "encoder": encoder.config,
            "classes": classes,
            "skips": skips,
            "frozen": frozen,
        }
        used = range(deepest, deepest - skips - 1, -1)  # coarse to fine
        self.skips = skips
        self.stride = encoder.strides[-1]
        # Every upsampling sees one cell further, at its coarse side.
        self.radius = encoder.radius + sum(encoder.strides[k] for k in used)
        self.encoder = encoder
        self.scores = nn.ModuleList()
        self.ups = nn.ModuleList()
        for k in used:
            self.scores.append(nn.Conv2d(encoder.channels[k], classes, 1, generator=generator))
        strides = [encoder.strides[k] for k in used] + [1]
        for coarse, fine in zip(strides, strides[1:], strict=False):
            self.ups.append(_upsampling(classes, coarse // fine, frozen))

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x)[::-1]  # coarse to fine
        y = self.scores[0](features[0])  # N K P Q
        for step in range(self.skips):
            finer = features[step + 1]
            y = _crop(self.ups[step](y), finer) + self.scores[step + 1](finer)
        return _crop(self.ups[self.skips](y), x)  # N K H W


def _upsampling(classes: int, factor: int, frozen: bool) -> nn.Module:
    """K maps, `factor` times as high and wide; each class starts as bilinear interpolation."""
    if factor == 1:
        return nn.Identity()
    return nn.ConvTranspose2d(
        classes,
        classes,
        2 * factor,
        stride=factor,
        padding=factor // 2,
        bias=False,
        weight_init=nn.init.bilinear,
        trainable=not frozen,
    )


def _crop(y: Tensor, like: Tensor) -> Tensor:
    """The first rows and columns of y, as many as `like` has."""
    H, W = like.shape[2:]
    return y if y.shape[2:] == (H, W) else y[:, :, :H, :W]
