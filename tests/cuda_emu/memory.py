"""Device memory and `cupy.ndarray`: shape, strides and views, no arithmetic.

What minifcn takes from CuPy is here and nothing else, so whatever else it tried would be an
AttributeError or a TypeError. Views are CuPy's; what CuPy would copy (a reshape that is no view)
is refused, as copies are to be made by a kernel, in sight. Fresh memory is full of 0xFF, which is
nan for every floating type, and has a margin at both ends that is looked at after every launch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import streams
from .build import SANITIZE

Host = np.ndarray[Any, np.dtype[Any]]

MARGIN = 0 if SANITIZE else 64  # a sanitizer sees the very end of a block; a margin would hide it
GRAIN = 1 if SANITIZE else 512  # sizes of blocks are multiples of it, as CuPy's
POISON = bytes([0xFF]) * MARGIN

Arena = dict[tuple[int, int], list[Host]]


class MemoryPool:
    """`cupy.cuda.MemoryPool`: blocks that nobody has any more serve again, on the same stream.

    They come full of 0xFF, in the order of the stream: whoever still reads there finds nan. Under a
    sanitizer every block is fresh, and its like is not seen again.
    """

    __module__ = "cupy.cuda.memory"

    def __init__(self) -> None:
        self._free: Arena = {}
        self._total = self._used = 0

    def malloc(self, size: int) -> MemoryPointer:
        stream = streams.get_current_stream()
        whole = max(-(-size // GRAIN) * GRAIN, 16)
        known = self._free.get((stream.ptr, whole), [])
        block = known.pop() if known and not SANITIZE else None
        if block is None:
            block = np.empty(whole + 2 * MARGIN, np.uint8)
            self._total += whole
        self._used += whole
        streams.enqueue(lambda: block.fill(0xFF), allocating=True)
        return MemoryPointer(Memory(self, block, size, stream.ptr), 0)

    def _take_back(self, memory: Memory) -> None:
        whole = memory.block.size - 2 * MARGIN
        self._used -= whole
        if memory.stream or not SANITIZE:  # a late kernel may know the address of such a block
            self._free.setdefault((memory.stream, whole), []).append(memory.block)

    def free_all_blocks(self, stream: Any = None) -> None:
        streams.device_synchronize()  # as cudaFree does
        self._free.clear()
        self._total = self._used

    def __del__(self) -> None:
        if not sys.is_finalizing() and not streams.finish_all():
            streams.graveyard.append(self._free)

    def used_bytes(self) -> int:
        return self._used

    def total_bytes(self) -> int:
        return self._total


default_pool = MemoryPool()


class _Allocator:
    now: Callable[[int], MemoryPointer] = default_pool.malloc


def set_allocator(allocator: Callable[[int], MemoryPointer] | None = None) -> None:
    """`cupy.cuda.set_allocator`."""
    _Allocator.now = allocator or default_pool.malloc


@contextmanager
def using_allocator(allocator: Callable[[int], MemoryPointer] | None = None) -> Iterator[None]:
    """`cupy.cuda.using_allocator`."""
    before = _Allocator.now
    set_allocator(allocator)
    try:
        yield
    finally:
        set_allocator(before)


class Memory:
    """A block of device memory that somebody has, with a margin at both ends."""

    def __init__(self, pool: MemoryPool, block: Host, size: int, stream: int) -> None:
        self.pool, self.block, self.size, self.stream = pool, block, size, stream
        self.ptr = block.ctypes.data + MARGIN

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.pool._take_back(self)


def is_whole(block: Host, size: int) -> bool:
    """Whether both margins are as they were."""
    end = MARGIN + size
    return not MARGIN or (
        block[:MARGIN].tobytes() == POISON and block[end : end + MARGIN].tobytes() == POISON
    )


class MemoryPointer:
    """A place in device memory."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem, self._offset = mem, offset
        self.ptr = mem.ptr + offset

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self._offset + offset)

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        """`size` bytes of `value`, in the order of the stream."""
        start = MARGIN + self._offset
        place = self.mem.block[start : start + size]
        assert len(place) == size, "memset beyond the end of a block"
        streams.enqueue(lambda: place.fill(value), stream)


class Flags:
    """What one may ask of `ndarray.flags`."""

    def __init__(self, host: Host, own: bool) -> None:
        self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
        self.owndata = own


