"""modes: what one thread is doing just now: recording? in which layer? with whom?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any


class _Mode(threading.local):
    recording: bool = True
    device: str = "cpu"  # where new tensors are made
    autocast: Any = None  # the region within mf.autocast, see autocast.py
    blank: bool = False  # are new weights zeros, as they will be loaded? see nn/seed.py
    room: int | None = None  # how many weights may still be made, see nn/seed.py
    layer: str = ""  # dotted path of the module that is being called
    communicator: Any = None  # who trains with this process, see train/communicator.py
    trace: Callable[..., None] | None = None  # see anomaly.py
    sketch: Callable[..., Any] | None = None  # instead of every forward, see sketch.py


mode = _Mode()


class recording(ContextDecorator):
    """Within it, operators are recorded for a backward pass, or not.

    Usable as `with recording(False):` and as a decorator; nests, and restores what was before.
    """

    def __init__(self, on: bool = True) -> None:
        self.on = on
        self.outer: list[bool] = []

    def __enter__(self) -> None:
        self.outer.append(mode.recording)
        mode.recording = self.on

    def __exit__(self, *error: object) -> None:
        mode.recording = self.outer.pop()


def no_grad() -> recording:
    """Within it nothing is recorded: `with mf.no_grad(): ...` or `@mf.no_grad()`."""
    return recording(False)


def enable_grad() -> recording:
    """Within it operators are recorded, also inside a `no_grad`."""
    return recording(True)
