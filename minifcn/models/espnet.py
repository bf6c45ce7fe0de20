"""espnet: a small, quick network for street scenes, of "efficient spatial pyramids".

An ESP block looks at five scales for the price of one 3x3 convolution:

    r   = reduce(x)                                   to n = max(O // 5, 1) channels
    d_k = 3x3 convolution of r, dilation k            k = 1, 2, 4, 8, 16; d_1 has O - 4 n channels
    y   = d_1 | d_2 | d_2 + d_4 | d_2 + d_4 + d_8 | d_2 + d_4 + d_8 + d_16
    y   = PReLU(norm(y + x))                          without x in a block that shrinks

The sums hide the holes that a large dilation leaves; O < 5 has the first O scales only. The
encoder has three levels, at strides 2, 4 and 8, and each also sees the image itself, averaged; the
decoder goes back by transposed convolutions of 2x2, stride 2, which look at nothing beyond their
cell.

Sizes: both sides are repeated at their edge up to the next multiple of 8, and the logits are cut
to the image again, so that any size works. (A photo of 1 x 1 pixels is a grey square to it.)

Names of parameters are those of the authors' files, so that these load by name.

Shape   x: N 3 H W -> logits: N K H W
Source  Mehta and others, ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic
        Segmentation, ECCV 2018, sections 3 and 4.1, figures 1 and 4
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..core import Tensor
from ..shapes import whole

DILATIONS = (1, 2, 4, 8, 16)
EPS = 1e-3  # of every norm, as its authors trained it
Generator = np.random.Generator | None


class ESPNet(nn.Module):
    """`p` blocks at stride 4, `q` at stride 8: the paper's alpha_2 and alpha_3.

    >>> import minifcn as mf
    >>> net = ESPNet(classes=3, p=1, q=1)
    >>> net(mf.tensor(np.zeros((1, 3, 13, 7), np.float32))).shape, net.stride
    ((1, 3, 13, 7), 8)
    """

    stride = 8

    def __init__(
        self,
        classes: int = 20,
        p: int = 2,
        q: int = 3,
        in_channels: int = 3,
        generator: Generator = None,
    ) -> None:
        K = self.classes = whole("ESPNet", "classes", classes, 1)
        whole("ESPNet", "p", p, 0)
        whole("ESPNet", "q", q, 0)
        whole("ESPNet", "in_channels", in_channels, 1)
        self.config: dict[str, Any] = {
            "name": "espnet",
            "classes": classes,
            "p": p,
            "q": q,
            "in_channels": in_channels,
        }
        # In image pixels: reductions 1 + 2 + 4, a dilation of 16 per block, the last convolution 2.
        self.radius = 1 + 2 + 4 + 16 * (4 * (p + 2) + 8 * (q + 1)) + 2
        self.encoder = Encoder(K, p, q, in_channels, generator)
        self.br = nn.BatchNorm2d(K, EPS)
        self.up_l3 = nn.Sequential(_up(K, generator))
        self.level3_C = Conv(128 + in_channels, K, 1, generator=generator)
        self.combine_l2_l3 = nn.Sequential(
            NormAct(2 * K), Pyramid(2 * K, K, add=False, generator=generator)
        )
        self.up_l2 = nn.Sequential(_up(K, generator), NormAct(K))
        self.conv = ConvNormAct(K + 16 + in_channels, K, 3, generator=generator)
        self.classifier = _up(K, generator)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        if H % 8 or W % 8:
            x = F.pad(x, (0, -W % 8, 0, -H % 8), mode="replicate")
        fine, middle, coarse = self.encoder(x)  # strides 2, 4, 8
        y: Tensor = self.up_l3(self.br(coarse))
        y = self.combine_l2_l3(F.cat([self.level3_C(middle), y], 1))
        y = self.conv(F.cat([self.up_l2(y), fine], 1))
        y = self.classifier(y)  # N K H W, of the repeated image
        return y if y.shape[2:] == (H, W) else y[:, :, :H, :W]


class Encoder(nn.Module):
    """Three levels; the last one scores the classes.

    Shape   x: N C H W -> N C+16 H/2 W/2, N C+128 H/4 W/4, N K H/8 W/8
    """

    def __init__(self, classes: int, p: int, q: int, in_channels: int, generator: Any) -> None:
        self.level1 = ConvNormAct(in_channels, 16, 3, 2, generator)
        self.sample1 = nn.AvgPool2d(3, 2, 1)
        self.sample2 = nn.AvgPool2d(3, 2, 1)
        self.b1 = NormAct(16 + in_channels)
        self.level2_0 = DownPyramid(16 + in_channels, 64, generator)
        self.level2 = nn.ModuleList([Pyramid(64, 64, generator=generator) for _ in range(p)])
        self.b2 = NormAct(128 + in_channels)
        self.level3_0 = DownPyramid(128 + in_channels, 128, generator)
        self.level3 = nn.ModuleList([Pyramid(128, 128, generator=generator) for _ in range(q)])
        self.b3 = NormAct(256)
        self.classifier = Conv(256, classes, 1, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half = self.sample1(x)
        quarter = self.sample2(half)
        fine = self.b1(F.cat([self.level1(x), half], 1))
        first = y = self.level2_0(fine)
        for block in self.level2:
            y = block(y)
        middle = self.b2(F.cat([y, first, quarter], 1))
        first = y = self.level3_0(middle)
        for block in self.level3:
            y = block(y)
        return fine, middle, self.classifier(self.b3(F.cat([first, y], 1)))


class _Branches(nn.Module):
    """r: N n h w -> the five scales of r, joined: N O h w."""

    c1: Conv

    def __init__(self, outputs: int, generator: Generator) -> None:
        n, dilations = _narrow(outputs), DILATIONS[:outputs]
        for k in dilations:
            channels = outputs - (len(dilations) - 1) * n if k == 1 else n
            setattr(self, f"d{k}", Conv(n, channels, 3, dilation=k, generator=generator))
        self.dilations = dilations

    def scales(self, x: Tensor) -> Tensor:
        """d_1 | d_2 | d_2 + d_4 | ... of the reduced x."""
        r = self.c1(x)
        parts = [getattr(self, f"d{k}")(r) for k in self.dilations]
        for k in range(2, len(parts)):
            parts[k] = parts[k - 1] + parts[k]
        return F.cat(parts, 1)


class Pyramid(_Branches):
    """An ESP block of stride 1; with `add`, which needs I = O, its input is added."""

    def __init__(
        self, inputs: int, outputs: int, add: bool = True, generator: Generator = None
    ) -> None:
        self.c1 = Conv(inputs, _narrow(outputs), 1, generator=generator)
        super().__init__(outputs, generator)
        self.bn = NormAct(outputs)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        y = self.scales(x)
        z: Tensor = self.bn(x + y if self.add else y)
        return z

    def extra_repr(self) -> str:
        return f"add={self.add}"


class DownPyramid(_Branches):
    """An ESP block that halves the image: its reduction is 3x3 with stride 2.

    Shape   N I h w -> N O ceil(h/2) ceil(w/2)
    """

    def __init__(self, inputs: int, outputs: int, generator: Generator = None) -> None:
        self.c1 = Conv(inputs, _narrow(outputs), 3, 2, generator=generator)
        super().__init__(outputs, generator)
        self.bn = nn.BatchNorm2d(outputs, EPS)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.scales(x)))
        return y


class Conv(nn.Module):
    """A convolution without bias whose padding keeps the size, or halves it with stride 2."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        k: int,
        stride: int = 1,
        dilation: int = 1,
        generator: Generator = None,
    ) -> None:
        padding = (k - 1) // 2 * dilation
        self.conv = nn.Conv2d(
            inputs, outputs, k, stride, padding, dilation, bias=False, generator=generator
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class NormAct(nn.Module):
    """PReLU(norm(x)), a slope per channel."""

    def __init__(self, channels: int) -> None:
        self.bn = nn.BatchNorm2d(channels, EPS)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(x))
        return y


class ConvNormAct(NormAct):
    """PReLU(norm(conv(x)))."""

    def __init__(
        self, inputs: int, outputs: int, k: int, stride: int = 1, generator: Generator = None
    ) -> None:
        padding = (k - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, k, stride, padding, bias=False, generator=generator)
        super().__init__(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.conv(x))


def _narrow(outputs: int) -> int:
    """n, the channels that the branches see."""
    return max(outputs // len(DILATIONS), 1)


def _up(channels: int, generator: Generator) -> nn.ConvTranspose2d:
    """Twice as high and wide; each pixel becomes 2 x 2 of its own."""
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False, generator=generator)
