"""numbers: what the host decides anew for every step, read by kernels from device memory.

A captured step (a CUDA graph) is replayed with the same arguments, so a learning rate or the key of
a dropout mask cannot be an argument. It is a place in device memory, which is written before the
replay. Outside of a capture the place is made on the spot.

    fresh(make, dtype)     the number that `make` gives, now or at every replay
    hold(arrays)           keep what a captured step reads from being freed while it can be replayed
    current.table.flag()   room for what a kernel has found out about a step; read some steps later
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...device import Array, cupy, upload
from .transfer import Pinned

Make = Callable[[], Any]

PLACES = 1024  # numbers of one step
ROOM = 8  # bytes of a place: every dtype lies aligned
FLAGS = 16


class Flags:
    """Whole numbers of one step that the host reads some steps later; below 0 stands for nothing.

    While one is current, `first_bad_label` does not wait for what it finds.
    """

    def __init__(self) -> None:
        self.array: Array = upload(np.full(FLAGS, -1, np.int64))
        self.count = 0

    def flag(self, name: str = "") -> Array:
        """An array of one int64, which a kernel writes in every step."""
        if self.count == FLAGS:
            raise RuntimeError(f"a step checks its labels more than {FLAGS} times")
        self.count += 1
        one: Array = self.array[self.count - 1 : self.count]
        return one

    def place(self, make: Make, dtype: str) -> Array:
        """An array of the number that `make` gives."""
        return _made(make, dtype)


class Table(Flags):
    """The numbers of one captured step; `write` decides them all anew and sends them in one copy.

    `make` runs before every replay, in the order in which the places were asked for; never during
    the capture, as nothing is computed there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.makes: list[tuple[Make, slice, np.dtype[Any]]] = []
        self.held: list[Any] = []
        self.host = Pinned((PLACES * ROOM,), np.uint8)
        self.room: Array = cupy().empty((PLACES * ROOM,), np.uint8)

    def place(self, make: Make, dtype: str) -> Array:
        """An array of one number, which `make` decides for every replay."""
        if len(self.makes) == PLACES:
            raise RuntimeError(f"a step takes more than {PLACES} numbers from the host")
        start, wanted = len(self.makes) * ROOM, np.dtype(dtype)
        where = slice(start, start + wanted.itemsize)
        self.makes.append((make, where, wanted))
        one: Array = self.room[where].view(wanted)
        return one

    def write(self, stream: Any) -> None:
        """Send the numbers of the next replay."""
        host = self.host.lend()
        for make, where, dtype in self.makes:
            host[where].view(dtype)[0] = make()
        self.host.send(self.room, stream)


class _Current(threading.local):
    table: Flags | None = None  # set while a step is captured, or its flags are read later


current = _Current()


@contextmanager
def kept_in(table: Flags) -> Iterator[None]:
    """Within it the numbers of a step come from `table`."""
    outer, current.table = current.table, table
    table.count = 0
    try:
        yield
    finally:
        current.table = outer


def fresh(make: Make, dtype: str) -> Array:
    """A device array of the one number that `make` gives, now or at every replay."""
    if current.table is not None:
        return current.table.place(make, dtype)
    return _made(make, dtype)


def hold(arrays: Any) -> None:
    """Keep arrays for as long as the step lives that is being captured, if one is."""
    if isinstance(current.table, Table):
        current.table.held.append(arrays)


def _made(make: Make, dtype: str) -> Array:
    made: Array = upload(np.array([make()], dtype))
    return made
