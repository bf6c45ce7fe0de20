"""unet: down a ladder and up again; on the way up every step also sees its step of the way down.

    down   f_0 = steps(x)       f_k = steps(max pool 2 (f_{k-1}))        C_k = width 2^k channels
    up     y = f_{D-1}          y <- steps(up(y) | crop(f_k))            k = D-2 .. 0
    score  1x1 convolution: K scores each

`steps` is (convolution 3x3, [norm,] ReLU) twice. `up` doubles the size and halves the channels: a
transposed convolution 2x2 of stride 2, or bilinear resizing of a 1x1 convolution.

padding="same"    convolutions keep the size, pooling rounds up: any image size, nothing to crop but
                  what rounding added at bottom and right.
padding="valid"   as published: convolutions take away their border, and f_k is cropped to what is
                  left above it. By how much follows from where the cells lie (coordinates.py):
                  4, 16, 40 and 88 for D = 5, so that 572 x 572 pixels give the classes of the
                  388 x 388 in their middle.

Shape   x: N C H W -> N K H W; "valid": N K H' W', which begins at pixel (margin, margin)
Source  Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image
        Segmentation, MICCAI 2015, section 2 and figure 1
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..shapes import AXES, ShapeError, flag, one_of, whole
from .coordinates import Grid, Layer, crop_offset

Generator = np.random.Generator | None
POOL = Layer("pool", 2, 2)
UPS = {"transpose": Layer("up", 2, 2, transposed=True), "resize": Layer("up", 4, 2, 1, 1, True)}


class UNet(nn.Module):
    """`depth` levels, the first of `width` channels; with `norm`, batch norms instead of biases.

    >>> paper = UNet(classes=2, in_channels=1, width=2, padding="valid")
    >>> paper.crops, paper.margin
    ((88, 40, 16, 4), 92)
    """

    def __init__(
        self,
        classes: int,
        width: int = 64,
        depth: int = 5,
        padding: str = "same",
        up: str = "transpose",
        norm: bool = False,
        in_channels: int = 3,
        generator: Generator = None,
    ) -> None:
        self.classes = whole("UNet", "classes", classes, 1)
        whole("UNet", "width", width, 1)
        if whole("UNet", "depth", depth, 1) > 24:  # no image is 2^24 pixels wide
            raise ShapeError(f"UNet: depth is {depth}, expected at most 24")
        whole("UNet", "in_channels", in_channels, 1)
        one_of("UNet", "padding", padding, ("same", "valid"))
        one_of("UNet", "up", up, tuple(UPS))
        flag("UNet", "norm", norm)
        self.config: dict[str, Any] = {
            "name": "unet",
            "classes": classes,
            "width": width,
            "depth": depth,
            "padding": padding,
            "up": up,
            "norm": norm,
            "in_channels": in_channels,
        }
        channels = [width * 2**k for k in range(depth)]
        pad, before = int(padding == "same"), in_channels
        self.down = nn.ModuleList()
        for after in channels:
            self.down.append(_steps(before, after, pad, norm, generator))
            before = after
        self.ups = nn.ModuleList()  # coarse to fine, as they run
        self.joins = nn.ModuleList()
        for after in channels[-2::-1]:
            self.ups.append(_upsampling(up, before, after, generator))
            self.joins.append(_steps(2 * after, after, pad, norm, generator))
            before = after
        self.score = nn.Conv2d(before, classes, 1, generator=generator)
        self.stride = 2 ** (depth - 1)
        self.padding = padding
        self._lies(depth, [Layer("conv", 3, padding=pad)] * 2, UPS[up])

    def _lies(self, depth: int, steps: list[Layer], up: Layer) -> None:
        """Work out the crops, and how far it sees."""
        skips = [Grid().follow(steps)]
        while len(skips) < depth:
            skips.append(skips[-1].follow([POOL, *steps]))
        grid, crops = skips.pop(), []
        for skip in skips[::-1]:
            grid = grid.through(up)
            crop = crop_offset(skip, grid, ("the way down", "the way up"))
            grid = grid.joined(skip.cropped(crop)).follow(steps)
            crops.append(crop[0])
        self.crops = tuple(crops[::-1])  # finest first, in cells of the skip, at top and left
        self.margin = int(grid.centre[0])  # image pixels that have no class, at top and left
        # Of the s x s pixels of a cell each has another part of the coarser cells; all see less.
        self.radius = grid.reach + self.stride - 1

    def forward(self, x: Tensor) -> Tensor:
        if self.padding == "valid":
            self._check(x)
        skips = []
        for k, steps in enumerate(self.down):
            x = steps(F.max_pool2d(x, 2, ceil_mode=self.padding == "same") if k else x)
            skips.append(x)  # N C_k h_k w_k
        y = skips.pop()
        for skip, crop, up, steps in zip(
            skips[::-1], self.crops[::-1], self.ups, self.joins, strict=True
        ):
            y = up(y)
            h, w = (min(y.shape[a], skip.shape[a] - crop) for a in (2, 3))
            skip = skip[:, :, crop : crop + h, crop : crop + w]
            y = steps(F.cat([skip, y[:, :, :h, :w]], 1))
        z: Tensor = self.score(y)
        return z

    def output_size(self, size: int) -> int:
        """How many pixels along an axis get a class; less than 1 where the image is too small.

        >>> UNet(2, width=1, padding="valid").output_size(572)
        388
        """
        if self.padding == "same":
            return size
        for _ in self.down:
            last = size - 4
            size = last // 2
        for _ in self.ups:
            last = 2 * last - 4
        return last

    def _check(self, x: Tensor) -> None:
        """Whether anything would be left of the image."""
        for axis in (2, 3):
            if self.output_size(x.shape[axis]) < 1:
                least = x.shape[axis]
                while self.output_size(least) < 1:
                    least += 1
                raise ShapeError(
                    f"UNet: axis {AXES[axis - 2]} of x is {x.shape[axis]}, expected at "
                    f"least {least} with padding='valid' (x: {x.shape})"
                )

    def extra_repr(self) -> str:
        return f"padding={self.padding!r}"


class Resized(nn.Module):
    """Bilinear interpolation to twice the size, of a 1x1 convolution.

    Each mixes only along its own axes, so the order does not matter, and this one is four times
    cheaper.
    """

    def __init__(self, inputs: int, outputs: int, generator: Generator) -> None:
        self.conv = nn.Conv2d(inputs, outputs, 1, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.conv(x), scale_factor=2, mode="bilinear", align_corners=False)


def _upsampling(up: str, inputs: int, outputs: int, generator: Generator) -> nn.Module:
    if up == "resize":
        return Resized(inputs, outputs, generator)
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2, generator=generator)


def _steps(inputs: int, outputs: int, pad: int, norm: bool, generator: Generator) -> nn.Module:
    """Twice convolution, norm if wanted, ReLU; weights of spread sqrt(2 / fan-in), as published."""
    layers = [
        nn.Conv2d(
            channels,
            outputs,
            3,
            padding=pad,
            activation="relu",
            normalizer=nn.BatchNorm2d if norm else None,
            weight_init=nn.init.he_normal,
            generator=generator,
        )
        for channels in (inputs, outputs)
    ]
    return nn.Sequential(*layers)
