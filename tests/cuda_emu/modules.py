"""RawModule and its functions: CUDA C to kernels that may be launched, with checked arguments.

CuPy passes on what it is given. Here the number, kind and width of every argument are held against
the compiled kernel: a Python float for a `float` parameter is an error, and not garbage.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import build, streams
from .memory import Host, is_whole, ndarray

SHARED = 48 << 10  # bytes of shared memory that a kernel may have without asking
MOST_SHARED = 227 << 10
KINDS = {"f": "f", "i": "i", "u": "u", "b": "b", "h": "f", "e": "V"}  # letter -> kind of dtype


class CUDADriverError(RuntimeError):
    """An error of the CUDA driver."""

    __module__ = "cupy_backends.cuda.api.driver"


class CompileException(Exception):  # noqa: N818 # CuPy's name
    """The compiler refused a source."""

    __module__ = "cupy.cuda.compiler"


class Function:
    """A kernel."""

    __module__ = "cupy.cuda.function"

    def __init__(self, kernel: build.Kernel) -> None:
        self._kernel = kernel
        self.name = kernel.name
        self._most = SHARED

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self._most

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if size > MOST_SHARED:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {size} bytes of shared memory")
        self._most = size

    def __call__(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        *,
        shared_mem: int = 0,
        stream: Any = None,
    ) -> None:
        if type(grid) is not tuple or type(block) is not tuple:
            raise TypeError("cuda_emu: grid and block must be tuples")
        letters = self._kernel.parameters
        if len(args) != len(letters):
            raise TypeError(f"{self.name} takes {len(letters)} arguments, {len(args)} given")
        cells: list[int | bytes] = []
        touched: list[tuple[Host, int]] = []  # not the Memory: it may serve again meanwhile
        for index, (argument, expected) in enumerate(zip(args, letters, strict=True)):
            cells.append(_cell(f"{self.name} argument {index}", argument, expected))
            if isinstance(argument, ndarray):
                touched.append((argument._mem.block, argument._mem.size))
        # CuPy makes one block of an empty grid
        g, b = ([max(1, int(n)) for n in (*sizes, 1, 1)[:3]] for sizes in (grid, block))
        if b[0] * b[1] * b[2] > 1024 or b[2] > 64:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: block {tuple(b)}")
        if g[0] > 2**31 - 1 or max(g[1:]) > 65535:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: grid {tuple(g)}")
        if shared_mem > self._most:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {shared_mem} bytes of shared memory")

        def run() -> None:
            said = self._kernel.launch(tuple(g), tuple(b), cells, shared_mem)
            if said:
                raise CUDADriverError(f"{self.name}: {said}")
            for memory, size in touched:
                if not is_whole(memory, size):
                    memory.fill(0xFF)  # tell of it once
                    raise CUDADriverError(f"{self.name} wrote beyond the end of an array")

        streams.enqueue(run, stream)


def _cell(where: str, x: Any, expected: str) -> int | bytes:
    """An address, or the bytes of a value, if it is what the kernel declares."""
    pointer = expected[0] in "CP"
    kind, size = expected[pointer], int(expected[pointer + 1 :])
    if x is None:
        raise TypeError(f"{where}: CuPy makes garbage of None, the null pointer is np.uint64(0)")
    if isinstance(x, ndarray):
        if not pointer:
            raise TypeError(f"{where}: {type(x).__name__} for a parameter by value ({expected})")
        if kind not in "vx" and (x.itemsize, x.dtype.kind) != (size, KINDS[kind]):
            raise TypeError(f"{where}: array of {x.dtype} for a pointer {expected}")
        if not x.flags.c_contiguous:
            raise TypeError(f"{where}: strides {x.strides} are lost, CuPy passes the pointer alone")
        return x.data.ptr
    if pointer:
        if isinstance(x, np.uint64) and x == 0:
            return 0
        raise TypeError(f"{where}: {x!r} for a pointer {expected}")
    if isinstance(x, np.ndarray):
        if x.size != 1 or kind != "x" or x.itemsize != size:
            raise TypeError(
                f"You are trying to pass a numpy.ndarray of shape {x.shape} as a kernel parameter. "
                f"({where}: {x.dtype} for {expected})"
            )
        return x.tobytes()
    if not isinstance(x, (bool, int, float, np.generic)):
        raise TypeError(f"Unsupported type {type(x)}")
    value = np.asarray(x)  # int becomes int64 and float float64, as CuPy passes them
    if (value.dtype.kind, value.itemsize) != (KINDS.get(kind), size):
        raise TypeError(f"{where}: {value.dtype} for a parameter {expected}")
    return value.tobytes()


class RawModule:
    """`cupy.RawModule`."""

    __module__ = "cupy._core.raw"

    def __init__(
        self, *, code: str, options: tuple[str, ...] = (), name_expressions: Any = None
    ) -> None:
        if not isinstance(options, tuple):
            raise TypeError("options must be a tuple")
        from .nvrtc_builds import undeclared  # late: it imports minifcn

        wrong = undeclared(code, options)
        if wrong:
            raise CompileException(wrong)
        self._source, self._options = code, options
        self._kernels: dict[str, build.Kernel] | None = None

    def compile(self, log_stream: Any = None) -> None:
        if self._kernels is None:
            try:
                self._kernels = build.kernels(self._source, self._options)
            except build.BuildError as error:
                raise CompileException(str(error)) from None

    def get_function(self, name: str) -> Function:
        self.compile()
        assert self._kernels is not None
        if name not in self._kernels:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return Function(self._kernels[name])
