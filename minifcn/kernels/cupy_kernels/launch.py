"""launch: CUDA C from files, compiled once per element type, called with checked arguments.

    program("elementwise", REAL=x.dtype)("add", blocks(n), 256, a, b, y, n)

CuPy passes on what it is given: a Python float fills eight bytes of a four-byte parameter, a
strided array loses its strides, a missing argument is garbage. Here every argument is held against
the kernel's declaration in the .cu file, cast to it, and refused if it does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...device import by_name, compiler_error, cupy
from .structs import STRUCTS

FOLDER = Path(__file__).parent.parent / "cuda"
THREADS = 256
MOST = (2**31 - 1, 65535, 65535)  # blocks along x, y and z
STATIC_SHARED = 48 << 10  # bytes a block may have without asking
NULL = np.uint64(0)  # CuPy makes no null pointer of None, but 0xffffffff or worse

TYPES = {  # C name -> dtype; as in common.cuh
    "float": "f4", "double": "f8", "half16": "f2", "bfloat16": "bfloat16", "bool": "?",
    "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "int": "i4", "long long": "i8",
    "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "unsigned": "u4",
    "uint128": "c16",
}  # fmt: skip
NAMES = {dtype: name for name, dtype in reversed(TYPES.items())}


class Parameter(NamedTuple):
    """One parameter of a kernel: `const REAL* x` is (x, "float", True)."""

    name: str
    type: str
    pointer: bool
    word: bool = False  # declared as WORD: elements of any type so wide, which are only moved


def blocks(count: int, threads: int = THREADS) -> int:
    """How many blocks give every element its thread."""
    return -(-count // threads)


def c_name(dtype: Any) -> str:
    """What common.cuh calls a dtype."""
    dtype = np.dtype(dtype)
    name = "bfloat16" if dtype.name == "bfloat16" else f"{dtype.kind}{dtype.itemsize}"
    name = "?" if dtype.kind == "b" else name
    if name not in NAMES:
        raise TypeError(f"cuda: dtype {dtype} has no kernels")
    return NAMES[name]


def word(dtype: Any) -> str:
    """The unsigned type as wide as a dtype, for kernels that only move elements."""
    return c_name(f"u{np.dtype(dtype).itemsize}")


@lru_cache(maxsize=256)
def source(file: str) -> str:
    """The text of cuda/<file>.cu with its own headers in place: CuPy caches by text alone."""
    seen: set[str] = set()

    def read(name: str) -> str:
        lines = [f'#line 1 "{name}"']
        for number, line in enumerate((FOLDER / name).read_text("utf-8").splitlines(), 1):
            found = re.match(r'#include "(\w+\.cuh)"', line)
            if found is None:
                lines.append("" if line.startswith("#pragma once") else line)
            elif found[1] not in seen:
                seen.add(found[1])
                lines += [read(found[1]), f'#line {number + 1} "{name}"']
            else:
                lines.append("")
        return "\n".join(lines)

    return read(f"{file}.cu")


def program(file: str, **defines: Any) -> Program:
    """The kernels of cuda/<file>.cu, for macros that are dtypes, numbers or names of types."""
    return _program(file, tuple(sorted((k, _defined(v)) for k, v in defines.items())))


def _defined(value: Any) -> str:
    if isinstance(value, (np.dtype, type)):
        return c_name(value)
    return str(int(value)) if isinstance(value, (bool, int)) else str(value)


@lru_cache(maxsize=1024)
def _program(file: str, defines: tuple[tuple[str, str], ...]) -> Program:
    return Program(file, dict(defines))


class Program:
    """One compiled .cu file; call it with a kernel's name, the launch shape and the arguments."""

    def __init__(self, file: str, defines: dict[str, str]) -> None:
        self.file, self.defines = file, defines
        self.parameters = declarations(source(file), defines)
        self._functions: dict[str, Any] = {}
        self._module: Any = None

    def __call__(
        self,
        kernel: str,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        *arguments: Any,
        shared: int = 0,
    ) -> None:
        """Launch; a grid without blocks does nothing. `shared`: bytes of dynamic shared memory."""
        grid = (grid,) if isinstance(grid, int) else tuple(grid)
        if 0 in grid:
            return
        block = (block,) if isinstance(block, int) else tuple(block)
        where = f"{self.file}.cu {kernel}"
        for axis, (size, most) in enumerate(zip(grid, MOST, strict=False)):
            if not 0 < size <= most:
                raise ValueError(f"{where}: axis {'xyz'[axis]} of the grid is {size}, most {most}")
        parameters = self.parameters[kernel]
        if len(arguments) != len(parameters):
            raise TypeError(
                f"{where}: {len(arguments)} arguments, expected {len(parameters)}: "
                f"{', '.join(p.name for p in parameters)}"
            )
        values = tuple(fitted(where, p, a) for p, a in zip(parameters, arguments, strict=True))
        function = self._function(kernel)
        if shared > STATIC_SHARED and function.max_dynamic_shared_size_bytes < shared:
            function.max_dynamic_shared_size_bytes = shared
        function(grid, block, values, shared_mem=shared)

    def _function(self, kernel: str) -> Any:
        if kernel not in self._functions:
            if self._module is None:
                options = ("-std=c++17", *(f"-D{k}={v}" for k, v in self.defines.items()))
                self._module = cupy().RawModule(code=source(self.file), options=options)
            try:
                self._functions[kernel] = self._module.get_function(kernel)
            except Exception as error:  # CuPy compiles here
                raise compiler_error(error) from error
        return self._functions[kernel]


