r"""fcn_vgg: FCN-32s, 16s and 8s on VGG16, as published in 2015 and with no crop at all.

    pool5 -> classifier.0 (fc6, 7x7) -> classifier.3 (fc7, 1x1) -> score_fr -> upscore2
    pool4 -> score_pool4 -> cropped, added -> upscore_pool4
    pool3 -> score_pool3 -> cropped, added -> upscore8 -> cropped: one score per class and pixel

                      conv1_1    fc6      upsampling by f      crops (32s; 16s; 8s)
    geometry "2015"   pad 100    pad 0    k 2f, s f, pad 0     19; 5, 27; 5, 9, 31
    geometry "zero"   pad 1      pad 3    k 2f, s f, pad f/2   0; 0, 0; 0, 0, 0

No crop is written down: the coordinates of the two branches say what it is (coordinates.py). All
poolings round up, as Caffe's do. The two geometries compute the same inside the image if "zero" is
shown it 3 pixels further down and right: the cells of "2015" begin 99 pixels before the image, and
99 = 3 (mod 32); docs/fcn.md tells it at length.

Shape   x: N C H W -> logits: N K H W, any H, W >= 1
Names   torchvision's for VGG16 (features.0 ... features.28, classifier.0, classifier.3, which are
        convolutions here), the authors' for what they added (score_fr, upscore2, ...); weights of
        the classifier, or of the coarser net, come in by models.transplant
Source  Simonyan and Zisserman, 2014; Long, Shelhamer and Darrell, CVPR 2015; "at once" (all skips
        trained together, pool4 scaled by 0.01, pool3 by 0.0001): the authors' later networks, PAMI
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..nn.fuse import chain
from ..shapes import Pair, ShapeError, flag, one_of, whole
from .coordinates import Grid, crop_offset
from .encoder import child
from .vgg import vgg16_layers

GEOMETRIES = ("2015", "zero")
SCALES = (0.01, 0.0001)  # of pool4 and pool3, when trained at once
UPSAMPLINGS = (("upscore",), ("upscore2", "upscore16"), ("upscore2", "upscore_pool4", "upscore8"))


class FCNVGG16(nn.Module):
    """`skips` 0, 1, 2: FCN-32s, 16s, 8s. `frozen` keeps the upsampling bilinear, as the authors do.

    `width` channels in the first block (VGG16: 64), at most 8 `width`; `hidden` in fc6 and fc7. The
    score layers start at zero, so that a new skip changes nothing until it has learnt something.

    >>> import minifcn as mf
    >>> net = FCNVGG16(classes=2, width=2, hidden=8).eval()
    >>> net.crops
    ((5, 5), (9, 9), (31, 31))
    >>> net(mf.tensor(np.zeros((1, 3, 37, 5), np.float32))).shape
    (1, 2, 37, 5)
    """

    def __init__(
        self,
        classes: int = 21,
        skips: int = 2,
        geometry: str = "2015",
        at_once: bool = False,
        frozen: bool = True,
        width: int = 64,
        hidden: int | None = None,
        dropout: float = 0.5,
        in_channels: int = 3,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        skips = whole("FCNVGG16", "skips", skips, 0)
        if skips > 2:
            raise ShapeError(f"FCNVGG16: skips is {skips}, expected 0, 1 or 2 (32s, 16s, 8s)")
        one_of("FCNVGG16", "geometry", geometry, GEOMETRIES)
        width = whole("FCNVGG16", "width", width, 1)
        hidden = 64 * width if hidden is None else whole("FCNVGG16", "hidden", hidden, 1)
        self.config: dict[str, Any] = {
            "name": "fcn_vgg16",
            "classes": whole("FCNVGG16", "classes", classes, 1),
            "skips": skips,
            "geometry": geometry,
            "at_once": flag("FCNVGG16", "at_once", at_once),
            "frozen": flag("FCNVGG16", "frozen", frozen),
            "width": width,
            "hidden": hidden,
            "dropout": dropout,
            "in_channels": in_channels,
        }
        self.classes, self.skips = classes, skips
        self.scales = SCALES if at_once else (1.0, 1.0)
        zero = geometry == "zero"
        pad = 1 if zero else 100
        self.features = vgg16_layers(in_channels, True, generator, width, pad)
        self.classifier = _classifier(8 * width, hidden, 3 if zero else 0, dropout, generator)
        self.score_fr = _score(hidden, classes)
        if skips > 0:
            self.score_pool4 = _score(8 * width, classes)
        if skips > 1:
            self.score_pool3 = _score(4 * width, classes)
        self.upsamplings = UPSAMPLINGS[skips]
        for k, name in enumerate(self.upsamplings):
            last = k == skips
            setattr(self, name, _upsampling(classes, 32 >> k if last else 2, zero, frozen))
        self.crops, grid = self._derive()
        self.stride, self.radius = 32, grid.reach

    def _derive(self) -> tuple[tuple[Pair, ...], Grid]:
        """What to crop from pool4's score, from pool3's and from the last map; and what it sees."""
        pools: list[Grid] = []
        grid = Grid()
        for layers in self._blocks():
            grid = grid.follow(layers)
            pools.append(grid)
        grid = grid.follow([self.classifier, self.score_fr])
        crops = []
        for k, name in enumerate(self.upsamplings):
            grid = grid.follow(getattr(self, name))
            if k < self.skips:
                finer = pools[3 - k]
                crops.append(crop_offset(finer, grid, (f"pool{4 - k}", name)))
                grid = grid.joined(finer.cropped(crops[-1]))
        crops.append(crop_offset(grid, Grid(), (self.upsamplings[-1], "the image")))
        return tuple(crops), grid.cropped(crops[-1])

    def _blocks(self) -> list[list[nn.Module]]:
        """The layers of `features` up to each pooling."""
        blocks: list[list[nn.Module]] = [[]]
        for layer in self.features:
            blocks[-1].append(layer)
            if isinstance(layer, nn.MaxPool2d):
                blocks.append([])
        return blocks[:-1]

    def forward(self, x: Tensor) -> Tensor:
        pools, y = {}, x
        for k, layers in enumerate(self._blocks()):
            y = chain(layers, y)  # N C H/2 W/2
            if k >= 4 - self.skips:
                pools[k] = y
        y = self.score_fr(self.classifier(y))  # N K P Q
        for k, name in enumerate(self.upsamplings[:-1]):
            y = getattr(self, name)(y)  # N K 2P 2Q
            finer = pools[3 - k]
            if self.scales[k] != 1:
                finer = finer * self.scales[k]
            score = self.score_pool3 if k else self.score_pool4
            y = _met(score(finer), self.crops[k], y)
        y = getattr(self, self.upsamplings[-1])(y)
        return _cut(y, self.crops[-1], x.shape[2:])  # N K H W


def _classifier(C: int, hidden: int, pad: int, p: float, generator: Any) -> nn.Sequential:
    """fc6 and fc7 as convolutions, under the numbers that torchvision's linear layers have."""
    return nn.Sequential(
        _conv(C, hidden, 7, pad, generator),
        nn.ReLU(),
        nn.Dropout(p, generator=child(generator)),
        _conv(hidden, hidden, 1, 0, generator),
        nn.ReLU(),
        nn.Dropout(p, generator=child(generator)),
    )


