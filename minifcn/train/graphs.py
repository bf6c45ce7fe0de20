"""graphs: what a recorded step relies on, what it writes, and why a step cannot be recorded."""

from __future__ import annotations

import json
import os
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..versions import PACKAGE, bump_all

if TYPE_CHECKING:
    from .trainer import Trainer

FREE = ("params", "lr", "lr_mult")  # options that may change from step to step


@dataclass(frozen=True, eq=False)
class Parts:
    """All that is fixed in a graph: arrays by identity, settings by value."""

    arrays: tuple[Any, ...]
    settings: tuple[Any, ...]

    @staticmethod
    def of(trainer: Trainer) -> Parts:
        """Those of now."""
        model, optimizer = trainer.model, trainer.optimizer
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        tensors = [*model.parameters(), *model.buffers(), *parameters]
        state = optimizer.momentum_arrays()
        state += [] if trainer.scaler is None else trainer.scaler.arrays()
        settings = [(m, m.training) for m in model.modules()]
        settings += [(p, p.requires_grad) for p in parameters]
        options = [
            {name: value for name, value in group.items() if name not in FREE}
            for group in optimizer.param_groups
        ]
        return Parts((*(t.data for t in tensors), *state), (settings, options, trainer.loss))

    def same(self, other: Parts) -> bool:
        """Whether a graph made with one is right with the other."""
        return (
            len(self.arrays) == len(other.arrays)
            and all(a is b for a, b in zip(self.arrays, other.arrays, strict=True))
            and self.settings == other.settings
        )


class Written:
    """The tensors that a step writes, and the gradients that it leaves."""

    def __init__(self, trainer: Trainer) -> None:
        model, groups = trainer.model, trainer.optimizer.param_groups
        self.parameters = [p for group in groups for p in group["params"]]
        versions = [t._version for t in (*self.parameters, *model.parameters(), *model.buffers())]
        self.counts = {version: version.count for version in versions}

    def end(self) -> None:
        """The step was recorded between the making of this and now."""
        self.versions = [v for v, count in self.counts.items() if v.count != count]
        nodes = [p._node for p in self.parameters if p._node is not None]
        self.gradients = [(node, node.grad) for node in nodes]

    def again(self) -> None:
        """The recorded step ran once more."""
        bump_all(self.versions, "a training step")
        for node, gradient in self.gradients:
            node.grad = gradient


class Host:
    """What the host knows of a training that a step could change: a graph repeats none of it."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.modules = [(path, m, dict(vars(m))) for path, m in trainer.model.named_modules()]
        self.momentum = dict(trainer.optimizer._momentum)
        self.begun = dict(trainer.optimizer._begun)
        self.random = trainer.model.random_state()

    def changed(self) -> str:
        """What is no longer as it was, in words; "" if all is."""
        if _text(self.trainer.model.random_state()) != _text(self.random):
            return "the model draws random numbers on the host"
        for path, module, before in self.modules:
            now = vars(module)
            names = [name for name in now if now[name] is not before.get(name, Host)]
            if names:
                where = f"layer {path}" if path else "the model"
                return f"{where} sets its attribute {names[0]} anew in every step"
        if self.trainer.optimizer._momentum.keys() != self.momentum.keys():
            return "a parameter has a gradient that it did not have before"
        return ""

    def restore(self) -> None:
        """As it was; what a capture made was never computed."""
        for _, module, before in self.modules:
            vars(module).clear()
            vars(module).update(before)
        self.trainer.optimizer._momentum = dict(self.momentum)
        self.trainer.optimizer._begun = dict(self.begun)
        self.trainer.model.load_random_state(self.random)
        if self.trainer.scaler is not None:
            self.trainer.scaler._overflow = None


def _text(state: dict[str, Any]) -> str:
    """The state of generators, to compare: that of some holds arrays."""
    return json.dumps(state, default=np.ndarray.tolist)


def why_not(error: Exception) -> str:
    """Why a step could not be recorded, in one line that names the place in the user's code."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    if "captur" in text:
        text = "the model or the loss waits for a value from the GPU"
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    ours = [place for place in frames if place[0].startswith(PACKAGE)]
    # What lies above our last line: CuPy. Below it: whoever called, the user's model among them.
    called = frames[: frames.index(ours[-1])] if ours else frames
    theirs = [place for place in called if not place[0].startswith(PACKAGE)]
    path, line = (theirs or ours or frames)[-1]
    return f"{text} ({os.path.basename(path)}:{line})"
