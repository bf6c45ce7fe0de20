"""transfer: batches to the GPU while it still works on earlier ones.

    batch --copy--> pinned host memory --copy stream--> a room on the GPU --kernel--> the input

A copy from pinned memory runs by itself, beside the kernels. There are two of each: while the GPU
reads one, the host fills the other. The input itself stays at one address, as a captured step
needs it, and the kernel that brings it there also puts images into our order in memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ...device import Array, cupy
from ...shapes import Shape
from .memory import empty, put


def pinned(shape: Shape, dtype: Any) -> Array:
    """Host memory that the GPU can read by itself."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    memory = cupy().cuda.alloc_pinned_memory(max(count * dtype.itemsize, 1))
    made: Array = np.frombuffer(memory, dtype, count).reshape(shape)
    return made


class Pinned:
    """Two pinned buffers, used in turn: one is filled while the other is on its way."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        event = cupy().cuda.Event
        self.buffers = [pinned(shape, dtype) for _ in range(2)]
        self.sent = [event(disable_timing=True) for _ in range(2)]
        self.turn = 0

    def lend(self) -> Array:
        """The buffer to fill next; waits until the copy out of it two turns ago is done."""
        self.turn = 1 - self.turn
        self.sent[self.turn].synchronize()  # at once, if there was none
        return self.buffers[self.turn]

    def send(self, to: Any, stream: Any) -> Any:
        """Start the copy of the lent buffer; gives the event of its end."""
        to.set(self.buffers[self.turn], stream=stream)
        self.sent[self.turn].record(stream)
        return self.sent[self.turn]


class Feed:
    """One input of a training: host batches in, a device array that stays where it is."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        cuda = cupy().cuda
        self.host = Pinned(shape, dtype)
        self.rooms = [cupy().empty(shape, dtype) for _ in range(2)]
        self.array = empty(shape, dtype)
        # The rooms may be memory that work sent off earlier still reads.
        self.read = [cuda.get_current_stream().record() for _ in range(2)]

    def fits(self, batch: Array) -> bool:
        """Whether the batch has this feed's shape and dtype."""
        return batch.shape == self.array.shape and batch.dtype == self.array.dtype

    def __call__(self, batch: Array) -> Array:
        """Bring a batch to the device; the array is ready for the current stream."""
        np.copyto(self.host.lend(), batch)
        turn, now, copies = self.host.turn, cupy().cuda.get_current_stream(), _copies()
        copies.wait_event(self.read[turn])
        now.wait_event(self.host.send(self.rooms[turn], copies))
        put(self.rooms[turn], self.array)
        self.read[turn].record(now)
        return self.array


@cache
def _copies() -> Any:
    """The stream on which batches travel."""
    return cupy().cuda.Stream(non_blocking=True)
