"""torch_unet_espnet: U-Net and ESPNet in PyTorch's modules, under minifcn's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-3
CUTS = (88, 40, 16, 4)  # U-Net's, for 572 pixels in figure 1: (568 - 392)/2, (280 - 200)/2, ...


class Conv(nn.Module):
    """`activation` and norm as the children that a minifcn convolution gives them."""

    def __init__(self, inputs: int, outputs: int, pad: int, norm: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5)
        self.bias = None if norm else nn.Parameter(torch.randn(outputs))
        self.normalizer = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.normalizer(F.conv2d(x, self.weight, self.bias, padding=self.pad)))


class Resized(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.conv(x)


class UNet(nn.Module):
    """With padding "valid" as published, five levels deep."""

    def __init__(self, classes: int, width: int, depth: int, padding: str, up: str, norm: bool,
                 in_channels: int, **_: Any) -> None:  # fmt: skip
        super().__init__()
        self.same = padding == "same"
        pad, C = int(self.same), [in_channels, *(width * 2**k for k in range(depth))]

        def steps(i: int, o: int) -> nn.Sequential:
            return nn.Sequential(Conv(i, o, pad, norm), Conv(o, o, pad, norm))

        self.down = nn.ModuleList(steps(i, o) for i, o in zip(C, C[1:], strict=False))
        pairs = list(zip(C[2:], C[1:], strict=False))[::-1]
        self.ups = nn.ModuleList(
            Resized(i, o) if up == "resize" else nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairs
        )
        self.joins = nn.ModuleList(steps(2 * o, o) for _, o in pairs)
        self.score = nn.Conv2d(C[1], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for k, steps in enumerate(self.down):
            x = steps(F.max_pool2d(x, 2, ceil_mode=self.same) if k else x)
            skips.append(x)
        y = skips.pop()
        for k, (up, join) in enumerate(zip(self.ups, self.joins, strict=True)):
            skip = skips[-1 - k]
            y = up(y)
            cut = 0 if self.same else CUTS[len(skips) - 1 - k]
            skip = skip[:, :, cut:, cut:]
            H, W = (min(a, b) for a, b in zip(y.shape[2:], skip.shape[2:], strict=True))
            y = join(torch.cat([skip[:, :, :H, :W], y[:, :, :H, :W]], 1))
        return self.score(y)


class Plain(nn.Module):
    """A convolution alone, under the name that the authors give it."""

    def __init__(self, i: int, o: int, k: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, dilation * (k // 2), dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class NormAct(nn.Module):
    def __init__(self, channels: int, inputs: int = 0, stride: int = 1) -> None:
        super().__init__()
        if inputs:
            self.conv = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn, self.act = nn.BatchNorm2d(channels, EPS), nn.PReLU(channels)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x) if self.inputs else x))


class Pyramid(nn.Module):
    def __init__(self, i: int, o: int, add: bool = True, down: bool = False) -> None:
        super().__init__()
        n = max(o // 5, 1)
        self.c1 = Plain(i, n, 3, 2) if down else Plain(i, n, 1)
        self.d1 = Plain(n, o - 4 * n, 3)
        for d in (2, 4, 8, 16):
            setattr(self, f"d{d}", Plain(n, n, 3, dilation=d))
        if down:
            self.bn, self.act = nn.BatchNorm2d(o, EPS), nn.PReLU(o)
        else:
            self.bn, self.act = NormAct(o), nn.Identity()
        self.add = add and not down

    def forward(self, x: Tensor) -> Tensor:
        r = self.c1(x)
        parts, total = [self.d1(r)], 0
        for d in (2, 4, 8, 16):
            total = total + getattr(self, f"d{d}")(r)
            parts.append(total)
        y = torch.cat(parts, 1)
        return self.act(self.bn(y + x if self.add else y))


class Encoder(nn.Module):
    def __init__(self, K: int, p: int, q: int, C: int) -> None:
        super().__init__()
        self.level1, self.b1 = NormAct(16, C, 2), NormAct(16 + C)
        self.level2_0 = Pyramid(16 + C, 64, down=True)
        self.level2 = nn.ModuleList(Pyramid(64, 64) for _ in range(p))
        self.b2 = NormAct(128 + C)
        self.level3_0 = Pyramid(128 + C, 128, down=True)
        self.level3 = nn.ModuleList(Pyramid(128, 128) for _ in range(q))
        self.b3, self.classifier = NormAct(256), Plain(256, K, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half = F.avg_pool2d(x, 3, 2, 1)
        c0 = self.b1(torch.cat([self.level1(x), half], 1))
        y = first = self.level2_0(c0)
        for block in self.level2:
            y = block(y)
        c1 = self.b2(torch.cat([y, first, F.avg_pool2d(half, 3, 2, 1)], 1))
        y = first = self.level3_0(c1)
        for block in self.level3:
            y = block(y)
        return c0, c1, self.classifier(self.b3(torch.cat([first, y], 1)))


class ESPNet(nn.Module):
    def __init__(self, classes: int, p: int, q: int, in_channels: int, **_: Any) -> None:
        super().__init__()
        K = classes

        def up() -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(K, K, 2, 2, bias=False)

        self.encoder = Encoder(K, p, q, in_channels)
        self.br, self.up_l3 = nn.BatchNorm2d(K, EPS), nn.Sequential(up())
        self.level3_C = Plain(128 + in_channels, K, 1)
        self.combine_l2_l3 = nn.Sequential(NormAct(2 * K), Pyramid(2 * K, K, add=False))
        self.up_l2 = nn.Sequential(up(), NormAct(K))
        self.conv, self.classifier = NormAct(K, K + 16 + in_channels), up()

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        c0, c1, c2 = self.encoder(F.pad(x, (0, -W % 8, 0, -H % 8), mode="replicate"))
        y = torch.cat([self.level3_C(c1), self.up_l3(self.br(c2))], 1)
        y = torch.cat([self.up_l2(self.combine_l2_l3(y)), c0], 1)
        return self.classifier(self.conv(y))[:, :, :H, :W]
