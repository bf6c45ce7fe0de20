"""mpi: a communicator for processes of several machines, as `mpirun` starts them (mpi4py).

The sums are taken here and not by MPI, whose order of adding up is its own affair.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..device import Array

PIECE = 1 << 20  # bytes of each process that are exchanged at a time
STARTERS = {  # what mpirun tells its processes: (how many they are, which one this is)
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE": "PMI_RANK",
    "MV2_COMM_WORLD_SIZE": "MV2_COMM_WORLD_RANK",
}


def started(environ: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """(size, rank) of this process if an `mpirun` of more than one process started it.

    >>> started({"PMI_SIZE": "4", "PMI_RANK": "2"})
    (4, 2)
    """
    for size, rank in STARTERS.items():
        if environ.get(size, "").isdigit() and int(environ[size]) > 1:
            return int(environ[size]), int(environ.get(rank, "0"))
    return None


class MPI:
    """The processes of an MPI communicator, all of `mpirun`'s unless another is given."""

    def __init__(self, comm: Any = None) -> None:
        if comm is None:
            try:
                from mpi4py import MPI as library  # noqa: N811 - this class has its name
            except ImportError as error:
                raise ModuleNotFoundError(
                    f'MPI: mpi4py is not to be had ({error}); pip install "minifcn[mpi]"'
                ) from error
            comm = library.COMM_WORLD
        self.comm = comm
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def all_sum(self, array: Array, out: Array | None = None) -> Array:
        """The sum over all processes, in `out` or in a new array."""
        out = np.empty(array.shape, array.dtype) if out is None else out
        flat = np.ascontiguousarray(array).reshape(-1)
        total = np.empty_like(flat)
        step = PIECE // array.itemsize
        room = np.empty((self.size, min(step, flat.size)), array.dtype)
        for start in range(0, flat.size, step):
            piece = flat[start : start + step]
            parts = room.reshape(-1)[: self.size * piece.size].reshape(self.size, piece.size)
            self.comm.Allgather(_bytes(piece), _bytes(parts))
            into = total[start : start + step]
            into[:] = parts[0]
            for part in parts[1:]:
                into += part
        out[...] = total.reshape(out.shape)
        return out

    def broadcast(self, array: Array, root: int = 0) -> Array:
        """The array of process `root`."""
        made = np.array(array, order="C")
        if made.size:
            self.comm.Bcast(_bytes(made), root)
        return made

    def barrier(self) -> None:
        """Wait until all have come here."""
        self.comm.Barrier()

    def close(self) -> None:
        """MPI ends with the process."""

    def abort(self, words: str) -> None:
        """End all processes, as one of them has failed: the others would wait for it for ever.

        An error of them all (a missing file) is told by rank 0 alone: the others let it go first.
        """
        time.sleep(0.0 if self.rank == 0 else 1.0)
        where = "" if self.rank == 0 else f" (process {self.rank} of {self.size})"
        print(f"{words}{where}", file=sys.stderr, flush=True)
        time.sleep(0.2)  # mpirun forwards what was printed, if it is there before the end
        self.comm.Abort(1)


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)
