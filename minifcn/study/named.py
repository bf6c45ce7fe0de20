"""named: a model to study, by its name in the registry, its config, or itself."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from .. import nn
from ..models import build
from ..models.registry import ENCODERS, MODELS
from ..shapes import shown

# What a model must be told and its name does not say: VOC's 20 classes and background, and so on.
DEFAULTS = {"classes": 21, "encoder": "small", "model": "squeezenet1_1", "input_size": 224}


def model_of(model: nn.Module | str | Mapping[str, Any]) -> nn.Module:
    """The model itself, or one made with blank weights: only its shapes will be looked at.

    A name may be a model's or an encoder's. What a model must be told and the name does not say is
    taken from DEFAULTS; the "encoder" or "model" that it stands on may be a mere name.

    >>> model_of("fcn").config["encoder"]["name"], model_of({"name": "unet", "width": 4}).classes
    ('small', 21)
    """
    if isinstance(model, nn.Module):
        return model
    if not isinstance(model, (str, Mapping)):
        raise TypeError(f"study: model is {shown(model)}, expected a module, a name or a config")
    config: dict[str, Any] = {"name": model} if isinstance(model, str) else dict(model)
    name = config.get("name", "")
    if name not in MODELS and name not in ENCODERS:
        known = ", ".join(dict.fromkeys((*MODELS, *ENCODERS)))
        raise ValueError(f"study: model name is {name!r}, expected one of {known}")
    with nn.blank():
        if name not in MODELS:
            return _encoder(config)
        for needed in needs(name):
            if needed not in config and needed not in DEFAULTS:
                raise ValueError(f"study: {name} has to be told its {needed}; give a config")
            config.setdefault(needed, DEFAULTS.get(needed))
        for part in ("encoder", "model"):
            if isinstance(config.get(part), str):
                config[part] = {"name": config[part]}
        return build(config)


def needs(name: str) -> list[str]:
    """The arguments without a default."""
    file, kind = MODELS[name]
    made = getattr(importlib.import_module(f"minifcn.models.{file}"), kind)
    parameters = inspect.signature(made).parameters.values()
    return [p.name for p in parameters if p.default is p.empty]


def _encoder(config: dict[str, Any]) -> nn.Module:
    """An encoder by itself: the one that a small net would stand on."""
    net: Any = build({"name": "fcn", "encoder": config, "classes": 1})
    encoder: nn.Module = net.encoder
    return encoder
