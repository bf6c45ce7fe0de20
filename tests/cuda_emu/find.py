"""Which device "cuda" this machine has: a GPU with CuPy, the emulator with g++, or none.

MINIFCN_CUDA   "real" or "emulator" leaves no choice; "none" skips the tests that need one
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from . import build, stand_in


@dataclass(frozen=True)
class Cuda:
    """What the device "cuda" is in tests; the reason says why, or what is missing."""

    kind: str  # "real", "emulator" or "none"
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason})"

    @contextmanager
    def present(self) -> Iterator[None]:
        """For a while `import cupy` finds it."""
        if self.kind == "emulator":
            with stand_in.installed():
                yield
        else:
            yield


@cache
def find_cuda() -> Cuda:
    """What the environment asks for, else what there is."""
    asked = os.environ.get("MINIFCN_CUDA", "")
    if asked not in ("", "real", "emulator", "none"):
        raise ValueError(f"MINIFCN_CUDA is {asked!r}, expected 'real', 'emulator' or 'none'")
    if asked == "none":
        return Cuda("none", "as MINIFCN_CUDA asks")
    lacks = _lacks_gpu()
    if asked == "real" and lacks:
        raise RuntimeError(f"MINIFCN_CUDA is 'real', but {lacks}")
    if not lacks and asked != "emulator":
        return Cuda("real", "CuPy and a GPU")
    if sys.platform != "linux" or build.compiler() is None:
        return Cuda("none", f"{lacks}, and the emulator needs Linux and g++")
    version = subprocess.run(
        [str(build.compiler()), "--version"], capture_output=True, text=True
    ).stdout.partition("\n")[0]
    return Cuda("emulator", f"{version}; {lacks or 'as MINIFCN_CUDA asks'}")


def _lacks_gpu() -> str:
    """Why the real CuPy cannot be used, or nothing. CuPy itself is slow to import."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no GPU driver"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "no GPU answers"
    return ""
