"""registry: a model from its `config`, as a checkpoint stores it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..shapes import shown
from .fcn import FCN
from .small import SmallEncoder

Generator = np.random.Generator | None

ENCODERS: dict[str, Callable[..., nn.Module]] = {"small": SmallEncoder}


def build(config: dict[str, Any], generator: Generator = None) -> nn.Module:
    """The model that `config` describes; `model.config` is such a description.

    >>> net = build({"name": "fcn", "encoder": {"name": "small", "depth": 3}, "classes": 2})
    >>> net.config["skips"]
    2
    """
    name, options = _parts("model", config, {"fcn": FCN})
    if not isinstance(options.get("encoder"), dict):
        raise ValueError("build: model fcn needs an encoder, as {'name': 'small', ...}")
    encoder_name, encoder_options = _parts("encoder", options.pop("encoder"), ENCODERS)
    encoder = _make(ENCODERS[encoder_name], encoder_name, encoder_options, generator)
    return _make(FCN, name, {"encoder": encoder, **options}, generator)


def _parts(kind: str, config: Any, known: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if not isinstance(config, dict):
        raise TypeError(f"build: {kind} is {shown(config)}, expected a dict such as model.config")
    options = dict(config)
    name = options.pop("name", None)
    if name not in known:
        raise ValueError(f"build: {kind} name is {name!r}, expected one of {', '.join(known)}")
    return name, options


def _make(
    kind: Callable[..., nn.Module], name: str, options: dict[str, Any], generator: Generator
) -> nn.Module:
    try:
        return kind(**options, generator=generator)
    except TypeError as error:
        raise ValueError(f"build: {name} does not take these options: {error}") from error
