"""opened: a model from a file, with the classes and the input convention of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, models
from ..data import Classes, Normalize
from ..infer import Predictor
from ..nn import Module
from .dialects import DIALECTS
from .known import KNOWN, Known, Shapes, recognise
from .load import LoadError, load_weights
from .names import DATA, classes_of, words_of
from .read import read_state


@dataclass(frozen=True)
class Opened:
    """A model in eval mode; `known` is None for a file that minifcn itself wrote."""

    model: Module
    classes: Classes
    normalize: Normalize
    known: Known | None = None
    own: Predictor | None = None

    def predictor(self) -> Predictor:
        """What runs a segmentation model on photos."""
        return self.own or Predictor(self.model, self.classes, self.normalize, side=self._side)

    @property
    def words(self) -> list[tuple[str, ...]]:
        """For each class its name, then all other words for it, where its data set is known."""
        names = self.classes.names
        for data in DATA:
            if classes_of(data).names == names:
                both = zip(names, words_of(data), strict=True)
                return [tuple(dict.fromkeys((name, *more))) for name, more in both]
        return [(name,) for name in names]

    def mapped(self) -> tuple[Any, int]:
        """The classifier with a `class_map`, and over how many cells of it a mean still is due.

        One that has no map gets it by surgery, for the usual size of training images: where it ends
        in a mean, the share of every cell, of which 7 x 7 were one image; else a window's answer.
        """
        if hasattr(self.model, "class_map"):
            config: Any = getattr(self.model, "config", {})
            return self.model, 1 if config.get("pooling") == "window" else 7
        if self._side is None or self.known is None or self.known.data != "imagenet":
            raise ValueError(
                f"mapped: the model is a {type(self.model).__name__}, which has no map of classes "
                f"that a mean was taken of, as SqueezeNet has, and is no classifier known here"
            )
        pooled = self.known.name != "vgg16"
        pooling = "mean" if pooled else "window"
        network, _ = models.convolutionize(self.model, self._side, pooling=pooling)
        return network.eval(), 7 if pooled else 1

    @property
    def _side(self) -> int | None:
        return None if self.known is None else self.known.side


def open_model(
    path: str | Path, model: str | Mapping[str, Any] | None = None, device: str = "cpu"
) -> Opened:
    """The model of a file: one that minifcn wrote, or weights of a known network.

    Our own files (and folders of runs) say what they hold. Others are recognised by their names
    and shapes. `model` says it where that fails: a name of KNOWN, or a config of `models.build`,
    whose classes then have no names.
    """
    path = Path(path)
    if path.is_dir() or is_own(path):
        own = Predictor.load(path, device)
        return Opened(own.model, own.classes, own.normalize, None, own)
    state = read_state(path)
    if isinstance(model, Mapping):
        net, known = models.build(dict(model), blank=True), None
        classes, normalize = _nameless(getattr(net, "classes", 0)), Normalize()
    else:
        known, shapes = _which(path, {name: array.shape for name, array in state.items()}, model)
        net, normalize = models.build(known.config(shapes), blank=True), known.normalize
        count = shapes[known.last][0]
        classes = known.classes if count == len(known.classes.names) else _nameless(count)
    try:
        load_weights(net, state)
    except LoadError as error:
        raise files.FileError(f"open_model: {path}: {error}") from None
    net.eval().to(device)
    return Opened(net, classes, normalize, known)


def is_own(path: str | Path) -> bool:
    """Whether minifcn wrote the file: its metadata then say what it holds."""
    with open(path, "rb") as file:
        if file.read(9)[8:] != b"{":
            return False
    return files.KEY in files.metadata(path)


def _nameless(count: int) -> Classes:
    return Classes(tuple(f"class {k}" for k in range(max(count, 1))))


def _which(path: Path, shapes: Shapes, model: str | None) -> tuple[Known, Shapes]:
    """The network, and the shapes under our names."""
    if model is not None and model not in KNOWN:
        raise ValueError(f"open_model: model is {model!r}, expected one of {', '.join(KNOWN)}")
    for dialect in DIALECTS:
        ours = {dialect.rename(name): shape for name, shape in shapes.items()}
        known = recognise(ours)
        if known is not None and model in (None, known.name):
            return known, ours
        if model is not None and KNOWN[model].last in ours:
            return KNOWN[model], ours
    names = ", ".join(list(shapes)[:4])
    if model is not None:
        raise files.FileError(
            f"open_model: {path}: is no {model}: it has no {KNOWN[model].last} (but {names} ...)"
        )
    raise files.FileError(
        f"open_model: {path}: holds no network known here ({names} ...); "
        f"known are {', '.join(KNOWN)}"
    )
