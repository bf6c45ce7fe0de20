"""gpu_clock: milliseconds on the device, by its own clock, of calls that take turns.

A call is captured into a CUDA graph `REPEAT` times over and the graph is replayed between two
events: what is timed is the kernels, not the Python that launches them. Both libraries are timed
so. Sides take turns within each round; tables show the median over the rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minifcn.device import cupy

REPEAT = 10

Call = Callable[[], Any]


class DisagreementError(Exception):
    """Two sides that should compute the same do not."""


@contextmanager
def going_on(name: str, refused: dict[str, str]) -> Iterator[None]:
    """What goes wrong within it is noted, not raised: nobody watches, and the rest is of use."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, DisagreementError):
            traceback.print_exc()
        refused[name] = f"{type(error).__name__}: {error}"
        print(f"{name}: {refused[name]}", file=sys.stderr, flush=True)


class Ours:
    """Calls of minifcn, captured: replay() gives milliseconds of one call."""

    def __init__(self, call: Call, repeat: int = REPEAT) -> None:
        cp = cupy()
        self.repeat, self.stream = repeat, cp.cuda.Stream(non_blocking=True)
        self.pool = cp.cuda.MemoryPool()  # the graph's own: nobody else may get its memory
        with cp.cuda.using_allocator(self.pool.malloc), self.stream:
            for _ in range(2):
                self.kept = call()
            self.stream.synchronize()
            self.stream.begin_capture()
            for _ in range(repeat):
                self.kept = call()
            self.graph = self.stream.end_capture()
        self.events = cp.cuda.Event(), cp.cuda.Event()

    def replay(self) -> float:
        began, ended = self.events
        began.record(self.stream)
        self.graph.launch(self.stream)
        ended.record(self.stream)
        ended.synchronize()
        return float(cupy().cuda.get_elapsed_time(began, ended)) / self.repeat


class Theirs:
    """The same for PyTorch."""

    def __init__(self, call: Call, repeat: int = REPEAT) -> None:
        import torch

        self.repeat = repeat
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # cuDNN tries its algorithms here
                self.kept = call()
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            for _ in range(repeat):
                self.kept = call()
        self.events = (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))

    def replay(self) -> float:
        began, ended = self.events
        began.record()
        self.graph.replay()
        ended.record()
        ended.synchronize()
        return float(began.elapsed_time(ended)) / self.repeat


def take(sides: Mapping[str, Ours | Theirs], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side; the first round does not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            took = side.replay()
            if turn:
                found[name].append(took)
    return {name: statistics.median(values) for name, values in found.items()}


def wall(call: Call, wait: Call, count: int) -> float:
    """Milliseconds of a call by the host's clock, over `count` of them, the device's work done."""
    wait()
    began = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    return 1e3 * (time.perf_counter() - began) / count


def take_wall(
    sides: Mapping[str, tuple[Call, Call]], rounds: int, count: int
) -> dict[str, list[float]]:
    """Milliseconds a call of each side, (call, wait), round by round; the first does not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, (call, wait) in sides.items():
            took = wall(call, wait, count)
            if turn:
                found[name].append(took)
    return found
