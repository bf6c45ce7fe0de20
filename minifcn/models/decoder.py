"""decoder: blocks that make maps larger again, and that join them with finer features.

    enlarge   transposed convolution, bilinear at first, learned or frozen; any factor f
              k = 2 f - 1 if D is whole, 2 f if it is a half:  p = (k - 1)/2 - D
              D: around which fine cell the first coarse one lies; (f - 1)/2 if it fills its part
    resize    bilinear resize, then a 3x3 convolution that does nothing at first; no checkerboards
    join      "sum": y + score(skip), the FCN's; "concat": convolution(y | skip), the U-Net's

A kernel that f does not divide puts uneven weight on neighbouring pixels until it has learnt; the
ones here are bilinear, so that they start even. At the border a transposed convolution fades into
the zeros around, a resize does not.

Source  Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR
        2015, section 3.3; Odena, Dumoulin and Olah, Deconvolution and Checkerboard Artifacts, 2016
"""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..nn import init
from ..shapes import AXES, Pair, Shape, ShapeError, flag, one_of, pair, real, shown, whole

Generator = np.random.Generator | None


def enlarging(
    channels: int,
    factor: int,
    offset: float | None = None,
    frozen: bool = False,
    grouped: bool = False,
) -> nn.ConvTranspose2d:
    """A transposed convolution that starts as bilinear interpolation, f times as high and wide.

    `offset` is D. `grouped` keeps every channel by itself, also while it learns.

    Shape   x: N C P Q -> y: N C fP fQ, or more where D is not (f - 1)/2

    >>> import minifcn as mf
    >>> y = enlarging(1, 3)(mf.tensor([[[[3.0, 6.0]]]]))
    >>> y.numpy()[0, 0, 1].round(3).tolist()  # from 3 to 6 in three steps; outside are zeros
    [2.0, 3.0, 4.0, 5.0, 6.0, 4.0]
    """
    channels = whole("enlarging", "channels", channels, 1)
    f = whole("enlarging", "factor", factor, 1)
    D = (f - 1) / 2 if offset is None else real("enlarging", "offset", offset)
    if 2 * D % 1 or not 0 <= D <= f - 1:
        raise ShapeError(
            f"enlarging: offset is {D:g} for factor {f}, expected 0, 1/2, 1 .. {f - 1}"
        )
    k = 2 * f if D % 1 else 2 * f - 1
    p = int((k - 1) / 2 - D)
    far = max(0, min(p, k - p - f))  # so that P cells give at least P f
    return nn.ConvTranspose2d(
        channels,
        channels,
        k,
        stride=f,
        padding=((p, far), (p, far)),
        groups=channels if grouped else 1,
        bias=False,
        weight_init=init.bilinear,
        trainable=not frozen,
    )


def fitted(y: Tensor, size: Shape) -> Tensor:
    """The first rows and columns of y, as many as `size`; the last one again where y ends.

    Shape   y: N C P Q -> N C H W, size = (H, W)
    """
    (H, W), (P, Q) = size, y.shape[2:]
    if P < H or Q < W:
        y = F.pad(y, (0, max(W - Q, 0), 0, max(H - P, 0)), mode="replicate")
    return y if y.shape[2:] == (H, W) else y[:, :, :H, :W]


