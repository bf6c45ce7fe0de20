"""trainer: the loop: batch, loss, backward, step; with checkpoints that go on bit for bit.

    for each epoch, for each batch (x, target):
        theta <- SGD(theta, d (loss(model(x), target) + regularization) / d theta)

Everything that decides the next batch is in the checkpoint or follows from (seed, epoch, index), so
a run that was stopped goes on as if it had not been.

With several processes each goes through this same loop with its share of every batch. They meet
three times in a step (see gradients.py): to weigh their losses, to add up their gradients, and to
agree on whether to go on. As all then make the same step, all parameters stay the same bits.
"""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..core import Tensor
from ..data import Loader
from ..device import Array
from ..nn import Module
from ..optim import SGD, GradScaler
from ..optim.schedule import Constant, Schedule
from .ahead import READ_EVERY, Ahead
from .checkpoint import restore, spread, store
from .communicator import Communicator, One, together
from .gradients import GradientSum
from .interrupt import Interrupt
from .loss import Loss, segmentation_loss
from .progress import Progress, clock
from .refuse import check
from .step import step
from .streams import gather_streams
from .workers import workers

Evaluate = Callable[[], dict[str, Any]]

CHECKPOINT = "checkpoint.safetensors"


class Trainer:
    """Fit `model` to the batches of `loader`.

    `schedule(step)` multiplies the learning rate of every group. `evaluate()` gives scores (a
    JSON-able dict) after each `evaluate_every` epochs and at the end. With a folder `run` the state
    is saved there after every epoch, every `save_every` seconds, and when Ctrl-C stops the run.

    With `processes` above 1 as many processes of this machine share the work (Linux and macOS);
    with a `communicator` those that it speaks to, each of which has made a trainer like this one.
    The gradient is that of the whole batch. `loss` is a mean over images unless it says what it is
    a mean over (see loss.py). Process 0 alone calls `evaluate`, unless that has a true `shared`.

    A model on "cuda" is trained there, its step repeated as one CUDA graph unless `graph` is
    False or `graph_reason` says why not; losses are read every `read_every` steps (see ahead.py).
    `precision` is that of its products: "float32", "tf32", "float16" or "bfloat16".
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
        processes: int = 1,
        communicator: Communicator | None = None,
        precision: str = "float32",
        graph: bool | None = None,
        read_every: int = READ_EVERY,
    ) -> None:
        device = check(
            model, loader, epochs, evaluate_every, processes, communicator, precision, graph,
            read_every,
        )  # fmt: skip
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
        self.processes = processes
        self.team: Communicator = communicator or One()
        self.streams: list[dict[str, Any]] = []  # of random numbers, by rank, see streams.py
        self.precision = precision
        self.lowered: list[Tensor] = []  # parameters that the last step cast, see precision.py
        self.scaler = GradScaler() if precision == "float16" else None
        self.ahead = Ahead(self, graph, read_every) if device == "cuda" else None
        self.sum_gradients = GradientSum(p for g in optimizer.param_groups for p in g["params"])

    @property
    def step_count(self) -> int:
        """Batches done so far, over all epochs."""
        return self.epoch * len(self.loader) + self.batch

    @property
    def total_steps(self) -> int:
        """Batches of the whole run."""
        return self.epochs * len(self.loader)

    def step(self, x: Array, target: Array) -> float:
        """One update by this process's share of a batch; returns the loss of the whole batch.

        A loss of nan, from a batch without a counted pixel, changes no parameter and no running
        statistic.
        """
        if self.ahead is None:
            return step(self, x, target)
        with self.ahead.running():
            return self.ahead.now(x, target)

    def fit(self) -> list[dict[str, Any]]:
        """Train to the last epoch, or until Ctrl-C; returns the history, one dict per epoch."""
        with Interrupt() as interrupt, self._device():
            if self.processes == 1:
                self._train(interrupt)
            else:
                alone = self.team
                try:
                    with workers(self.processes, self._help, self.__getstate__()) as self.team:
                        self._train(interrupt)
                finally:
                    self.team = alone
        return self.history

    def _device(self) -> AbstractContextManager[None]:
        return nullcontext() if self.ahead is None else self.ahead.running()

    @property
    def graph_reason(self) -> str:
        """Why the steps are no CUDA graph; empty if they are one, or may become one."""
        return "the model is on the cpu" if self.ahead is None else self.ahead.reason

    def _help(self, team: Communicator) -> None:
        """What the other processes of this machine do: the same."""
        self.team = team
        self._train(Interrupt())

    def _train(self, interrupt: Interrupt) -> None:
        stopped = False
        if self.team.size > 1:
            spread(self)
        with together(self.team):
            while self.epoch < self.epochs and not stopped:
                (stopped,) = self._agree(interrupt.asked)
                stopped = stopped or self._one_epoch(interrupt)
        if self.team.size > 1:
            self.streams = gather_streams(self.model, self.team)
        if stopped and self.epoch < self.epochs:
            self.save()
            self.say(
                f"stopped in epoch {self.epoch + 1} of {self.epochs} after batch {self.batch}"
                + (f"; saved in {self.run}, where --resume goes on" if self.run else "")
            )

    def _agree(self, *wishes: bool) -> list[bool]:
        """What one process wishes, all do."""
        return [bool(count) for count in self.team.all_sum(np.array(wishes, np.int64))]

    def _one_epoch(self, interrupt: Interrupt) -> bool:
        """The rest of an epoch; whether it was stopped."""
        title = f"epoch {self.epoch + 1}/{self.epochs}"
        began = saved = time.monotonic()
        self.model.train()
        if self.ahead is not None:
            self.ahead.check()
        share = self.loader.share(self.team.rank, self.team.size)
        with Progress(len(self.loader), title, self.batch, out=self._voice) as bar:
            for x, target in share.epoch(self.epoch, self.batch):
                if self.ahead is None:
                    self.losses.append(self.step(x, target))
                else:
                    self.ahead.send(x, target)
                self.batch += 1
                bar.advance(loss=self.losses[-1])
                due = self.run is not None and time.monotonic() - saved > self.save_every
                stop, save = self._agree(interrupt.asked, due and self.team.rank == 0)
                if stop:
                    return True
                if save:
                    self.save()
                    saved = time.monotonic()
        if self.ahead is not None:
            self.ahead.read()
        self.seconds += time.monotonic() - began
        self._end_epoch(title, time.monotonic() - began)
        return False

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
            row["scores"] = self._scores(self.evaluate)
        self.history.append(row)
        self.save()
        left = self.seconds / self.epoch * (self.epochs - self.epoch)
        shown = "nan" if row["loss"] is None else f"{row['loss']:.4f}"
        scores = "".join(
            f", {name} {value:.4f}"
            for name, value in row.get("scores", {}).items()
            if isinstance(value, float)
        )
        self.say(f"{title}: loss {shown}{scores}, {clock(seconds)} (about {clock(left)} left)")

    def _scores(self, evaluate: Evaluate) -> dict[str, Any]:
        if getattr(evaluate, "shared", False):
            for buffer in self.model.buffers():  # those of batch norm without sync differ
                buffer.copy_(self.team.broadcast(buffer.numpy()))
            return evaluate()
        with together(One()):
            return evaluate() if self.team.rank == 0 else {}

    def save(self) -> None:
        """Write the state to the run's folder, if there is one."""
        if self.ahead is not None:
            self.ahead.read()
        if self.team.size > 1:
            self.streams = gather_streams(self.model, self.team)
        if self.run is not None and self.team.rank == 0:
            self.run.mkdir(parents=True, exist_ok=True)
            store(self.run / CHECKPOINT, self)

    def resume(self) -> bool:
        """Take the state from the run's folder; whether there was one. Process 0 is enough."""
        if self.run is None or not (self.run / CHECKPOINT).is_file():
            return False
        restore(self.run / CHECKPOINT, self)
        return True

    @property
    def _voice(self) -> TextIO:
        """Where to print; process 0 speaks for all."""
        return self.out if self.team.rank == 0 else io.StringIO()

    def say(self, line: str) -> None:
        """Print a line; process 0 speaks for all."""
        self._voice.write(line + "\n")
        self._voice.flush()

    def __getstate__(self) -> dict[str, Any]:
        """What a spawned process is sent."""
        shared = getattr(self.evaluate, "shared", False)
        evaluate = self.evaluate if shared else None
        return {**vars(self), "out": None, "team": One(), "evaluate": evaluate}