class ndarray:
    """`cupy.ndarray`."""

    __module__ = "cupy"
    __hash__ = None  # type: ignore[assignment] # as in CuPy
    __array_ufunc__ = None
    _host: Host  # the same memory, seen by NumPy
    _mem: Memory

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: MemoryPointer | None = None,
        strides: Any = None,
        order: str = "C",
    ) -> None:
        dtype = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if memptr is None:
            memptr = _Allocator.now(int(np.prod(shape, dtype=object)) * dtype.itemsize)
        offset = MARGIN + memptr._offset
        self._mem = memptr.mem
        # NumPy checks that the array lies inside of the block
        self._host = np.ndarray(shape, dtype, memptr.mem.block, offset, strides, order)  # type: ignore[arg-type] # any order
        self._own = offset == MARGIN

    @classmethod
    def _view(cls, mem: Memory, host: Host) -> ndarray:
        made = cls.__new__(cls)
        made._mem, made._host, made._own = mem, host, False
        return made

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def strides(self) -> tuple[int, ...]:
        return self._host.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._host.dtype

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def size(self) -> int:
        return self._host.size

    @property
    def nbytes(self) -> int:
        return self._host.nbytes

    @property
    def itemsize(self) -> int:
        return self._host.itemsize

    @property
    def flags(self) -> Flags:
        return Flags(self._host, self._own)

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._mem, self._host.ctypes.data - self._mem.ptr)

    @property
    def T(self) -> ndarray:  # noqa: N802 # CuPy's name
        return self.transpose()

    def transpose(self, *axes: Any) -> ndarray:
        return self._view(self._mem, self._host.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return self._view(self._mem, self._host.swapaxes(axis1, axis2))

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        seen = self._host.reshape(*shape, order=order)  # type: ignore[call-overload] # any order
        if seen.size and not np.shares_memory(seen, self._host):
            raise TypeError(
                f"cuda_emu: {self.shape} with strides {self.strides} seen as {seen.shape} is no "
                f"view, so CuPy would copy; minifcn makes copies by its own kernel"
            )
        return self._view(self._mem, seen)

    def view(self, dtype: Any = None) -> ndarray:
        return self._view(self._mem, self._host.view(self.dtype if dtype is None else dtype))

    def __getitem__(self, key: Any) -> ndarray:
        for one in key if isinstance(key, tuple) else (key,):
            if not (one is None or one is ... or isinstance(one, (int, np.integer, slice))):
                raise TypeError(
                    f"cuda_emu: indexed by a {type(one).__name__}; minifcn takes views only"
                )
        return self._view(self._mem, self._host[key if isinstance(key, tuple) else (key,)][...])

    def __len__(self) -> int:
        return len(self._host)

    # ---- to and from the host --------------------------------------------------------------------

    def get(
        self, stream: Any = None, order: str = "C", out: Host | None = None, blocking: bool = True
    ) -> Host:
        streams.synchronous(stream)
        if out is not None:
            if (out.shape, out.dtype) != (self.shape, self.dtype):
                raise ValueError("Shape or dtype mismatch of out= in ndarray.get")
            out[...] = self._host
            return out
        return np.array(self._host, order=order)  # type: ignore[call-overload] # any order

    def set(self, arr: Host, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self._host.flags.c_contiguous or self._host.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        host = self._host
        source = arr if is_pinned(arr) else arr.copy()  # what is not pinned is read at once
        streams.enqueue(lambda: np.copyto(host, source), stream)

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __repr__(self) -> str:
        return repr(self._host)  # shortened if it is long, and never copied

    def __array__(self, *_: Any, **__: Any) -> Host:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"cuda_emu: numpy.{function.__name__} of a device array")


class PinnedMemoryPointer(bytearray):
    """`cupy.cuda.PinnedMemoryPointer`: host memory that copies read when they come to it."""

    __module__ = "cupy.cuda.pinned_memory"


def is_pinned(array: Host) -> bool:
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return isinstance(base, PinnedMemoryPointer)


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """`cupy.cuda.alloc_pinned_memory`."""
    return PinnedMemoryPointer(b"\xff" * size)


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> Host:
    """`cupyx.empty_pinned`."""
    count = int(np.prod(shape, dtype=object))
    line = np.frombuffer(alloc_pinned_memory(count * np.dtype(dtype).itemsize), dtype)
    return line.reshape(shape, order=order)  # type: ignore[call-overload] # any order


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """`cupy.empty`."""
    return ndarray(shape, dtype, order=order)


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, blocking: bool = False) -> Any:
    """`cupy.asarray`: to the device, in Fortran order if it was so and in C order else."""
    if isinstance(a, ndarray):
        if dtype is not None and np.dtype(dtype) != a.dtype:
            raise TypeError("cuda_emu: asarray would convert; minifcn casts by its own kernel")
        return a
    streams.not_capturing()
    host = np.array(a, dtype, order=order or "A")  # type: ignore[call-overload] # any order
    made = ndarray(host.shape, host.dtype, order="C" if host.flags.c_contiguous else "F")
    made.set(host)
    return made


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, **_: Any) -> Host:
    """`cupy.asnumpy`."""
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a, order=order)  # type: ignore[call-overload] # any order