KERNEL = re.compile(
    r'extern "C" __global__ void\s+(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s*)?'
    r"(\w+)\(([^)]*)\)"
)


def declarations(text: str, defines: dict[str, str]) -> dict[str, tuple[Parameter, ...]]:
    """Every kernel of a source with its parameters, macros replaced."""
    return {
        name: tuple(_parameter(one, defines) for one in declared.split(",") if one.strip())
        for name, declared in KERNEL.findall(text)
    }


def _parameter(declared: str, defines: dict[str, str]) -> Parameter:
    pointer = "*" in declared
    words = declared.replace("*", " ").replace("&", " ").split()
    *kind, name = [w for w in words if w not in ("const", "__restrict__", "__grid_constant__")]
    type_ = " ".join(defines.get(one, one) for one in kind)
    return Parameter(name, type_, pointer, "WORD" in kind)


def fitted(where: str, parameter: Parameter, value: Any) -> Any:
    """`value` as the parameter is declared, or an error that says how it does not fit."""
    name, type_, pointer, word = parameter
    if pointer:
        return _array(where, name, type_, word, value)
    if type_ in STRUCTS:
        dtype = getattr(value, "dtype", None)
        if dtype != STRUCTS[type_]:
            got = [f"struct {own}" for own, known in STRUCTS.items() if known == dtype]
            got = got or [type(value).__name__]
            raise TypeError(f"{where}: {name} is a {got[0]}, expected a struct {type_}")
        return value
    if not isinstance(value, (bool, int, float, np.generic)):
        raise TypeError(f"{where}: {name} is a {type(value).__name__}, expected a {type_}")
    dtype = dtype_of(type_)
    if dtype.kind not in "iu":
        return dtype.type(value)
    number: Any = value  # any of the numbers above
    least, most = limits(type_)
    if not least <= number <= most or number != int(number):
        raise ValueError(f"{where}: {name} is {number}, which is no {type_}")
    return dtype.type(int(number))


def _array(where: str, name: str, type_: str, word: bool, value: Any) -> Any:
    if value is None:
        return NULL
    if isinstance(value, np.ndarray) or not hasattr(value, "flags"):
        raise TypeError(
            f"{where}: {name} is a {type(value).__name__}, expected a device array of {type_}"
        )
    dtype = dtype_of(type_)
    if value.itemsize != dtype.itemsize if word else value.dtype != dtype:
        raise TypeError(f"{where}: {name} has dtype {value.dtype}, expected {type_}")
    if not value.flags.c_contiguous:
        raise ValueError(
            f"{where}: {name} {value.shape} with strides {value.strides} is not contiguous"
        )
    return value.view(dtype) if word else value


@lru_cache(maxsize=64)
def dtype_of(type_: str) -> np.dtype[Any]:
    """The dtype of a C type."""
    known: np.dtype[Any] = np.dtype(by_name(TYPES[type_]))
    return known


@lru_cache(maxsize=64)
def limits(type_: str) -> tuple[int, int]:
    """The least and the largest of a whole type."""
    known = np.iinfo(dtype_of(type_))
    return int(known.min), int(known.max)
