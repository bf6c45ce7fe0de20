"""threads: how many of them the matrix products of a training take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

CHOSEN_BY = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS")


@contextmanager
def one_blas_thread(always: bool = False) -> Iterator[None]:
    """Within it NumPy's matrix products take one thread, unless the environment says a number.

    The products of a small network are short: a second thread mostly waits for the first, and on a
    busy machine each waits for the other's turn. The loader's thread has use for that core. Among
    several processes of one machine there is no core to spare, hence `always`.
    """
    if not always and any(os.environ.get(name) for name in CHOSEN_BY):
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
