"""threads: a large kernel in several threads, each with rows of its own.

NumPy lets go of Python's lock while it multiplies matrices or walks over long runs, and takes it
back between two calls: so threads overlap, but not wholly. Processes do better, and need a batch to
share (docs/processes.md); threads also serve a single image.

A thread ends with its kernel. None is left behind that would make a fork unsafe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from ...shapes import whole

__all__: list[str] = []  # a tool of kernels, not a kernel

WORTH = 1 << 18  # numbers in a result from which a second thread pays

T = TypeVar("T")


class _Threads(threading.local):
    """How many a kernel may take; one in every thread that was not told otherwise."""

    count = 1


_threads = _Threads()


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    """Within it large kernels called by this thread take `count` threads, and BLAS one in each.

    The gradients of weights and of batch norm are then sums of `count` parts, added in order: the
    same bits every time, but not those of another count.

    >>> import minifcn as mf
    >>> with mf.num_threads(2):
    ...     y = mf.functional.relu(mf.tensor([-1.0, 1.0]))
    """
    from threadpoolctl import threadpool_limits

    outer, _threads.count = _threads.count, whole("num_threads", "count", count, 1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        _threads.count = outer


def allowed() -> int:
    """How many threads a kernel of this thread may take."""
    return _threads.count


def shares(rows: int, size: int, multiple: int = 1) -> list[slice]:
    """`rows` in about equal parts, one for each thread, of a result of `size` numbers.

    All but the last have a multiple of `multiple` rows; a small result is one part.
    """
    if _threads.count == 1 or size < WORTH:
        return [slice(0, rows)]
    step = -(-rows // (_threads.count * multiple)) * multiple
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def each(job: Callable[[slice], T], parts: list[slice]) -> list[T]:
    """job(part) for every part, the first in this thread; the results in order."""
    if len(parts) == 1:
        return [job(parts[0])]
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    def work(index: int) -> None:
        try:
            with np.errstate(all="ignore"):  # a thread begins with NumPy's own settings
                results[index] = job(parts[index])
        except BaseException as error:
            errors[index] = error

    others = [threading.Thread(target=work, args=(index,)) for index in range(1, len(parts))]
    for other in others:
        other.start()
    try:
        work(0)
    finally:
        for other in others:  # they write into memory of this call
            other.join()
    for index in sorted(errors):
        raise errors[index]
    return [results[index] for index in range(len(parts))]
