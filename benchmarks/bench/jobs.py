"""jobs: what a side is asked to do, in its own process: training steps, or inference.

Both are made from plain options, so that they can be asked for through a pipe. `run` times calls
one by one; `compare` writes what they compute, for the script to hold against another side's.
"""

from __future__ import annotations

import time
import traceback
from typing import Any

import numpy as np

from . import nets
from .library import Minifcn, Torch, shapes

LR, MOMENTUM = 0.01, 0.9


def library(name: str, threads: int, channels_last: bool) -> Any:
    """minifcn or torch."""
    return Torch(threads, channels_last) if name == "torch" else Minifcn(threads)


class Job:
    """Something to do again and again."""

    def once(self) -> Any:
        """One call."""
        raise NotImplementedError

    def run(self, count: int) -> dict[str, Any]:
        """Do it `count` times; the seconds of each."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            self.once()
            seconds.append(time.perf_counter() - began)
        return {"seconds": seconds}

    def serve(self, pipes: Any) -> None:
        """Answer requests, (method, options), until none comes."""
        for what, options in pipes:
            try:
                pipes.say(answer=getattr(self, what)(**options))
            except Exception:
                pipes.say(error=traceback.format_exc())


class Training(Job):
    """Steps of SGD with momentum on one batch; images and labels are copied in each time."""

    def __init__(
        self,
        name: str = "minifcn",
        threads: int = 1,
        channels_last: bool = False,
        size: tuple[int, int, int] = (8, 192, 256),
        widths: tuple[int, ...] = nets.WIDTHS,
        dtype: str = "float32",
    ) -> None:
        self.lib = lib = library(name, threads, channels_last)
        images, self.labels = nets.batch(*size)
        self.images = images.astype(dtype)
        self.net = lib.net(nets.fcn(lib.root, tuple(widths)), dtype)
        lib.load(self.net, {n: a.astype(dtype) for n, a in nets.weights(shapes(self.net)).items()})
        self.optimizer = lib.optim.SGD(self.net.parameters(), lr=LR, momentum=MOMENTUM)

    def once(self) -> float:
        """One step, as a user writes it; returns the loss."""
        loss = self._backward()
        self.optimizer.step()
        return loss

    def _backward(self) -> float:
        x, target = self.lib.tensor(self.images), self.lib.tensor(self.labels)
        self.optimizer.zero_grad()
        loss = self.lib.functional.cross_entropy(self.net(x), target)
        loss.backward(retain_graph=False)
        return float(loss.item())

    def compare(self, path: str) -> dict[str, Any]:
        """The first step: its loss, and its gradients to a file; then the loss after the step."""
        loss = self._backward()
        np.savez(path, **self.lib.gradients(self.net))
        self.optimizer.step()
        return {"loss": loss, "next": self._backward()}


class Inference(Job):
    """A network in evaluation, on one photo; the photo is copied in each time."""

    def __init__(
        self,
        name: str = "minifcn",
        threads: int = 1,
        channels_last: bool = False,
        net: str = "fcn",
        size: tuple[int, int, int] = (1, 360, 480),
        dtype: str = "float32",
    ) -> None:
        self.lib = lib = library(name, threads, channels_last)
        self.images = nets.batch(*size)[0].astype(dtype)
        self.net = lib.net(nets.NETS[net](lib.root), dtype)
        lib.load(self.net, {n: a.astype(dtype) for n, a in nets.weights(shapes(self.net)).items()})
        self.net.eval()

    def once(self) -> Any:
        """One photo through the network."""
        with self.lib.root.no_grad():
            return self.lib.numpy(self.net(self.lib.tensor(self.images)))

    def compare(self, path: str) -> dict[str, Any]:
        """The result, to a file."""
        np.savez(path, y=self.once())
        return {}


JOBS: dict[str, type[Job]] = {"training": Training, "inference": Inference}
