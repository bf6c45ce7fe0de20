"""trainer: the loop: batch, loss, backward, step; with checkpoints that go on bit for bit.

    for each epoch, for each batch (x, target):
        theta <- SGD(theta, d (loss(model(x), target) + regularization) / d theta)

Everything that decides the next batch is in the checkpoint or follows from (seed, epoch, index), so
a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from .. import functional as F
from ..core import Tensor, as_tensor
from ..data import Loader
from ..device import Array
from ..nn import Module
from ..optim import SGD
from ..optim.schedule import Constant, Schedule
from ..shapes import whole
from .checkpoint import restore, store
from .interrupt import Interrupt
from .progress import Progress, clock

Loss = Callable[[Tensor, Array], Tensor]
Evaluate = Callable[[], dict[str, Any]]

CHECKPOINT = "checkpoint.safetensors"


def segmentation_loss(ignore_index: int = -100, weight: Array | None = None) -> Loss:
    """Cross-entropy over all pixels but those labelled `ignore_index`, weighted by class."""

    def loss(logits: Tensor, target: Array) -> Tensor:
        return F.cross_entropy(logits, target, weight=weight, ignore_index=ignore_index)

    return loss


class Trainer:
    """Fit `model` to the batches of `loader`.

    `schedule(step)` multiplies the learning rate of every group. `evaluate()` gives scores (a
    JSON-able dict) after each `evaluate_every` epochs and at the end. With a folder `run` the state
    is saved there after every epoch, every `save_every` seconds, and when Ctrl-C stops the run.
    """

    def __init__(
        self,
        model: Module,
        optimizer: SGD,
        loader: Loader,
        *,
        epochs: int,
        loss: Loss | None = None,
        schedule: Schedule | None = None,
        evaluate: Evaluate | None = None,
        evaluate_every: int = 1,
        run: str | Path | None = None,
        save_every: float = 120.0,
        out: TextIO | None = None,
    ) -> None:
        whole("Trainer", "epochs", epochs, 1)
        whole("Trainer", "evaluate_every", evaluate_every, 1)
        if len(loader) < 1:
            raise ValueError("Trainer: the loader has no batches; batch_size exceeds the data set")
        self.model, self.optimizer, self.loader = model, optimizer, loader
        self.epochs, self.loss = epochs, loss or segmentation_loss()
        self.schedule = schedule or Constant()
        self.evaluate, self.evaluate_every = evaluate, evaluate_every
        self.run = None if run is None else Path(run)
        self.save_every = save_every
        self.out = sys.stderr if out is None else out
        self.epoch, self.batch, self.skipped = 0, 0, 0
        self.losses: list[float] = []  # one per batch; nan for a skipped one
        self.history: list[dict[str, Any]] = []  # one per epoch
        self.seconds = 0.0

    @property
    def step_count(self) -> int:
        """Batches done so far, over all epochs."""
        return self.epoch * len(self.loader) + self.batch

    @property
    def total_steps(self) -> int:
        """Batches of the whole run."""
        return self.epochs * len(self.loader)

    def step(self, x: Array, target: Array) -> float:
        """One update; returns the loss.

        A loss of nan, from a batch without a counted pixel, changes no parameter and no running
        statistic.
        """
        self.optimizer.zero_grad()
        before = [(buffer, buffer.numpy().copy()) for buffer in self.model.buffers()]
        loss = self.loss(self.model(as_tensor(x)), target)
        value = float(loss.item())
        if math.isnan(value):
            for buffer, values in before:
                buffer.copy_(values)
            return self._skip()
        if math.isinf(value):
            raise FloatingPointError(
                f"Trainer: the loss is {value} at step {self.step_count}; use a smaller lr, or "
                f"find the operator with mf.detect_anomaly()"
            )
        (loss + self.model.regularization()).backward(retain_graph=False)
        self.optimizer.step(self.schedule(self.step_count))
        return value

    def _skip(self) -> float:
        """A batch whose loss is nan: skipped if the parameters are sound, else an error."""
        for name, parameter in self.model.named_parameters():
            if not _finite(parameter.data):
                raise FloatingPointError(
                    f"Trainer: the loss is nan at step {self.step_count} and parameter {name} is "
                    f"not finite; use a smaller lr, or find the operator with mf.detect_anomaly()"
                )
        if self.skipped == 0:
            self._say(
                f"step {self.step_count}: the loss is nan, as no pixel of the batch counts; batch "
                f"skipped (later ones are only counted)"
            )
        self.skipped += 1
        return math.nan

    def fit(self) -> list[dict[str, Any]]:
        """Train to the last epoch, or until Ctrl-C; returns the history, one dict per epoch."""
        with Interrupt() as interrupt:
            while self.epoch < self.epochs and not interrupt.asked:
                self._one_epoch(interrupt)
        if interrupt.asked and self.epoch < self.epochs:
            self.save()
            self._say(
                f"stopped in epoch {self.epoch + 1} of {self.epochs} after batch {self.batch}"
                + (f"; saved in {self.run}, where --resume goes on" if self.run else "")
            )
        return self.history

    def _one_epoch(self, interrupt: Interrupt) -> None:
        title = f"epoch {self.epoch + 1}/{self.epochs}"
        began = saved = time.monotonic()
        self.model.train()
        with Progress(len(self.loader), title, self.batch, out=self.out) as bar:
            for x, target in self.loader.epoch(self.epoch, self.batch):
                value = self.step(x, target)
                self.losses.append(value)
                self.batch += 1
                bar.advance(loss=value)
                if interrupt.asked:
                    return
                if self.run and time.monotonic() - saved > self.save_every:
                    self.save()
                    saved = time.monotonic()
        self.seconds += time.monotonic() - began
        self._end_epoch(title, time.monotonic() - began)

    def _end_epoch(self, title: str, seconds: float) -> None:
        recent = [loss for loss in self.losses[-len(self.loader) :] if not math.isnan(loss)]
        row: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "loss": sum(recent) / len(recent) if recent else None,
            "seconds": seconds,
        }
        self.epoch, self.batch = self.epoch + 1, 0
        due = self.epoch % self.evaluate_every == 0 or self.epoch == self.epochs
        if self.evaluate is not None and due:
            self.model.eval()
            row["scores"] = self.evaluate()
        self.history.append(row)
        self.save()
        left = self.seconds / self.epoch * (self.epochs - self.epoch)
        shown = "nan" if row["loss"] is None else f"{row['loss']:.4f}"
        scores = "".join(
            f", {name} {value:.4f}"
            for name, value in row.get("scores", {}).items()
            if isinstance(value, float)
        )
        self._say(f"{title}: loss {shown}{scores}, {clock(seconds)} (about {clock(left)} left)")

    def save(self) -> None:
        """Write the state to the run's folder, if there is one."""
        if self.run is not None:
            self.run.mkdir(parents=True, exist_ok=True)
            store(self.run / CHECKPOINT, self)

    def resume(self) -> bool:
        """Take the state from the run's folder; whether there was one."""
        if self.run is None or not (self.run / CHECKPOINT).is_file():
            return False
        restore(self.run / CHECKPOINT, self)
        return True

    def _say(self, line: str) -> None:
        self.out.write(line + "\n")
        self.out.flush()


def _finite(array: Array) -> bool:
    return bool(abs(array).max() < math.inf) if array.size else True
