"""torch_models: minifcn's classifiers and encoders in PyTorch's modules, under torchvision's names.

Written from the papers' tables for comparison; only benchmarks and tests import PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def vgg_features(C: int, width: int, ceil_mode: bool = False, pad: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for times, count in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(C, times * width, 3, padding=pad), nn.ReLU()]
            C, pad = times * width, 1
        layers.append(nn.MaxPool2d(2, ceil_mode=ceil_mode))
    return nn.Sequential(*layers)


class VGG16(nn.Module):
    def __init__(self, classes: int, in_channels: int, width: int, **_: Any) -> None:
        super().__init__()
        self.features = vgg_features(in_channels, width)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * 49, 64 * width), nn.ReLU(), nn.Dropout(),
            nn.Linear(64 * width, 64 * width), nn.ReLU(), nn.Dropout(),
            nn.Linear(64 * width, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class VGG16Encoder(nn.Module):
    def __init__(self, in_channels: int, width: int, ceil_mode: bool, **_: Any) -> None:
        super().__init__()
        self.features = vgg_features(in_channels, width, ceil_mode)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                found.append(x)
        return found


class Block(nn.Module):
    """A residual block; `convs`: (in, out, kernel, stride, dilation) of each convolution."""

    def __init__(self, convs: Sequence[tuple[int, int, int, int, int]]) -> None:
        super().__init__()
        self.count = len(convs)
        for k, (i, o, size, stride, dilation) in enumerate(convs, 1):
            pad = dilation * (size // 2)
            setattr(self, f"conv{k}", nn.Conv2d(i, o, size, stride, pad, dilation, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(o))
        inputs, outputs, stride = convs[0][0], convs[-1][1], max(conv[3] for conv in convs)
        if stride > 1 or inputs != outputs:
            self.downsample: nn.Module | None = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for k in range(1, self.count + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = F.relu(y) if k < self.count else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetEncoder(nn.Module):
    def __init__(
        self, name: str, dilate: Sequence[bool], in_channels: int, width: int, **_: Any
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs, dilation = width, 1
        self.deepest = 0
        for k, count in enumerate(BLOCKS[name]):
            stride, before = (2 if k else 1), dilation
            if k and dilate[k - 1]:
                stride, dilation = 1, 2 * dilation
            C, blocks = width * 2**k, []
            for n in range(count):
                s, d = (stride, before) if n == 0 else (1, dilation)
                if name == "resnet50":
                    convs = [(inputs, C, 1, 1, 1), (C, C, 3, s, d), (C, 4 * C, 1, 1, 1)]
                else:
                    convs = [(inputs, C, 3, s, d), (C, C, 3, 1, dilation)]
                blocks.append(Block(convs))
                inputs = convs[-1][1]
            setattr(self, f"layer{k + 1}", nn.Sequential(*blocks))
        self.deepest = inputs

    def stages(self, x: Tensor) -> list[Tensor]:
        found = [F.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(found[0], 3, 2, 1)
        for k in (1, 2, 3, 4):
            x = getattr(self, f"layer{k}")(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.stages(x)


class ResNet(ResNetEncoder):
    def __init__(self, classes: int, **config: Any) -> None:
        super().__init__(**config)
        self.fc = nn.Linear(self.deepest, classes)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.stages(x)[-1].mean((2, 3)))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        s = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(s), self.expand3x3(s)], 1))


def squeeze_features(C: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(C, 64, 3, 2), nn.ReLU()]
    C = 64
    for k, (squeeze, expand) in enumerate(
        [(16, 64)] * 2 + [(32, 128)] * 2 + [(48, 192)] * 2 + [(64, 256)] * 2
    ):
        if k in (0, 2, 4):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers.append(Fire(C, squeeze, expand))
        C = 2 * expand
    return nn.Sequential(*layers)


class SqueezeNet(nn.Module):
    def __init__(self, classes: int, in_channels: int, **_: Any) -> None:
        super().__init__()
        self.features = squeeze_features(in_channels)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, classes, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).mean((2, 3))


class SqueezeNetEncoder(nn.Module):
    def __init__(self, in_channels: int, **_: Any) -> None:
        super().__init__()
        self.features = squeeze_features(in_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.pad(x, (0, max(0, 17 - x.shape[3]), 0, max(0, 17 - x.shape[2])))
        found = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                found.append(x)
            x = layer(x)
        return [*found, x]


CLASSIFIERS: dict[str, Any] = {"vgg16": VGG16, "squeezenet1_1": SqueezeNet}
CLASSIFIERS |= dict.fromkeys(BLOCKS, ResNet)
ENCODERS: dict[str, Any] = {"vgg16": VGG16Encoder, "squeezenet1_1": SqueezeNetEncoder}
ENCODERS |= dict.fromkeys(BLOCKS, ResNetEncoder)
