"""refuse: what cannot be a training run, said before anything is done."""

from __future__ import annotations

import os

from ..data import Loader
from ..nn import Module
from ..shapes import flag, one_of, whole
from .communicator import Communicator
from .precision import PRECISIONS


def check(
    model: Module,
    loader: Loader,
    epochs: int,
    evaluate_every: int,
    processes: int,
    communicator: Communicator | None,
    precision: str,
    graph: bool | None,
    read_every: int,
) -> str:
    """The device of a run, if it can be."""
    whole("Trainer", "epochs", epochs, 1)
    whole("Trainer", "evaluate_every", evaluate_every, 1)
    whole("Trainer", "processes", processes, 1)
    whole("Trainer", "read_every", read_every, 1)
    one_of("Trainer", "precision", precision, PRECISIONS)
    if graph is not None:
        flag("Trainer", "graph", graph)
    if processes > 1 and communicator is not None:
        raise ValueError(
            f"Trainer: processes is {processes} and communicator is given, expected one of "
            f"them: a communicator knows how many processes there are"
        )
    if processes > 1 and os.name != "posix":
        raise ValueError(f"Trainer: processes is {processes}, expected 1: this is no POSIX system")
    size = processes if communicator is None else communicator.size
    if size > loader.batch_size:
        raise ValueError(
            f"Trainer: there are {size} processes, but batch_size of the loader is "
            f"{loader.batch_size}, expected an image for each of them"
        )
    if len(loader) < 1:
        raise ValueError("Trainer: the loader has no batches; batch_size exceeds the data set")
    device = device_of(model)
    if device == "cpu" and precision != "float32":
        raise ValueError(
            f"Trainer: precision is {precision!r}, expected 'float32', as the model is on the cpu"
        )
    if device == "cpu" and graph:
        raise ValueError(
            "Trainer: graph is True, expected None or False, as the model is on the cpu"
        )
    if device == "cuda" and size > 1:
        raise ValueError(
            f"Trainer: there are {size} processes, expected 1, as the model is on 'cuda': one "
            f"process trains on one GPU"
        )
    return device


def device_of(model: Module) -> str:
    """Where the parameters of a model are; all in one place."""
    devices = {p.device for p in model.parameters()}
    if len(devices) > 1:
        raise ValueError(
            f"Trainer: parameters of the model are on {' and '.join(sorted(devices))}, expected "
            f"one device; move the model with .to()"
        )
    return devices.pop() if devices else "cpu"
