"""shared: the training step by minifcn's Trainer with several processes.

The trainer runs all the time, in its `fit`; its loader hands out the batch when a step is asked
for. At that moment it opens the gate of every worker too: none works ahead of the clock.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minifcn.data import HotDogs, Loader
from minifcn.train import Trainer

from . import nets
from .jobs import Job, Training


class ClosedError(Exception):
    """Nobody asks any more."""


@dataclass(frozen=True)
class Batches(Loader):
    """A loader that hands out always the same batch, in shares of whole images, when asked for."""

    job: Any = None

    def epoch(self, e: int, start: int = 0) -> Iterator[Any]:
        rank, size = self.part
        count = len(self.job.images)
        first, last = count * rank // size, count * (rank + 1) // size
        batch = self.job.images[first:last], self.job.labels[first:last]
        return self.job.followed(batch, rank) if rank else self.job.answered(batch)


class SharedTraining(Job):
    """As jobs.Training, by `processes` processes."""

    def __init__(
        self,
        name: str = "minifcn",
        threads: int = 1,
        processes: int = 2,
        size: tuple[int, int, int] = (8, 192, 256),
        widths: tuple[int, ...] = nets.WIDTHS,
    ) -> None:
        alone = Training(name, threads, size=size, widths=widths)
        self.lib, self.net = alone.lib, alone.net
        self.images, self.labels = alone.images, alone.labels
        self.gates = [os.pipe() for _ in range(processes)]
        loader = Batches(HotDogs(size[0]), size[0], job=self)
        self.trainer = Trainer(
            self.net,
            alone.optimizer,
            loader,
            epochs=1,
            out=io.StringIO(),
            processes=processes,
        )

    def serve(self, pipes: Any) -> None:
        """Train until nobody asks any more."""
        self.pipes = pipes
        try:
            self.trainer.fit()
        except ClosedError:
            pass

    def answered(self, batch: Any) -> Iterator[Any]:
        """The batches of process 0: one for each step that a request needs."""
        for what, options in self.pipes:
            seconds = []
            for _ in range(options["count"] if what == "run" else 2):
                began = time.perf_counter()
                for _, gate in self.gates[1:]:
                    os.write(gate, b"!")
                yield batch  # the trainer makes its step
                seconds.append(time.perf_counter() - began)
                if what == "compare" and len(seconds) == 1:
                    np.savez(options["path"], **self.lib.gradients(self.net))
            loss, after = self.trainer.losses[-2:] if what == "compare" else (0.0, 0.0)
            compared = {"loss": loss, "next": after}
            self.pipes.say(answer={"seconds": seconds} if what == "run" else compared)
        self.close_gates()  # or the workers wait on
        raise ClosedError

    def followed(self, batch: Any, rank: int) -> Iterator[Any]:
        """The batches of another process: one whenever the gate opens."""
        self.close_gates()
        while os.read(self.gates[rank][0], 1):
            yield batch

    def close_gates(self) -> None:
        """This process's ends for opening them."""
        for _, gate in self.gates:
            os.close(gate)


JOBS: dict[str, type[Job]] = {"shared training": SharedTraining}
