"""fcn: a class for every pixel, from the features of any encoder.

    score      1x1 convolution: a classifier at every place of a feature, K scores each
    upsample   transposed convolution, factor f, from bilinear weights
    skip       y = up(y) + score(finer feature): coarse says what, fine says where

`skips` says how many finer features join before the last upsampling. On an encoder of stride 32,
0, 1 and 2 skips are FCN-32s, FCN-16s and FCN-8s; they are this one class.

Geometry: the encoder says around which image pixel the first cell of each feature lies. With D the
distance from the first fine cell to the first coarse one, in fine cells,

    D = (b_coarse - b_fine) / s_fine      k = 2f - 1 if D is whole, 2f if it is k + 1/2
    f = s_coarse / s_fine                 p = (k - 1)/2 - D

puts every coarse cell where it belongs: where cells fill their part of the image (D = (f - 1)/2),
that is k = 2f, p = f/2; where they lie on its first pixel (ResNet, D = 0), k = 2f - 1, p = f - 1;
without any padding (SqueezeNet, D = f - 1), k = 2f - 1, p = 0. So each result is cropped at bottom
and right only, and any image size works. (An even number of rows or columns leaves the last one
unseen by an unpadded stride of 2: it gets the logits of its neighbour.)

Shape   x: N C H W -> logits: N K H W
Source  Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation,
        CVPR 2015, sections 3.1 - 3.3 and 4.2; for the geometry of 2015 see fcn_vgg.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..shapes import ShapeError, shown, whole
from .decoder import enlarging, fitted

Lattice = tuple[int, float]  # s, b: cell i lies around image pixel s i + b


class FCN(nn.Module):
    """Scores of an encoder's features, upsampled and summed.

    `encoder(x)` gives a list of features, finest first, and knows about them what encoder.py says;
    without `offsets`, cells fill their part of the image. `frozen` keeps the upsampling bilinear.

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
        if hasattr(encoder, "classes"):
            raise TypeError(
                f"FCN: encoder is {type(encoder).__name__}, a classifier, expected an encoder such "
                f"as {type(encoder).__name__}Encoder, into which its weights can be loaded"
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
        # Every upsampling sees one cell further, at its coarse side, as 0 <= D <= f - 1.
        self.radius = encoder.radius + sum(encoder.strides[k] for k in used)
        self.encoder = encoder
        self.classes = classes
        self.scores = nn.ModuleList()
        self.ups = nn.ModuleList()
        for k in used:
            self.scores.append(nn.Conv2d(encoder.channels[k], classes, 1, generator=generator))
        lattices = [*_lattices(encoder, used), (1, 0.0)]  # the image's own at last
        for coarse, fine in zip(lattices, lattices[1:], strict=False):
            self.ups.append(_upsampling(classes, coarse, fine, frozen))

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x)[::-1]  # coarse to fine
        y = self.scores[0](features[0])  # N K P Q
        for step in range(self.skips):
            finer = features[step + 1]
            y = fitted(self.ups[step](y), finer.shape[2:]) + self.scores[step + 1](finer)
        return fitted(self.ups[self.skips](y), x.shape[2:])  # N K H W


def _lattices(encoder: Any, used: range) -> list[Lattice]:
    """(stride, offset) of the features in use; see encoder.py."""
    offsets = getattr(encoder, "offsets", [(s - 1) / 2 for s in encoder.strides])
    return [(encoder.strides[k], offsets[k]) for k in used]


def _upsampling(classes: int, coarse: Lattice, fine: Lattice, frozen: bool) -> nn.Module:
    """K maps, from a coarse lattice to a finer one; each class starts as bilinear interpolation."""
    f, rest = divmod(coarse[0], fine[0])
    D = (coarse[1] - fine[1]) / fine[0]
    if rest or 2 * D % 1 or not 0 <= D <= f - 1:
        raise ShapeError(
            f"FCN: a cell every {coarse[0]} pixels from pixel {coarse[1]:g} does not fit one every "
            f"{fine[0]} from {fine[1]:g}, expected D = {D:g} in 0, 1/2, .. f - 1"
        )
    if f == 1:
        return nn.Identity()
    return enlarging(classes, f, D, frozen)
