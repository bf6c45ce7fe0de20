"""NVRTC, NVIDIA's compiler as a library, called by ctypes: no CuPy, no driver, no GPU.

It comes in the wheels nvidia-cuda-nvrtc and nvidia-cuda-runtime (the headers of halves):
pip install -e ".[nvrtc]".
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

Macros = tuple[tuple[str, str], ...]  # (name, value) of every -D
MISSING = "NVRTC is not installed; pip install -e '.[nvrtc]'"


def installed() -> tuple[Path, Path] | None:
    """libnvrtc and the folder of cuda_fp16.h, as the wheels lay them; None if one is missing."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []
    libraries = [p for root in roots for p in sorted(root.glob("*/lib/libnvrtc.so.*"))]
    headers = [p.parent for root in roots for p in sorted(root.glob("*/include/cuda_fp16.h"))]
    return (libraries[-1], headers[-1]) if libraries and headers else None


class NVRTC:
    """The five calls of libnvrtc that turn a source into machine code and a log."""

    def __init__(self) -> None:
        found = installed()
        if found is None:
            raise RuntimeError(MISSING)
        library, self.include = found
        for builtins in library.parent.glob("libnvrtc-builtins.so.*"):  # it does not find its own
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(str(library))
        self.lib.nvrtcGetErrorString.restype = ctypes.c_char_p

    def version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self.lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        return f"{major.value}.{minor.value}"

    def compile(self, text: str, card: int, macros: Macros = (), name: str = "kernel.cu") -> str:
        """The log of ptxas; an error with the compiler's messages if there is no machine code."""
        program = ctypes.c_void_p()
        make = self.lib.nvrtcCreateProgram
        self._check(make(ctypes.byref(program), text.encode(), name.encode(), 0, None, None))
        options = [f"-arch=sm_{card}", "-std=c++17", f"-I{self.include}", "--ptxas-options=-v"]
        options += [f"-D{key}={value}" for key, value in macros]
        given = (ctypes.c_char_p * len(options))(*(one.encode() for one in options))
        try:
            failed = self.lib.nvrtcCompileProgram(program, len(options), given)
            size = ctypes.c_size_t()
            self._check(self.lib.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
            log = ctypes.create_string_buffer(size.value)
            self._check(self.lib.nvrtcGetProgramLog(program, log))
            if failed:
                raise RuntimeError(log.value.decode().strip() or self._said(failed))
            return log.value.decode()
        finally:
            self.lib.nvrtcDestroyProgram(ctypes.byref(program))

    def _said(self, code: int) -> str:
        said: bytes = self.lib.nvrtcGetErrorString(code)
        return said.decode()

    def _check(self, code: int) -> None:
        if code:
            raise RuntimeError(self._said(code))
