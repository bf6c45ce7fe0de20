"""memory: how the arrays of the NumPy kernels lie, and the blocks that they are cut from.

A tensor is N C H W for everyone. In memory its pixels lie row by row, and each pixel holds its N C
numbers side by side: the order H W N C. A row of pixels is then one long run for ufuncs and one
matrix (W N) x C for the matrix product, at every batch size.

    empty((N, C, H, W), dtype)    an N C H W view of such memory
    pixels(x)                     the same numbers seen as H W N C; a foreign layout is copied once
    framed(x, near, size)         H' W' N C: x with zeros around it

Around its pixels a block has spare room, one pixel at every side. `framed` writes zeros into the
room of x and hands out the whole: a 3x3 convolution is padded for the price of the border.
The room belongs to nobody, so whoever wants zeros there writes them, every time; and that it is
there is the block's own record, never inferred from strides.

Memory that nobody looks at any more serves the next array of about its size: a fresh 50 MB array
costs a page fault per 4 KiB. The array cut from a block has the `Block` as its base, as all views
of it have through it, so the block comes back exactly when the last view dies.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from math import prod
from typing import Any

import numpy as np

from ...device import Array
from ...shapes import Pair, Shape

__all__ = ["memory_counts", "release_memory"]

SMALL = 16 << 10  # bytes; what is smaller is not worth cutting to pieces
LARGE = 64 << 10  # bytes; what is smaller NumPy's own allocator gives as fast
ALIGN = 64  # bytes: a cache line
LOOSE = 1.25  # a free piece serves a request this much smaller
KEEP = 1.5  # live and free bytes together, as a multiple of the most that ever lived at once
SPARE = 64 << 20  # bytes; so much more than has lived at once is always kept: small nets need it
ROOM = 1  # pixels at every side: what a 3x3 kernel with padding 1 looks at
LEAST = 64  # pixels; smaller images get no room, which would outweigh them
TINY = 8 << 10  # bytes; nor do these: it is less work to copy them than to manage the room


class Memory(np.ndarray[Any, Any]):
    """Bytes that outlive the arrays cut from them; `start` is the first aligned one."""

    start: int


def from_system(size: int) -> Memory:
    """New memory."""
    return np.ndarray.__new__(Memory, (size,), np.uint8)


class Block(np.ndarray[Any, Any]):
    """A loan of memory: the base of one array, and returned when that array's last view dies."""

    start: int = 0  # its first aligned byte
    image: tuple[int, Shape] | None = None  # (address, N C H W) of the pixels, if there is room
    offset: int = 0  # bytes from the first byte to the first pixel


class Loan(weakref.ref[Block]):
    """Which memory a block has; it goes to its callback when the block dies.

    The callback is no Python code, as `__del__` would be, in which a Ctrl-C is lost.
    """

    memory: Memory


class _Pool:
    """Free pieces of memory, oldest first."""

    def __init__(self) -> None:
        self.loans: dict[int, Loan] = {}  # by id: the callbacks of those that nobody holds are lost
        self.returned: deque[Loan] = deque()  # at any moment: appending is atomic
        self.free: list[Memory] = []
        self.lock = threading.Lock()
        self.fresh = self.reused = 0  # how many loans were new memory, and how many were not
        self.total = self.most = self.idle = 0  # bytes: all, most ever on loan, free
        self.peak = 0  # bytes: most on loan since `reset_peak`
        self.converted = 0  # images brought from another layout

    def lend(self, size: int) -> Block:
        # Nobody waits: a signal's handler could interrupt who holds the lock, and wait forever.
        if size < LARGE or not self.lock.acquire(blocking=False):
            return np.ndarray.__new__(Block, (size,), np.uint8)
        try:
            self.collect()
            memory = self.fitting(size)
            if memory is None:
                memory = self.new(size)
            live = self.total - self.idle
            self.most, self.peak = max(self.most, live), max(self.peak, live)
            block: Block = memory.view(Block)
            block.start = memory.start
            loan = Loan(block, self.returned.append)
            loan.memory = memory
            self.loans[id(loan)] = loan
        finally:
            self.lock.release()
        return block

    def collect(self) -> None:
        while self.returned:
            loan = self.returned.popleft()
            del self.loans[id(loan)]
            self.free.append(loan.memory)
            self.idle += loan.memory.size

    def fitting(self, size: int) -> Memory | None:
        """The smallest free piece that is large enough, of equals the last one used."""
        need, best = size + ALIGN, None
        for index, memory in enumerate(self.free):
            if need <= memory.size <= need * LOOSE and (
                best is None or memory.size <= self.free[best].size
            ):
                best = index
        if best is None:
            return None
        self.reused += 1
        memory = self.free.pop(best)
        self.idle -= memory.size
        return memory

    def new(self, size: int) -> Memory:
        size += ALIGN
        most = max(self.most, self.total - self.idle + size)
        self.drop(self.total + size - max(int(KEEP * most), most + SPARE))
        try:
            memory = from_system(size)
        except MemoryError:
            self.drop(self.idle)
            memory = from_system(size)
        memory.start = -memory.ctypes.data % ALIGN
        self.fresh += 1
        self.total += size
        return memory

    def drop(self, excess: int) -> None:
        """Give the oldest free pieces back to the system until `excess` bytes are gone."""
        while excess > 0 and self.free:
            size = self.free.pop(0).size
            excess, self.idle, self.total = excess - size, self.idle - size, self.total - size


