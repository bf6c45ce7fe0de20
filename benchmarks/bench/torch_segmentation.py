"""torch_segmentation: minifcn's segmentation models in PyTorch's modules, under the same names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .torch_models import CLASSIFIERS, ENCODERS, ResNetEncoder, vgg_features
from .torch_unet_espnet import ESPNet, UNet

# Around which image pixel the first cell of each feature lies; by hand, from the paddings.
OFFSETS = {
    "vgg16": (0.5, 1.5, 3.5, 7.5, 15.5),
    "squeezenet1_1": (1, 3, 7, 15),
    "resnet18": (0,) * 5, "resnet34": (0,) * 5, "resnet50": (0,) * 5,
}  # fmt: skip


def head(C: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(C, C // 4, 3, padding=1, bias=False), nn.BatchNorm2d(C // 4), nn.ReLU(),
        nn.Dropout(0.1), nn.Conv2d(C // 4, classes, 1),
    )  # fmt: skip


class FCNResNet50(nn.Module):
    def __init__(self, classes: int, aux: bool, in_channels: int, width: int, **_: Any) -> None:
        super().__init__()
        self.backbone = ResNetEncoder("resnet50", (False, True, True), in_channels, width)
        self.classifier = head(32 * width, classes)
        if aux:
            self.aux_classifier = head(16 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.classifier(self.backbone(x)[-1])
        return F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)


class FCN(nn.Module):
    """Upsampling in full, nothing cut by the transposed convolution; the cut is made here."""

    def __init__(
        self, encoder: dict[str, Any], classes: int, skips: int, x: Tensor, **_: Any
    ) -> None:
        super().__init__()
        self.encoder = ENCODERS[encoder["name"]](**encoder)
        with torch.no_grad():
            features = self.encoder(x)[::-1]
        dilated = sum(encoder.get("dilate", ()))
        offsets = OFFSETS[encoder["name"]][::-1]
        first = len(features) - dilated
        strides = [2 ** min(k, first) for k in range(len(features), 0, -1)]
        self.scores = nn.ModuleList(
            nn.Conv2d(f.shape[1], classes, 1) for f in features[: skips + 1]
        )
        self.ups, self.cuts = nn.ModuleList(), []
        lattice = [*list(zip(strides, offsets, strict=True))[: skips + 1], (1, 0)]
        for (s, b), (t, c) in zip(lattice, lattice[1:], strict=False):
            factor, shift = s // t, (b - c) / t
            k = 2 * factor - (shift == int(shift))
            self.cuts.append(int((k - 1) / 2 - shift))
            up = nn.ConvTranspose2d(classes, classes, k, stride=factor, bias=False)
            self.ups.append(nn.Identity() if factor == 1 else up)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x)[::-1]
        y = self.scores[0](features[0])
        for k, (up, cut) in enumerate(zip(self.ups, self.cuts, strict=True)):
            last = k + 1 == len(self.ups)
            y = fitted(up(y)[:, :, cut:, cut:], x if last else features[k + 1])
            y = y if last else y + self.scores[k + 1](features[k + 1])
        return y


def fitted(y: Tensor, like: Tensor) -> Tensor:
    (H, W), (h, w) = like.shape[2:], y.shape[2:]
    if h < H or w < W:
        y = F.pad(y, (0, max(W - w, 0), 0, max(H - h, 0)), mode="replicate")
    return y[:, :, :H, :W]


class FCNVGG16(nn.Module):
    """Crops as the authors' networks have them: 19; 5, 27; 5, 9, 31; or none in geometry "zero"."""

    def __init__(self, classes: int, skips: int, geometry: str, at_once: bool, width: int,
                 hidden: int, in_channels: int, **_: Any) -> None:  # fmt: skip
        super().__init__()
        zero = geometry == "zero"
        self.features = vgg_features(in_channels, width, True, 1 if zero else 100)
        self.classifier = nn.Sequential(
            nn.Conv2d(8 * width, hidden, 7, padding=3 * zero), nn.ReLU(), nn.Dropout(),
            nn.Conv2d(hidden, hidden, 1), nn.ReLU(), nn.Dropout(),
        )  # fmt: skip
        self.score_fr = nn.Conv2d(hidden, classes, 1)
        if skips > 0:
            self.score_pool4 = nn.Conv2d(8 * width, classes, 1)
        if skips > 1:
            self.score_pool3 = nn.Conv2d(4 * width, classes, 1)
        names = (("upscore",), ("upscore2", "upscore16"),
                 ("upscore2", "upscore_pool4", "upscore8"))[skips]  # fmt: skip
        factors = ((32,), (2, 16), (2, 2, 8))[skips]
        for name, f in zip(names, factors, strict=True):
            up = nn.ConvTranspose2d(classes, classes, 2 * f, f, f // 2 * zero, bias=False)
            setattr(self, name, up)
        self.names = names
        self.crops = (0,) * 3 if zero else ((19,), (5, 27), (5, 9, 31))[skips]
        self.scale = (0.01, 0.0001) if at_once else (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        pools, y = [], x
        for layer in self.features:
            y = layer(y)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(y)
        y = self.score_fr(self.classifier(y))
        for k, name in enumerate(self.names[:-1]):
            y, crop = getattr(self, name)(y), self.crops[k]
            score = getattr(self, ("score_pool4", "score_pool3")[k])
            skip = score(self.scale[k] * pools[3 - k])[:, :, crop:, crop:]
            H, W = (min(a, b) for a, b in zip(y.shape[2:], skip.shape[2:], strict=True))
            y = y[:, :, :H, :W] + skip[:, :, :H, :W]
        c, (H, W) = self.crops[len(self.names) - 1], x.shape[2:]
        return getattr(self, self.names[-1])(y)[:, :, c : c + H, c : c + W]


SEGMENTERS: dict[str, Any] = {
    "fcn": FCN,
    "fcn_resnet50": FCNResNet50,
    "fcn_vgg16": FCNVGG16,
    "unet": UNet,
    "espnet": ESPNet,
}


def twin_of(config: dict[str, Any], x: Tensor) -> nn.Module:
    """The PyTorch module for a minifcn model's config; `x` is an image that it may look at."""
    name = config["name"]
    if name in SEGMENTERS:
        return SEGMENTERS[name](**config, **({"x": x} if name == "fcn" else {}))
    return CLASSIFIERS[name](**config)