class UpsampleBlock(nn.Module):
    """Maps f times as high and wide; bilinear at first, whatever `mode`.

    mode      "transposed": a transposed convolution; "resize": a resize and a 3x3 convolution
    frozen    stay bilinear: nothing to learn
    grouped   each channel by itself, which costs C times less
    offset    D of the module's text; "resize" knows only (f - 1)/2

    Shape   x: N C P Q -> y: N C fP fQ, or N C H W for size = (H, W)

    >>> import minifcn as mf
    >>> x = mf.tensor(np.zeros((1, 2, 4, 5), np.float32))
    >>> UpsampleBlock(2, 3)(x).shape, UpsampleBlock(2, 2, "resize")(x, size=(7, 9)).shape
    ((1, 2, 12, 15), (1, 2, 7, 9))
    """

    def __init__(
        self,
        channels: int,
        factor: int,
        mode: str = "transposed",
        frozen: bool = False,
        *,
        grouped: bool = False,
        offset: float | None = None,
    ) -> None:
        self.factor = f = whole("UpsampleBlock", "factor", factor, 1)
        self.mode = one_of("UpsampleBlock", "mode", mode, ("transposed", "resize"))
        flag("UpsampleBlock", "frozen", frozen)
        flag("UpsampleBlock", "grouped", grouped)
        self.up: nn.Module | None = None
        if mode == "transposed":
            self.up = enlarging(channels, f, offset, frozen, grouped)
            return
        if offset not in (None, (f - 1) / 2):
            raise ValueError(
                f"UpsampleBlock: offset is {shown(offset)} with mode 'resize', expected "
                f"{(f - 1) / 2:g}, where every cell fills its part"
            )
        if not frozen:
            self.up = nn.Conv2d(
                channels,
                channels,
                3,
                padding=1,
                padding_mode="replicate",
                groups=channels if grouped else 1,
                bias=False,
                weight_init=_nothing,
            )

    def forward(self, x: Tensor, size: Pair | None = None) -> Tensor:
        if self.mode == "transposed":
            assert self.up is not None
            y: Tensor = self.up(x)
            return fitted(y, (self.factor * x.shape[2], self.factor * x.shape[3]) if size is None
                          else pair("UpsampleBlock", "size", size, 1))  # fmt: skip
        P, Q = self.factor * x.shape[2], self.factor * x.shape[3]
        y = F.interpolate(x, (P, Q), mode="bilinear", align_corners=False)
        y = y if self.up is None else self.up(y)
        return y if size is None else fitted(y, pair("UpsampleBlock", "size", size, 1))

    def extra_repr(self) -> str:
        return f"factor={self.factor}, mode={self.mode!r}"


class SkipJoin(nn.Module):
    """Coarse says what, fine says where: a map and a finer feature become one.

    how       "sum": y + score(skip), a 1x1 convolution, zero at first as in the FCNs' training;
              "concat": a 3x3 convolution of both and a ReLU
    crop      cells that the skip begins earlier, at top and left (coordinates.crop_offset)

    Both are cut to the smaller size of the two at bottom and right.

    Shape   y: N C H W, skip: N I H' W' -> N C H'' W''

    >>> import minifcn as mf
    >>> y, skip = (mf.tensor(np.ones(s, np.float32)) for s in ((1, 2, 6, 6), (1, 3, 9, 8)))
    >>> SkipJoin(2, 3, crop=2)(y, skip).shape, SkipJoin(2, 3, "concat")(y, skip).shape
    ((1, 2, 6, 6), (1, 2, 6, 6))
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        how: str = "sum",
        crop: int | Pair = 0,
        generator: Generator = None,
    ) -> None:
        self.how = one_of("SkipJoin", "how", how, ("sum", "concat"))
        self.crop = pair("SkipJoin", "crop", crop, 0)
        if how == "sum":
            zero = init.zeros
            self.score = nn.Conv2d(skip_channels, channels, 1, weight_init=zero, bias_init=zero)
        else:
            self.mix = nn.Conv2d(channels + skip_channels, channels, 3, padding=1,
                                 activation="relu", weight_init=init.he_normal,
                                 bias_init=init.zeros, generator=generator)  # fmt: skip

    def forward(self, y: Tensor, skip: Tensor) -> Tensor:
        top, left = self.crop
        H, W = (min(y.shape[a], skip.shape[a] - c) for a, c in ((2, top), (3, left)))
        for axis, least in ((2, H), (3, W)):
            if least < 1:
                raise ShapeError(
                    f"SkipJoin: axis {AXES[axis - 2]} of skip is {skip.shape[axis]}, expected more "
                    f"than crop {self.crop[axis - 2]}"
                )
        y, skip = fitted(y, (H, W)), skip[:, :, top : top + H, left : left + W]
        if self.how == "sum":
            joined: Tensor = y + self.score(skip)
        else:
            joined = self.mix(F.cat([y, skip], 1))  # N C+I H W -> N C H W
        return joined

    def extra_repr(self) -> str:
        return f"how={self.how!r}, crop={self.crop}"


def _nothing(shape: tuple[int, ...], rng: Generator = None, fans: object = None) -> np.ndarray:
    """The kernel that changes nothing: 1 in the middle, from each channel to itself."""
    w = np.zeros(shape)  # O C/G KH KW
    o = np.arange(shape[0])
    w[o, o % shape[1], shape[2] // 2, shape[3] // 2] = 1
    return w
