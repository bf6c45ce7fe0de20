"""described: a network made of plain layers as a config, and made again from it.

    {"name": "layers", "layers": [["0", "Conv2d", {"in_channels": 3, ...}], ["1", "ReLU", {}], ...]}

So a Sequential that somebody wrote can stand in a model file, which holds no code. A network with a
class of its own says its `config` itself.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from .. import nn
from ..nn.dropout import Dropout, Dropout2d
from ..shapes import shown

CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")

# Layer -> the arguments that its attributes tell. `bias` tells whether there is one.
LAYERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: (*CONV, "bias", "padding_mode"),
    nn.ConvTranspose2d: (*CONV, "output_padding", "bias"),
    nn.Linear: ("in_features", "out_features", "bias"),
    nn.BatchNorm2d: ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    nn.AvgPool2d: (
        "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override",
    ),
    nn.AdaptiveAvgPool2d: ("output_size",),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Upsample: ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
    nn.Dropout: ("p",),
    nn.Dropout2d: ("p",),
    nn.ReLU: (),
    nn.Sigmoid: (),
    nn.Tanh: (),
    nn.Identity: (),
}  # fmt: skip
BY_NAME = {kind.__name__: kind for kind in LAYERS}


def config_of(model: nn.Module) -> dict[str, Any] | None:
    """What `models.build` makes the model from again; none for one that cannot be described.

    >>> config_of(nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU()))["layers"][0]
    ['0', 'Linear', {'in_features': 2, 'out_features': 3, 'bias': False}]
    """
    config = getattr(model, "config", None)
    if isinstance(config, dict):
        return config
    layers = _layers(model) if type(model) is nn.Sequential else None
    return None if layers is None else {"name": "layers", "layers": layers}


def _layers(model: nn.Module) -> list[Any] | None:
    listed: list[Any] = []
    for name, layer in model.named_children():
        if type(layer) is nn.Sequential:
            inside = _layers(layer)
            if inside is None:
                return None
            listed.append([name, "Sequential", inside])
        elif type(layer) in LAYERS and "forward" not in vars(layer) and _is_plain(layer):
            listed.append([name, type(layer).__name__, _arguments(layer)])
        else:
            return None
    return listed


def _is_plain(layer: Any) -> bool:
    """Whether nothing follows a convolution inside its layer."""
    return getattr(layer, "normalizer", None) is None and getattr(layer, "activation", None) is None


def _arguments(layer: nn.Module) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in LAYERS[type(layer)]:
        value = getattr(layer, name)
        told[name] = value is not None if name == "bias" else value
    return told


def from_layers(layers: list[Any], generator: np.random.Generator | None = None) -> nn.Sequential:
    """The Sequential that `config_of` described."""
    if not isinstance(layers, list):
        raise ValueError(f"build: layers is {shown(layers)}, expected a list")
    made: OrderedDict[str, nn.Module] = OrderedDict()
    for row in layers:
        if not isinstance(row, (list, tuple)) or len(row) != 3 or not isinstance(row[0], str):
            raise ValueError(f"build: a layer is {shown(row)}, expected [name, kind, arguments]")
        name, kind, arguments = row
        if kind == "Sequential":
            made[name] = from_layers(arguments, generator)
            continue
        if kind not in BY_NAME or not isinstance(arguments, dict):
            raise ValueError(f"build: layer {name} is {shown(kind)}, expected one of {_known()}")
        layer: Any = BY_NAME[kind]
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
        if layer in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, Dropout, Dropout2d):
            options["generator"] = generator
        made[name] = layer(**options)
    return nn.Sequential(made)


def _known() -> str:
    return ", ".join([*BY_NAME, "Sequential"])
