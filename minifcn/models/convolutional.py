"""convolutional: a network that was a classifier, as `surgery.convolutionize` makes it.

    map        N K h w: scores at places of the image; place (i, j) has its middle at the image's
               pixel  b + S i  (`grid`), and sees a window of the size of the training images
    full size  the map with a score for every pixel: zeros around the image, so that cell (0, 0)
               lies in the middle of its first S x S pixels, then bilinear enlargement by S

Zeros are what the middle of a normalised photo's colours is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import ceil
from typing import Any

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..nn.fuse import chain
from ..shapes import Pair, Shape, ShapeError, bind
from .walk import walk

RESERVED = frozenset(("class_map", "classes", "config", "full_size", "grid", "image", "least",
                      "order", "radius", "stride", "training", "trunk"))  # fmt: skip


class Convolutional(nn.Module):
    """Layers in a row, under the names that they had in the classifier.

    `image` is C H W of the training images, `least` the size (H, W) that gives a map of one cell:
    the same if windows slide. A smaller image gets zeros around it.

    Shape   x: N C H W -> N K h w, or N K H W with `full_size`
    """

    def __init__(
        self,
        layers: Sequence[tuple[str, nn.Module]],
        trunk: int,
        image: Shape,
        classes: int,
        full_size: bool = False,
    ) -> None:
        self.config: dict[str, Any] = {}
        self.order = tuple(name for name, _ in layers)
        self.trunk, self.image, self.classes = trunk, image, classes
        for name, layer in layers:
            self._place(name, layer)
        self.full_size, self.least = False, (1, 1)
        walked = walk(self, image)
        self.grid = walked.grid()
        steps = self.grid.rows.step, self.grid.cols.step
        if steps[0] != steps[1] or steps[0].denominator != 1:
            raise ShapeError(f"convolutional: the map has a cell every {steps} pixels (H, W)")
        S = self.stride = int(steps[0])
        h, w = walked.steps[walked.outputs[-1]].shape[2:]  # a cell more for every S pixels
        self.least = (max(image[1] - (h - 1) * S, 1), max(image[2] - (w - 1) * S, 1))
        self.radius = self.grid.reach
        self.full_size = full_size
        if full_size:  # zeros move all cells, and an enlarged pixel looks at the next cell too
            lines = (self.grid.rows, self.grid.cols)
            first = max(t - line.low for t, line in zip(self._before(), lines, strict=True))
            last = max(line.high - t for t, line in zip(self._before(), lines, strict=True))
            self.radius = ceil(max(first, last)) + self.stride

    def _place(self, name: str, layer: nn.Module) -> None:
        """Put a layer where its dotted name says."""
        *path, last = name.split(".")
        if (path or [last])[0] in RESERVED:
            raise ValueError(
                f"convolutional: a layer cannot be called {(path or [last])[0]!r}; rename it"
            )
        holder: nn.Module = self
        for word in path:
            if word not in vars(holder):
                setattr(holder, word, nn.Sequential())
            holder = getattr(holder, word)
        setattr(holder, last, layer)

    def _layers(self) -> list[Any]:
        return [functools.reduce(getattr, name.split("."), self) for name in self.order]

    def features(self, x: Tensor) -> Tensor:
        """What the first layer of the head sees.   Shape   x: N C H W -> N C' h w"""
        y: Tensor = chain(self._layers()[: self.trunk], self._large_enough(x))
        return y

    def class_map(self, x: Tensor) -> Tensor:
        """The scores at every place.   Shape   x: N C H W -> N K h w"""
        y: Tensor = chain(self._layers(), self._large_enough(x))
        return y

    def forward(self, x: Tensor) -> Tensor:
        if not self.full_size:
            return self.class_map(x)
        H, W = x.shape[2:]
        S, (top, left) = self.stride, self._before()
        h, w = -(-H // S), -(-W // S)
        bottom = max(self.least[0] + (h - 1) * S - H - top, 0)
        right = max(self.least[1] + (w - 1) * S - W - left, 0)
        y = self.class_map(F.pad(x, (left, right, top, bottom)))[:, :, :h, :w]
        y = F.interpolate(y, (h * S, w * S), mode="bilinear", align_corners=False)
        return y[:, :, :H, :W]

    def _before(self) -> Pair:
        """Zeros above and left, so that cell 0 lies in the middle of the first S pixels."""
        middles = (self.grid.rows.centre, self.grid.cols.centre)
        top, left = (max(int(b - (self.stride - 1) / 2), 0) for b in middles)
        return top, left

    def _large_enough(self, x: Tensor) -> Tensor:
        bind("convolutional", x=("N C H W", x.shape))
        lacks = [max(self.least[axis - 2] - x.shape[axis], 0) for axis in (2, 3)]
        if not any(lacks):
            return x
        top, left = (missing // 2 for missing in lacks)
        return F.pad(x, (left, lacks[1] - left, top, lacks[0] - top))
