"""Device memory and `cupy.ndarray`: shape, strides and views, no arithmetic.

What minifcn takes from CuPy is here and nothing else, so whatever else it tried would be an
AttributeError or a TypeError. Views are CuPy's; what CuPy would copy (a reshape that is no view)
is refused, as copies are to be made by a kernel, in sight. Fresh memory is full of 0xFF, which is
nan for every floating type, and has a margin at both ends that is looked at after every launch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import streams
from .build import SANITIZE

Host = np.ndarray[Any, np.dtype[Any]]

MARGIN = 0 if SANITIZE else 64  # a sanitizer sees the very end of a block; a margin would hide it
POISON = bytes([0xFF]) * MARGIN


class Memory:
    """A block of device memory with its margins."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.block = np.full(max(size, 16) + 2 * MARGIN, 0xFF, np.uint8)
        self.ptr = self.block.ctypes.data + MARGIN

    def is_whole(self) -> bool:
        """Whether both margins are as they were."""
        return not MARGIN or (
            self.block[:MARGIN].tobytes() == POISON and self.block[-MARGIN:].tobytes() == POISON
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
            memptr = MemoryPointer(Memory(int(np.prod(shape, dtype=object)) * dtype.itemsize), 0)
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
        if stream is None:
            streams.synchronous(None)
        streams.enqueue(lambda: np.copyto(self._host, arr), stream)

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


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """`cupy.empty`."""
    return ndarray(shape, dtype, order=order)


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, blocking: bool = False) -> Any:
    """`cupy.asarray`: to the device, in Fortran order if it was so and in C order else."""
    if isinstance(a, ndarray):
        if dtype is not None and np.dtype(dtype) != a.dtype:
            raise TypeError("cuda_emu: asarray would convert; minifcn casts by its own kernel")
        return a
    streams.synchronous(None)
    host = np.array(a, dtype, order=order or "A")  # type: ignore[call-overload] # any order
    made = ndarray(host.shape, host.dtype, order="C" if host.flags.c_contiguous else "F")
    made._host[...] = host
    return made


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, **_: Any) -> Host:
    """`cupy.asnumpy`."""
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a, order=order)  # type: ignore[call-overload] # any order
