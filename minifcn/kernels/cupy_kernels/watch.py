"""watch: cuda/train.cu. Whether a step counts, decided on the device; read by the host later.

watch.keep()          before the forward pass: the running statistics as they are
watch.judge(loss)     skip = the loss is nan, or a step since the last reading went wrong
watch.put_back()      the running statistics of before, if skip
watch.read()          (loss, what was wrong) of every step since the last reading
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import Array, cupy, to_host
from .launch import THREADS, program
from .memory import flat
from .numbers import current, fresh

DONE, LABEL, BEFORE = range(3)  # what train.cu records beside the loss


class Watch:
    """The losses of up to `slots` steps, and the flag `skip` (int32) for whoever writes."""

    def __init__(self, buffers: Sequence[Any], slots: int) -> None:
        device = cupy().asarray
        self.buffers = [b for b in buffers if b.size]  # the addresses stay theirs
        for b in self.buffers:
            if not (b.flags.c_contiguous or b.flags.f_contiguous):
                raise ValueError(f"a buffer {b.shape} of the model has gaps in memory")
        starts = np.cumsum([0, *(b.nbytes for b in self.buffers)])
        self.starts: Array = device(starts.astype(np.int64))
        self.addresses: Array = device(np.array([b.data.ptr for b in self.buffers], np.uint64))
        self.room: Array = cupy().empty((int(starts[-1]),), np.uint8)
        self.record: Array = device(np.zeros((slots, 2)))
        self.stopped: Any = device(np.zeros(1, np.int32))
        self.skip: Array = device(np.zeros(1, np.int32))
        self.slots, self.count = slots, 0

    def keep(self) -> None:
        """Remember the buffers."""
        run = program("train", REAL=np.dtype(np.float32))
        run("keep", len(self.buffers), THREADS, self.addresses, self.starts, self.room)

    def judge(self, loss: Array) -> None:
        """Set `skip`, and record the loss in the slot `count`, which is asked for at every step."""
        table = current.table
        flags, count = (None, 0) if table is None else (table.array, table.count)
        slot = fresh(lambda: self.count, "int64")
        run = program("train", REAL=loss.dtype)
        run("judge", 1, 1, flat(loss), flags, count, slot, self.record, self.stopped, self.skip)

    def put_back(self) -> None:
        """The buffers as `keep` saw them, if the step is skipped."""
        run = program("train", REAL=np.dtype(np.float32))
        given = self.skip, self.addresses, self.starts, self.room
        run("put_back", len(self.buffers), THREADS, *given)

    def read(self) -> list[tuple[float, int]]:
        """Wait for all steps since the last reading; the slots are free again."""
        rows = to_host(self.record)[: self.count] if self.count else ()
        self.count = 0
        found = [(float(loss), int(mark)) for loss, mark in rows]
        if any(mark or loss in (np.inf, -np.inf) for loss, mark in found):
            self.stopped.set(np.zeros(1, np.int32))
        return found

    def __bool__(self) -> bool:
        return self.count > 0
