"""models: networks, and how to build one again from the few values that describe it.

    build, FCN, SmallEncoder            any model by its config; FCN-32s, 16s, 8s on any encoder
    SqueezeNet, VGG16, ResNet           classifiers; with "Encoder" behind the name, for an FCN
    FCNResNet50, FCNVGG16, UNet, ESPNet segmentation as published
    convolutionize, transplant          a classifier says where; its layers in another network

All but the first line are loaded when they are first asked for, and so are this room's files, as
`mf.models.surgery`.
"""

from __future__ import annotations

import importlib
from typing import Any

from .fcn import FCN
from .registry import build
from .small import SmallEncoder

_HOMES = {
    "Encoder": "encoder",
    "ESPNet": "espnet",
    "FCNResNet50": "fcn_resnet",
    "FCNVGG16": "fcn_vgg",
    "ResNet": "resnet",
    "ResNetEncoder": "resnet",
    "SqueezeNet": "squeezenet",
    "SqueezeNetEncoder": "squeezenet",
    "UNet": "unet",
    "VGG16": "vgg",
    "VGG16Encoder": "vgg",
    "convolutionize": "surgery",
    "transplant": "transplanting",
}
_FILES = {*_HOMES.values(), "coordinates", "decoder", "walk"}

__all__ = ["FCN", "SmallEncoder", "build", *_HOMES]


def __getattr__(name: str) -> Any:
    """A class or a file of this room, when it is first asked for."""
    file = _HOMES.get(name, name)
    if file not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"minifcn.models.{file}")
    return getattr(module, name) if name in _HOMES else module
