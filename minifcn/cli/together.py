"""together: a command that `mpirun` has started several times at once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def started_together(command: str, debug: bool) -> Iterator[Any]:
    """The communicator of the processes that mpirun started, or of this one alone.

    If one of them fails, all end: the others would wait for it for ever.
    """
    from ..train.communicator import One
    from ..train.mpi import MPI, started

    here = started()
    if here is None:
        yield One()
        return
    try:
        team = MPI()
    except ModuleNotFoundError as error:
        if here[1] > 0:  # one complaint is enough
            sys.exit(1)
        raise ValueError(f"mpirun has started {here[0]} processes, but {error}") from error
    try:
        yield team
    except BaseException as error:
        words = "stopped" if isinstance(error, KeyboardInterrupt) else str(error)
        words = traceback.format_exc() if debug else words or type(error).__name__
        team.abort(f"minifcn {command}: {words}")
