"""lanes: the jobs of a plan, one after the other or in several threads at once.

Jobs come in waves; those of a wave need nothing of each other. A wave that is worth it is cut into
shares of about equal time, one for each lane, and all lanes wait for its end. Which lane does a job
changes nothing in its result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue

import numpy as np

from ...device import Array
from ...modes import no_grad
from .step import Job

WORTH = 1e-4  # seconds that a wave must take for a second lane to pay


class Scratch:
    """Memory of one lane: the numbers of a name are those of whoever asked last."""

    def __init__(self) -> None:
        self.memory: dict[str, Array] = {}
        self.views: dict[tuple[str, tuple[int, ...]], Array] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> Array:
        view = self.views.get((name, shape))
        if view is None:
            size = int(np.prod(shape))
            have = self.memory.get(name)
            if have is None or len(have) < size:
                have = self.memory[name] = np.empty(size, np.float32)
                self.views = {key: v for key, v in self.views.items() if key[0] != name}
            view = self.views[name, shape] = have[:size].reshape(shape)
        return view


class Lanes:
    """Waves of jobs; `run(count)` does them all, in `count` threads."""

    def __init__(self, waves: Sequence[Sequence[Job]]) -> None:
        self.waves = [list(wave) for wave in waves if wave]
        self.seconds = [[float("inf")] * len(wave) for wave in self.waves]  # the least so far
        self.scratch: list[Scratch] = []
        self.shared: dict[int, list[list[list[Job]]]] = {}

    @property
    def nbytes(self) -> int:
        """The scratch memory of all lanes."""
        return sum(a.nbytes for room in self.scratch for a in room.memory.values())

    def measure(self) -> None:
        """Do all jobs in this thread, and remember how long each takes."""
        scratch = self._scratch(1)[0]
        for wave, seconds in zip(self.waves, self.seconds, strict=True):
            for index, job in enumerate(wave):
                start = time.perf_counter()
                job(scratch)
                seconds[index] = min(seconds[index], time.perf_counter() - start)
        self.shared.clear()

    def run(self, count: int) -> None:
        """Do all jobs. Helpers begin and end here, so that no thread is left behind."""
        scratch = self._scratch(count)
        if count == 1:
            for wave in self.waves:
                for job in wave:
                    job(scratch[0])
            return
        shares = self._shares(count)
        helpers = [_Helper(room) for room in scratch[1:]]
        try:
            for share in shares:
                asked = [helper for helper, jobs in zip(helpers, share[1:], strict=False) if jobs]
                for helper, jobs in zip(helpers, share[1:], strict=False):
                    if jobs:
                        helper.todo.put(jobs)
                try:
                    for job in share[0]:
                        job(scratch[0])
                finally:
                    errors = [helper.done.get() for helper in asked]
                for error in errors:
                    if error is not None:
                        raise error
        finally:
            for helper in helpers:
                helper.todo.put(None)
                helper.thread.join()

    def _scratch(self, count: int) -> list[Scratch]:
        while len(self.scratch) < count:
            self.scratch.append(Scratch())
        return self.scratch[:count]

    def _shares(self, count: int) -> list[list[list[Job]]]:
        """For each wave, the jobs of each lane."""
        if count not in self.shared:
            self.shared[count] = [
                cut(wave, seconds, count)
                for wave, seconds in zip(self.waves, self.seconds, strict=True)
            ]
        return self.shared[count]


class _Helper:
    """A thread that does lists of jobs until it gets None."""

    def __init__(self, scratch: Scratch) -> None:
        self.todo: SimpleQueue[list[Job] | None] = SimpleQueue()
        self.done: SimpleQueue[BaseException | None] = SimpleQueue()
        self.scratch = scratch
        self.thread = threading.Thread(target=self._work, name="plan helper", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        with np.errstate(all="ignore"), no_grad():  # a thread begins with settings of its own
            while (jobs := self.todo.get()) is not None:
                error: BaseException | None = None
                try:
                    for job in jobs:
                        job(self.scratch)
                except BaseException as raised:
                    error = raised
                self.done.put(error)


def cut(jobs: list[Job], seconds: list[float], count: int) -> list[list[Job]]:
    """The jobs in `count` shares, in order, the longest as short as it can be; or all in one."""
    total = sum(seconds)
    if total < WORTH or len(jobs) == 1 or not total < float("inf"):
        return [jobs, *([] for _ in range(count - 1))]
    ends = np.cumsum(seconds) - np.asarray(seconds) / 2  # a job goes where its middle lies
    lane = np.minimum((ends / total * count).astype(int), count - 1)
    return [[job for job, n in zip(jobs, lane, strict=True) if n == k] for k in range(count)]
