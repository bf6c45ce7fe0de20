"""overlap: reading, computing and writing at the same time, each in its own thread, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2  # items between two threads: more would only take memory
WAKE = 0.1  # seconds after which who waits looks whether it is over


class _End:
    """No more items, maybe because of an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def overlapped(
    source: Iterable[T], work: Callable[[T], R], finish: Callable[[R], None]
) -> Generator[R, None, None]:
    """Yield work(item) for every item; `source` is read ahead and `finish` runs behind.

    `work` runs in the caller's thread. Whoever closes it early (contextlib.closing), or is thrown
    out of it, lets what was worked on be finished first. An error of the source comes after all
    items before it are finished; one of `finish` ends the loop, and nothing after it is finished.
    """
    read: queue.Queue[Any] = queue.Queue(AHEAD)
    done: queue.Queue[Any] = queue.Queue(AHEAD)
    over = threading.Event()
    failed: list[BaseException] = []

    def reader() -> None:
        end = _End()
        try:
            for item in source:
                if not _put(read, item, over):
                    return
        except BaseException as error:
            end = _End(error)
        _put(read, end, over)

    def finisher() -> None:
        while not isinstance(result := done.get(), _End):
            if not failed:
                try:
                    finish(result)
                except BaseException as error:
                    failed.append(error)

    threads = [threading.Thread(target=task, daemon=True) for task in (reader, finisher)]
    for thread in threads:
        thread.start()
    late: BaseException | None = None
    try:
        while not isinstance(item := read.get(), _End) and not failed:
            result = work(item)
            done.put(result)
            yield result
        late = item.error if isinstance(item, _End) else None
    finally:
        over.set()
        done.put(_End())
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
    if late is not None:
        raise late


def _put(to: queue.Queue[Any], item: Any, over: threading.Event) -> bool:
    """Whether there was room before it was over."""
    while not over.is_set():
        try:
            to.put(item, timeout=WAKE)
        except queue.Full:
            continue
        return True
    return False
