"""communicator: what processes that train together have to say to each other.

    all_sum      y = sum_r x_r, added in the order of the ranks: the same bits for all of them
    broadcast    y = x_root
    barrier      nobody goes on before all have come

All processes must make the same calls in the same order. Process `rank` is one of 0 .. size - 1;
rank 0 is the one that prints and writes files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from ..device import Array
from ..modes import mode


class PeerLostError(ConnectionError):
    """A process that trains with this one has ended."""


class Communicator(Protocol):
    """One (alone), Shared (processes of one machine), MPI (several machines)."""

    rank: int
    size: int

    def all_sum(self, array: Array, out: Array | None = None) -> Array:
        """The sum over all processes, in `out` (it may be `array`) or in a new array.

        Shape   the same, and the same dtype, in all processes
        """
        ...

    def broadcast(self, array: Array, root: int = 0) -> Array:
        """The array of process `root`; the others give one of the same shape and dtype."""
        ...

    def barrier(self) -> None:
        """Wait until all have come here."""
        ...

    def close(self) -> None:
        """Leave the others."""
        ...


class One:
    """A process that trains alone.

    >>> One().all_sum(np.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    rank = 0
    size = 1

    def all_sum(self, array: Array, out: Array | None = None) -> Array:
        """The array."""
        if out is None:
            return np.array(array)
        np.copyto(out, array)
        return out

    def broadcast(self, array: Array, root: int = 0) -> Array:
        """The array."""
        return np.array(array)

    def barrier(self) -> None:
        """There is nobody to wait for."""

    def close(self) -> None:
        """There is nobody to leave."""


@contextmanager
def together(team: Communicator) -> Iterator[None]:
    """Within it operators know with whom this thread trains: batch norm does."""
    outer, mode.communicator = mode.communicator, team if team.size > 1 else None
    try:
        yield
    finally:
        mode.communicator = outer


def exchange(team: Communicator, text: str) -> list[str]:
    """The texts of all processes, by rank.

    >>> exchange(One(), "alone")
    ['alone']
    """
    own = np.frombuffer(text.encode(), np.uint8)
    sizes = np.zeros(team.size, np.int64)
    sizes[team.rank] = own.size
    ends = np.cumsum(team.all_sum(sizes))
    letters = np.zeros(ends[-1], np.uint8)
    letters[ends[team.rank] - own.size : ends[team.rank]] = own
    texts = np.split(team.all_sum(letters), ends[:-1])
    return [part.tobytes().decode() for part in texts]
