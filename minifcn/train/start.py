"""start: the network that a training begins with, and weights of others for its first values.

no weights                    a network by name, with random weights
weights of a classifier       an FCN on it: the encoder's layers have the classifier's names
weights of a segmentation     the same network for the classes of the data; what scored others
                              begins anew
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..data import Normalize
from ..device import Array
from ..infer import Predictor
from ..interop import read_state, recognise
from ..interop.dialects import DIALECTS, dialect_of
from ..interop.opened import is_own
from ..models import transplant
from ..models.registry import ENCODERS
from ..nn import Module
from ..nn.state import entries

# What can be trained -> the options that it takes, and the learning rate that suits it: a network
# without batch norms takes smaller steps. An FCN is told by its encoder.
NETWORKS: dict[str, tuple[dict[str, Any], float]] = {
    "unet": ({"width": 32, "depth": 5}, 0.05),
    "espnet": ({}, 0.05),
    "fcn_resnet50": ({"width": 64}, 0.01),
    "fcn_vgg16": ({"width": 64, "skips": 2}, 0.001),
}
FCNS: dict[str, tuple[dict[str, Any], float]] = {
    "small": ({"width": 16, "depth": 5, "cap": 128}, 0.1),
    "squeezenet1_1": ({}, 0.001),
    "vgg16": ({"width": 64}, 0.001),
    "resnet18": ({"width": 64}, 0.02),
    "resnet34": ({"width": 64}, 0.02),
    "resnet50": ({"width": 64}, 0.02),
}
MODELS = ("fcn", *NETWORKS)
OPTIONS = ("width", "depth", "cap", "skips")
# More that is set where nothing else is said: U-Net as published has no norms, and cuts the image.
FIXED: dict[str, dict[str, Any]] = {
    "unet": {"norm": True, "padding": "same"},
    "espnet": {"p": 2, "q": 8},
}


class Start(NamedTuple):
    """What a file of weights says about the network: its config, and what its input was."""

    config: dict[str, Any]
    normalize: Normalize


def options_of(model: str, encoder: str) -> tuple[dict[str, Any], float]:
    """The options of a network with their defaults, and its learning rate."""
    if model not in MODELS:
        raise ValueError(f"train: model is {model!r}, expected one of {', '.join(MODELS)}")
    if model != "fcn":
        return NETWORKS[model]
    if encoder not in FCNS:
        raise ValueError(f"train: encoder is {encoder!r}, expected one of {', '.join(FCNS)}")
    options, lr = FCNS[encoder]
    return {**options, "skips": None}, lr


def config_of(
    model: str, encoder: str, chosen: Mapping[str, Any], known: Mapping[str, Any], classes: int
) -> dict[str, Any]:
    """What `models.build` takes; `known` is the config that a file of weights told, or empty."""
    own = {**FIXED.get(model, {}), **known, "name": model, "classes": classes}
    if model != "fcn":
        return {**own, **chosen}
    inner = {name: value for name, value in chosen.items() if name != "skips"}
    told = {**known.get("encoder", {}), "name": encoder, **inner}
    return {**own, "encoder": told, "skips": chosen["skips"]}


def told_by(path: str | Path) -> Start:
    """The network that a file's weights are of, without its classes: a segmentation, or an FCN."""
    path = _file(path)
    if is_own(path):
        own: Any = Predictor.load(path)
        return Start(_trainable(path, own.model.config), own.normalize)
    shapes = {name: array.shape for name, array in read_state(path).items()}
    for dialect in DIALECTS:
        ours = {dialect.rename(name): shape for name, shape in shapes.items()}
        if known := recognise(ours):
            return Start(_trainable(path, known.config(ours)), known.normalize)
    return Start({}, Normalize())


def load_start(model: Module, path: str | Path) -> str:
    """Put the weights of a file into the network, or into its encoder; say what fitted.

    All that fits goes in; less than half of a network's numbers is refused.
    """
    path = _file(path)
    state = _state(path)
    places = ("", "encoder", "backbone")
    parts: list[Any] = [model, *(getattr(model, name, None) for name in places[1:])]
    found: list[tuple[int, str, Module, dict[str, Any]]] = []
    for name, part in zip(places, parts, strict=True):
        if part is not None:
            dialect = dialect_of(state, dict(entries(part)))
            ours = {dialect.rename(key): array for key, array in state.items()}
            found.append((_fitting(ours, part), name, part, ours))
    numbers, name, part, ours = max(found, key=lambda entry: entry[0])
    wanted = sum(parameter.numel() for parameter in part.parameters())
    if 2 * numbers < wanted:
        raise ValueError(
            f"train: {path}: holds {numbers:,} of the {wanted:,} weights of "
            f"{f'the {name} of ' if name else ''}{type(model).__name__}, expected most of them; "
            f"is it another network's file?"
        )
    if name == "encoder":  # features of any size meet new scores, which so begin without an opinion
        for score in getattr(model, "scores", ()):
            score.weight.data[...] = 0
    where = f"the {name or 'model'}"
    return f"{path.name}: {transplant(ours, part).title.replace('the model', where)}"


def _fitting(state: Mapping[str, Array], part: Module) -> int:
    """How many numbers of `state` have a place among the parameters of `part`."""
    report = transplant(state, part, dry_run=True)
    fit = {*report.names("copied"), *report.names("reshaped")}
    learnt = {name for name, _ in part.named_parameters()}
    return sum(state[name].size for name in fit & learnt)


def _trainable(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The config of the segmentation; a classifier becomes the encoder of an FCN."""
    name = config.get("name")
    if name in ENCODERS:
        inner = {key: value for key, value in config.items() if key in ("name", "width")}
        return {"name": "fcn", "encoder": inner}
    if name not in MODELS:
        raise ValueError(f"train: {path}: holds a {name}, expected one of {', '.join(MODELS)}")
    # Trained are all pixels: a U-Net without padding gets one, its arrays are the same.
    return {key: value for key, value in config.items() if key not in ("classes", "padding")}


def _state(path: Path) -> dict[str, Array]:
    return files.load(path)[0] if is_own(path) else read_state(path)


def _file(path: str | Path) -> Path:
    """The file itself, or the model in the folder of a run."""
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"train: {path}: no such file")
    return path
