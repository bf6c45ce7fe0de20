"""Streams, events and graphs.

The default stream works at once. Any other keeps its work until somebody waits for it, as late as a
GPU may come to it: a copy or a kernel that nobody waits for is then seen by nobody. A stream that
captures keeps its work for good, in a graph, to be done at every launch of that.

While a stream captures, what waits for the device is an error, as on a GPU; and so is work on
another stream, which a GPU may allow, but which no step of ours should do.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

Work = Callable[[], None]


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime."""

    __module__ = "cupy_backends.cuda.api.runtime"


class _Now:
    stream: Stream
    capturing: Stream | None = None


def not_capturing() -> None:
    """Refuse what a graph cannot repeat."""
    if _Now.capturing is not None:
        raise RuntimeError(
            "the current stream is capturing, so synchronous API calls are disallowed"
        )


def synchronous(stream: Stream | None) -> None:
    """Wait for a stream, the current one if it is None; an error while one captures."""
    not_capturing()
    (stream or _Now.stream)._finish()


def device_synchronize() -> None:
    """Wait for all streams."""
    not_capturing()
    finish_all()


def finish_all() -> bool:
    """Do all work there is, unless some is being done; whether it could be."""
    if any(stream._busy for stream in Stream._all):
        return False
    for stream in list(Stream._all):
        stream._finish()
    while orphans:
        orphans.popleft()()
    graveyard.clear()
    return True


# What Python lets go while work is being done, which must not be overtaken by later work.
orphans: deque[Work] = deque()  # of streams that went
graveyard: list[dict[Any, Any]] = []  # of pools: late work may have the addresses


def enqueue(work: Work, stream: Stream | None = None, allocating: bool = False) -> None:
    """Do `work` in the order of a stream: when somebody waits, or when the graph is launched."""
    stream = _Now.stream if stream is None else stream
    if _Now.capturing is None or (allocating and stream is not _Now.capturing):
        stream._add(work)
    elif stream is _Now.capturing:
        stream._captured.append(work)
    else:
        raise CUDARuntimeError(
            "cudaErrorStreamCaptureImplicit: work on another stream than the one that captures"
        )


class Graph:
    """`cupy.cuda.Graph`: the work of a capture."""

    __module__ = "cupy.cuda.graph"

    def __init__(self, work: list[Work]) -> None:
        self._work = work

    def launch(self, stream: Stream | None = None) -> None:
        for work in self._work:
            enqueue(work, stream)

    def upload(self, stream: Stream | None = None) -> None:
        """Nothing to bring anywhere."""


class Stream:
    """`cupy.cuda.Stream`."""

    __module__ = "cupy.cuda.stream"
    null: Stream
    _all: WeakSet[Stream] = WeakSet()

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        self.ptr = 0 if null else id(self)
        self._queue: deque[Work] = deque()
        self._done = 0  # how much of the work there ever was
        self._busy = False
        self._captured: list[Work] = []
        self._before: list[Stream] = []
        Stream._all.add(self)

    def __del__(self) -> None:
        if sys.is_finalizing():
            return
        if any(stream._busy for stream in Stream._all):
            orphans.extend(self._queue)
        else:
            self._finish()  # a stream that goes leaves its work to be done

    def _add(self, work: Work) -> None:
        self._queue.append(work)
        if self.ptr == 0:
            self._finish()

    @property
    def _mark(self) -> int:
        """The end of the work that was sent off so far."""
        return self._done + len(self._queue)

    def _finish(self, mark: int | None = None) -> None:
        """Do all work, or that up to a mark; what is asked within it comes in its turn."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue and (mark is None or self._done < mark):
                work = self._queue.popleft()
                self._done += 1
                work()
        finally:
            self._busy = False

    def __enter__(self) -> Stream:
        self._before.append(_Now.stream)
        _Now.stream = self
        return self

    def __exit__(self, *_: object) -> None:
        _Now.stream = self._before.pop()

    def use(self) -> Stream:
        _Now.stream = self
        return self

    @property
    def done(self) -> bool:
        self._finish()  # who asks often enough is told so
        return True

    def synchronize(self) -> None:
        if self.is_capturing():
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is "
                "capturing"
            )
        self._finish()

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        if self.is_capturing() and event._stream is not self:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureIsolation: a graph cannot wait for work outside of it"
            )
        if event._stream is not None and event._stream is not self:
            stream, mark = event._stream, event._mark
            self._add(lambda: stream._finish(mark))

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if _Now.capturing is not None:
            raise CUDARuntimeError("cudaErrorIllegalState: a stream is capturing already")
        _Now.capturing, self._captured = self, []

    def end_capture(self) -> Graph:
        if _Now.capturing is not self:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        _Now.capturing = None
        return Graph(self._captured)

    def is_capturing(self) -> bool:
        return _Now.capturing is self


Stream.null = _Now.stream = Stream(null=True)


class Event:
    """`cupy.cuda.Event`; it knows the time of the host."""

    __module__ = "cupy.cuda.stream"

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self._time: float | None = None
        self._stream: Stream | None = None
        self._mark = 0

    @property
    def done(self) -> bool:
        self._wait()  # who asks often enough is told so
        return True

    def record(self, stream: Stream | None = None) -> None:
        self._stream = _Now.stream if stream is None else stream
        self._mark, self._time = self._stream._mark, time.perf_counter()

    def synchronize(self) -> None:
        if _Now.capturing is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: a stream is capturing")
        self._wait()

    def _wait(self) -> None:
        if self._stream is not None:
            self._stream._finish(self._mark)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two recorded events."""
    if start_event._time is None or end_event._time is None:
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: an event was not recorded")
    return 1000 * (end_event._time - start_event._time)


def get_current_stream(device_id: int = -1) -> Stream:
    """`cupy.cuda.get_current_stream`."""
    return _Now.stream
