"""capture: a training step as one CUDA graph: recorded once, then sent off in one call.

    with own_stream() as stream:
        recorded = Recorded(step, stream)     # runs `step` once; nothing is computed
        recorded()                            # computes it; as often as one likes

A graph repeats the same kernels at the same addresses. So all that is allocated during the capture
comes from a pool of its own, which lives as long as the graph: memory that one kernel of the step
has done with serves a later one, but nobody else. Numbers that change are in a Table. Whatever asks
for a value on the host cannot be captured: CuPy refuses it, and `Recorded` raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from ...device import cupy
from .numbers import Table, kept_in


class Recorded:
    """`step` as a graph on `stream`; `result` is what it gave: arrays that every call writes."""

    def __init__(self, step: Callable[[], Any], stream: Any) -> None:
        cuda = cupy().cuda
        self.stream, self.table, self.pool = stream, Table(), cuda.MemoryPool()
        cupy().get_default_memory_pool().free_all_blocks()  # what steps without a graph have left
        with cuda.using_allocator(self.pool.malloc), kept_in(self.table):
            stream.begin_capture()
            try:
                self.result = step()
            except BaseException:
                with suppress(Exception):  # a capture that was broken off says so again
                    stream.end_capture()
                raise
            self.graph = stream.end_capture()

    def __call__(self) -> None:
        """Compute the step once more, with the numbers of now."""
        self.table.write(self.stream)
        self.graph.launch(self.stream)

    @property
    def nbytes(self) -> int:
        """Device memory that the graph holds."""
        return int(self.pool.total_bytes())


@contextmanager
def own_stream() -> Iterator[Any]:
    """Within it work goes to a stream that can be captured, after all that was sent off before.

    What comes after waits for it in turn; the host never does.
    """
    outer, stream = cupy().cuda.get_current_stream(), _stream()
    if outer is stream:
        yield stream
        return
    stream.wait_event(outer.record())
    with stream:
        try:
            yield stream
        finally:
            outer.wait_event(stream.record())


@cache
def _stream() -> Any:
    """One for the process: memory that is free on a stream is free for that stream alone."""
    return cupy().cuda.Stream(non_blocking=True)


def peak_bytes(run: Callable[[], Any]) -> int:
    """Device memory that `run` takes at its peak."""
    cuda = cupy().cuda
    pool = cuda.MemoryPool()
    with cuda.using_allocator(pool.malloc):
        run()
    return int(pool.total_bytes())
