"""shared: a communicator for processes of one machine: a shared segment, and a socket per pair.

Each process owns two slots of the segment. To add up an array, every process writes a piece of it
into one of its slots, meets the others, and adds up all their slots in the order of the ranks. The
next piece takes the other slot: who has met the others twice since a slot was filled knows that all
have read it, so one meeting per piece is enough.

To meet is to send every other process a token, and to wait for theirs. The socket of a process that
has ended, however it ended, says so at once, and a waiting process takes no processor time.

Cost    per process: the array written once and read `size` times, in pieces that stay in cache
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from ..device import Array
from .communicator import PeerLostError

PIECE = 1 << 19  # bytes of a slot
SPIN = 50e-6  # seconds of asking again and again before going to sleep
TOKEN = struct.Struct("=qq")  # (number of the meeting, bytes of the piece)


class Segment:
    """Memory that processes share: a file without a name, so nothing is left behind."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.memory = mmap.mmap(fd, 0)

    @staticmethod
    def of(ranks: int) -> Segment:
        """Two slots for each of `ranks` processes."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("minifcn")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, 2 * ranks * PIECE)
        return Segment(fd)

    def __reduce__(self) -> Any:
        """How multiprocessing hands it to a process that is being spawned."""
        from multiprocessing.reduction import DupFd

        return _attach, (DupFd(self.fd),)


def _attach(duplicate: Any) -> Segment:
    return Segment(duplicate.detach())


def connect(ranks: int) -> list[list[socket.socket | None]]:
    """table[a][b]: how process a speaks to process b."""
    table: list[list[socket.socket | None]] = [[None] * ranks for _ in range(ranks)]
    for a in range(ranks):
        for b in range(a):
            table[a][b], table[b][a] = socket.socketpair()
    return table


class Shared:
    """One of the processes that share `segment`; `peers[r]` speaks to process r."""

    def __init__(self, rank: int, peers: Sequence[socket.socket | None], segment: Segment) -> None:
        self.rank, self.size = rank, len(peers)
        self.peers = {r: peer for r, peer in enumerate(peers) if peer is not None}
        self.slots = np.frombuffer(segment.memory, np.uint8).reshape(2, self.size, PIECE)
        self.meetings = 0

    def all_sum(self, array: Array, out: Array | None = None) -> Array:
        """The sum over all processes, in `out` or in a new array."""
        out = np.empty(array.shape, array.dtype) if out is None else out
        flat = np.ascontiguousarray(array).reshape(-1)
        total = out.reshape(-1) if out.flags.c_contiguous else np.empty_like(flat)
        step = PIECE // array.itemsize
        for start in range(0, flat.size, step):
            piece = flat[start : start + step]
            slots = self._slots(piece)
            slots[self.rank][:] = piece
            self._meet(piece.nbytes)
            into = total[start : start + step]
            into[:] = slots[0]
            for slot in slots[1:]:
                into += slot
        if not out.flags.c_contiguous:
            out[...] = total.reshape(out.shape)
        return out

    def broadcast(self, array: Array, root: int = 0) -> Array:
        """The array of process `root`."""
        flat = np.array(array, order="C").reshape(-1)
        step = PIECE // array.itemsize
        for start in range(0, flat.size, step):
            piece = flat[start : start + step]
            slot = self._slots(piece)[root]
            if self.rank == root:
                slot[:] = piece
            self._meet(piece.nbytes)
            piece[:] = slot
        return flat.reshape(array.shape)

    def barrier(self) -> None:
        """Wait until all have come here."""
        self._meet(0)

    def close(self) -> None:
        """Leave: the others notice when they next meet."""
        for peer in self.peers.values():
            peer.close()

    def _slots(self, piece: Array) -> list[Array]:
        """Every process's slot for this meeting, seen as room for `piece`."""
        half = self.slots[self.meetings % 2]
        return [half[rank, : piece.nbytes].view(piece.dtype) for rank in range(self.size)]

    def _meet(self, size: int) -> None:
        self.meetings += 1
        token = TOKEN.pack(self.meetings, size)
        try:
            for rank, peer in self.peers.items():  # noqa: B007 - named below
                peer.sendall(token)
            for rank, peer in self.peers.items():
                got = _receive(peer)
                if not got:
                    raise PeerLostError(f"process {rank} of {self.size} has ended")
                if got != token:
                    raise self._apart(rank, size, *TOKEN.unpack(got))
        except PeerLostError:
            raise
        except OSError as error:
            raise PeerLostError(f"process {rank} of {self.size} has ended ({error})") from error

    def _apart(self, rank: int, size: int, meeting: int, other: int) -> RuntimeError:
        """Two processes that do not do the same."""
        return RuntimeError(
            f"Shared: process {rank} brings {other} bytes to meeting {meeting}, but process "
            f"{self.rank} brings {size} to meeting {self.meetings}; all processes must make the "
            f"same calls in the same order"
        )


def _receive(peer: socket.socket) -> bytes:
    """The next token, or b"" if the other side has ended."""
    until = perf_counter() + SPIN
    while perf_counter() < until:
        try:
            return peer.recv(TOKEN.size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue
    return peer.recv(TOKEN.size)
