"""worker: one thread that runs the network, and what waits for it: the newest frame of each client.

A frame that arrives while another of the same client waits takes its place in the line, and the
older one is refused. So nothing queues up: a slow network shows fewer frames, not older ones, and
clients take turns.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from ..images import UInt8
from ..infer import Prediction, Predictor
from ..kernels.numpy_kernels.threads import num_threads
from ..train.threads import cores
from .refusal import Refusal

WARM = (360, 480)  # a frame that is predicted before the first one comes


@dataclass(frozen=True)
class Frame:
    """A picture that waits for its prediction."""

    photo: UInt8
    probability: bool
    answer: Future[Prediction] = field(default_factory=Future)


class Worker:
    """`ask` from any thread; the network runs in one of its own."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = replace(predictor, planned=True)
        self.sized: dict[int, Predictor] = {}  # each measures its memory once
        self.waiting: dict[str, Frame] = {}  # client -> frame, who waits longest first
        self.changed = threading.Condition()
        self.stopping = False
        self.frames = 0
        self.ready: Future[None] = Future()
        self.thread = threading.Thread(target=self._run, name="minifcn live: network", daemon=True)

    def start(self) -> None:
        """Predict a grey frame, so that a network that cannot run is known at once; then serve."""
        self.thread.start()
        self.ready.result()

    def stop(self) -> None:
        """Refuse what waits, finish what runs, end the thread."""
        with self.changed:
            self.stopping = True
            left, self.waiting = list(self.waiting.values()), {}
            self.changed.notify_all()
        for frame in left:
            frame.answer.set_exception(Refusal(503, "the server is stopping"))
        if self.thread.is_alive():
            self.thread.join()

    def ask(self, client: str, photo: UInt8, *, probability: bool = False) -> Future[Prediction]:
        """The prediction of a photo, when its turn has come; Refusal if a newer one overtook it."""
        frame = Frame(photo, probability)
        with self.changed:
            if self.stopping:
                raise Refusal(503, "the server is stopping")
            older = self.waiting.get(client)
            self.waiting[client] = frame  # a client that is there keeps its place in the line
            self.changed.notify()
        if older is not None:
            older.answer.set_exception(Refusal(409, "a newer frame of this client took its place"))
        return frame.answer

    def _run(self) -> None:
        with num_threads(cores()):
            try:
                for _ in range(2):  # a plan is made for what comes again, see infer/plan
                    self._predict(Frame(np.full((*WARM, 3), 128, np.uint8), False))
            except BaseException as error:
                self.ready.set_exception(error)
                return
            self.ready.set_result(None)
            while (frame := self._next()) is not None:
                try:
                    seen = self._predict(frame)
                except Exception as error:  # whatever one frame does, the next one is served
                    frame.answer.set_exception(error)
                else:
                    self.frames += 1
                    frame.answer.set_result(seen)

    def _next(self) -> Frame | None:
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.stopping)
            if self.stopping:
                return None
            return self.waiting.pop(next(iter(self.waiting)))

    def _predict(self, frame: Frame) -> Prediction:
        k = self.predictor.shrink_for(frame.photo)
        if k not in self.sized:
            self.sized[k] = replace(self.predictor, shrink=k)
        start = time.perf_counter()
        seen = self.sized[k](frame.photo, probability=frame.probability)
        return replace(seen, seconds=time.perf_counter() - start)