def _conv(C: int, O: int, k: int, pad: int, generator: Any) -> nn.Conv2d:
    he, zeros = nn.init.he_uniform, nn.init.zeros
    return nn.Conv2d(C, O, k, padding=pad, weight_init=he, bias_init=zeros, generator=generator)


def _score(C: int, classes: int) -> nn.Conv2d:
    """A classifier at every cell, zero at first."""
    return nn.Conv2d(C, classes, 1, weight_init=nn.init.zeros, bias_init=nn.init.zeros)


def _upsampling(classes: int, factor: int, padded: bool, frozen: bool) -> nn.ConvTranspose2d:
    """K maps, `factor` times as high and wide, bilinear at first; `padded` cuts half a cell."""
    return nn.ConvTranspose2d(
        classes,
        classes,
        2 * factor,
        stride=factor,
        padding=factor // 2 if padded else 0,
        bias=False,
        weight_init=nn.init.bilinear,
        trainable=not frozen,
    )


def _met(finer: Tensor, crop: Pair, y: Tensor) -> Tensor:
    """y plus the finer map from `crop` on; of what one has at bottom or right and the other not,
    nothing."""
    H = min(finer.shape[2] - crop[0], y.shape[2])
    W = min(finer.shape[3] - crop[1], y.shape[3])
    return _cut(finer, crop, (H, W)) + _cut(y, (0, 0), (H, W))


def _cut(y: Tensor, start: Pair, size: Any) -> Tensor:
    """y from `start` on, of `size` (H, W)."""
    (top, left), (H, W) = start, size
    if (top, left) == (0, 0) and y.shape[2:] == (H, W):
        return y
    return y[:, :, top : top + H, left : left + W]