_pool = _Pool()


def memory_counts() -> dict[str, int]:
    """Large arrays so far: fresh, reused, converted to H W N C; bytes live, free, most live."""
    with _pool.lock:
        _pool.collect()
        return {
            "fresh": _pool.fresh,
            "reused": _pool.reused,
            "converted": _pool.converted,
            "live": _pool.total - _pool.idle,
            "free": _pool.idle,
            "peak": _pool.peak,
        }


def reset_peak() -> int:
    """Let the peak of live bytes begin anew; returns the bytes that live now."""
    with _pool.lock:
        _pool.collect()
        _pool.peak = _pool.total - _pool.idle
        return _pool.peak


def release_memory() -> None:
    """Give all free memory back to the system.

    >>> import minifcn as mf
    >>> mf.release_memory()
    >>> mf.memory_counts()["free"]
    0
    """
    with _pool.lock:
        _pool.collect()
        _pool.drop(_pool.idle)


def buffer(shape: Shape, dtype: Any) -> Array:
    """An array in C order, not yet filled; large ones are cut from blocks."""
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    block = _pool.lend(size)
    return np.ndarray(shape, dtype, block, block.start)


def empty(shape: Shape, dtype: Any) -> Array:
    """An N C H W array that lies H W N C, with room around the pixels; others lie in C order."""
    if len(shape) != 4:
        return buffer(shape, dtype)
    N, C, H, W = shape
    dtype = np.dtype(dtype)
    if H * W < LEAST or prod(shape) * dtype.itemsize < TINY:
        return buffer((H, W, N, C), dtype).transpose(2, 3, 0, 1)
    item = dtype.itemsize
    pixel = N * C * item
    row = (W + 2 * ROOM) * pixel
    block = _pool.lend((H + 2 * ROOM) * row)
    block.offset = block.start + ROOM * (row + pixel)
    x = np.ndarray(shape, dtype, block, block.offset, (C * item, item, row, pixel))
    block.image = address(x), shape
    return x


def address(x: Array) -> int:
    """Of the first element."""
    place: int = x.__array_interface__["data"][0]
    return place


def lies_by_pixels(x: Array) -> bool:
    """Whether the N C numbers of a pixel lie side by side, and its neighbour right behind them."""
    N, C, H, W = x.shape
    n, c, _, w = x.strides
    item = x.itemsize
    return (
        (C <= 1 or c == item)
        and (N <= 1 or n == C * item)
        and (W <= 1 or w == N * C * item)
        and (H <= 1 or x.strides[2] >= W * N * C * item)
    ) or x.size == 0


def pixels(x: Array) -> Array:
    """x as H W N C, each row one run in memory; copied if it lies otherwise."""
    N, C, H, W = x.shape
    if not lies_by_pixels(x):
        made = buffer((H, W, N, C), x.dtype)
        _copy(made, x)
        return made
    return x.transpose(2, 3, 0, 1)


def _copy(to: Array, x: Array) -> None:
    """x into H W N C: a conversion, where it lies otherwise."""
    np.copyto(to, x.transpose(2, 3, 0, 1))
    if x.size * x.itemsize >= SMALL and not lies_by_pixels(x):
        _pool.converted += 1


def framed(x: Array, near: Pair, size: Pair) -> Array:
    """H' W' N C of `size`: pixel (0, 0) of x stands at `near`, and all that is not x is zero.

    What of x is outside is left out (`near` may be negative). Where the room of x's block is
    enough, no pixel is copied. The frame is for the caller's eyes: it must not outlive the kernel.
    """
    (top, left), (high, wide) = near, size
    x = x[:, :, max(-top, 0) : max(high - top, 0), max(-left, 0) : max(wide - left, 0)]
    top, left = max(top, 0), max(left, 0)
    N, C, H, W = x.shape
    bottom, right = high - top - H, wide - left - W
    if not (top or left or bottom or right):
        return pixels(x)
    fits = max(top, bottom, left, right) <= ROOM
    frame = _in_room(x, (top, left), size) if fits else None
    if frame is None:
        frame = buffer((high, wide, N, C), x.dtype)
        if frame.nbytes < SMALL:
            frame[...] = 0  # one call instead of four
            frame[top : top + H, left : left + W] = x.transpose(2, 3, 0, 1)
            return frame
        _copy(frame[top : top + H, left : left + W], x)
    frame[:top] = 0
    frame[top + H :] = 0
    frame[top : top + H, :left] = 0
    frame[top : top + H, left + W :] = 0
    return frame


def _in_room(x: Array, near: Pair, size: Pair) -> Array | None:
    """The frame around x in its own block, if x is all the block's pixels.

    Only x itself will do: a crop of it has other pixels around it, not room.
    """
    block = x.base
    while isinstance(block, np.ndarray) and not isinstance(block, Block):
        block = block.base
    if not isinstance(block, Block) or block.image != (address(x), x.shape):
        return None
    if not lies_by_pixels(x):
        return None
    N, C, _, W = x.shape
    pixel = N * C * x.itemsize
    row = (W + 2 * ROOM) * pixel
    strides = (row, pixel, C * x.itemsize, x.itemsize)
    offset = block.offset - near[0] * row - near[1] * pixel
    return np.ndarray((*size, N, C), x.dtype, block, offset, strides)
