"""numbers: what the host decides anew for every step, read by kernels from device memory.

A captured step (a CUDA graph) is replayed with the same arguments, so a learning rate or the key of
a dropout mask cannot be an argument. It is a place in device memory, which is written before the
replay. Outside of a capture the place is made on the spot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ...device import Array, cupy

Make = Callable[[], Any]


class Table(Protocol):
    """The numbers of one captured step; it calls every `make` again, in order, for each replay."""

    def place(self, make: Make, dtype: str) -> Array:
        """An array of one number, which `make` decides for every replay."""


class _Current(threading.local):
    table: Table | None = None  # set while a step is captured


current = _Current()


def fresh(make: Make, dtype: str) -> Array:
    """A device array of the one number that `make` gives, now or at every replay."""
    if current.table is not None:
        return current.table.place(make, dtype)
    made: Array = cupy().asarray(np.array([make()], dtype))
    return made
