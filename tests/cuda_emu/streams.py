"""Streams, events and graphs. Work is done at once, unless a stream captures: then it is kept in a
list, which is the graph, and done at every launch of it.

While a stream captures, what waits for the device is an error, as on a GPU; and so is work on
another stream, which a GPU may allow, but which no step of ours should do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Work = Callable[[], None]


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime."""

    __module__ = "cupy_backends.cuda.api.runtime"


class _Now:
    stream: Stream
    capturing: Stream | None = None


def synchronous(stream: Stream | None) -> None:
    """Refuse what waits for the device while a stream captures."""
    if _Now.capturing is not None:
        raise RuntimeError(
            "the current stream is capturing, so synchronous API calls are disallowed"
        )


def enqueue(work: Work, stream: Stream | None = None) -> None:
    """Do `work` in the order of a stream: now, or when the graph is launched."""
    stream = _Now.stream if stream is None else stream
    if _Now.capturing is None:
        work()
    elif stream is _Now.capturing:
        stream._work.append(work)
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

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        self.ptr = 0 if null else id(self)
        self._work: list[Work] = []
        self._before: list[Stream] = []

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
        return True

    def synchronize(self) -> None:
        if self.is_capturing():
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is "
                "capturing"
            )

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """All work before the event is done already."""

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if _Now.capturing is not None:
            raise CUDARuntimeError("cudaErrorIllegalState: a stream is capturing already")
        _Now.capturing, self._work = self, []

    def end_capture(self) -> Graph:
        if _Now.capturing is not self:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        _Now.capturing = None
        return Graph(self._work)

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

    @property
    def done(self) -> bool:
        return True

    def record(self, stream: Stream | None = None) -> None:
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        synchronous(None)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two recorded events."""
    if start_event._time is None or end_event._time is None:
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: an event was not recorded")
    return 1000 * (end_event._time - start_event._time)


def get_current_stream(device_id: int = -1) -> Stream:
    """`cupy.cuda.get_current_stream`."""
    return _Now.stream
