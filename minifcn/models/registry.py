"""registry: a model from its `config`, as a model file stores it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..shapes import shown

Generator = np.random.Generator | None

# The name in a config -> where its class is: file, class. Loaded when first asked for.
MODELS = {
    "fcn": ("fcn", "FCN"),
    "convolutional": ("surgery", "convolutional"),
    "layers": ("described", "from_layers"),
    "fcn_vgg16": ("fcn_vgg", "FCNVGG16"),
    "squeezenet1_1": ("squeezenet", "SqueezeNet"),
    "vgg16": ("vgg", "VGG16"),
    "resnet18": ("resnet", "resnet18"),
    "resnet34": ("resnet", "resnet34"),
    "resnet50": ("resnet", "resnet50"),
    "fcn_resnet50": ("fcn_resnet", "FCNResNet50"),
    "espnet": ("espnet", "ESPNet"),
    "unet": ("unet", "UNet"),
}
ENCODERS = {
    "small": ("small", "SmallEncoder"),
    "squeezenet1_1": ("squeezenet", "SqueezeNetEncoder"),
    "vgg16": ("vgg", "VGG16Encoder"),
    "resnet18": ("resnet", "encoder18"),
    "resnet34": ("resnet", "encoder34"),
    "resnet50": ("resnet", "encoder50"),
}


def build(
    config: dict[str, Any],
    generator: Generator = None,
    blank: bool = False,
    room: int | None = None,
) -> nn.Module:
    """The model that `config` describes; `model.config` is such a description.

    A model that stands on an encoder holds the encoder's description under "encoder". With `blank`
    its weights are zeros, soon made, for whoever loads others anyway, and there may be `room` for
    so many only; see nn.blank.

    >>> net = build({"name": "fcn", "encoder": {"name": "small", "depth": 3}, "classes": 2})
    >>> net.config["skips"]
    2
    """
    if blank:
        with nn.blank(room):
            return build(config, generator)
    name, options = _parts("model", config, MODELS)
    if name == "fcn" and not isinstance(options.get("encoder"), dict):
        raise ValueError("build: model fcn needs an encoder, as {'name': 'small', ...}")
    if "encoder" in options:
        encoder_name, encoder_options = _parts("encoder", options.pop("encoder"), ENCODERS)
        options["encoder"] = _make(ENCODERS, encoder_name, encoder_options, generator)
    return _make(MODELS, name, options, generator)


def _parts(kind: str, config: Any, known: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if not isinstance(config, dict):
        raise TypeError(f"build: {kind} is {shown(config)}, expected a dict such as model.config")
    options = dict(config)
    name = options.pop("name", None)
    if name not in known:
        raise ValueError(f"build: {kind} name is {name!r}, expected one of {', '.join(known)}")
    return name, options


def _make(
    known: dict[str, tuple[str, str]], name: str, options: dict[str, Any], generator: Generator
) -> nn.Module:
    file, kind = known[name]
    module = importlib.import_module(f"minifcn.models.{file}")
    make: Callable[..., nn.Module] = getattr(module, kind)
    try:
        return make(**options, generator=generator)
    except TypeError as error:
        raise ValueError(f"build: {name} does not take these options: {error}") from error
