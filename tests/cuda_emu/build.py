"""Build CUDA C for the host with g++, and launch its kernels.

The text of a .cu file goes into an anonymous namespace: its names then cannot meet those of libc
(`select`), and its __shared__ variables may stand in inline functions and templates. Every
text is compiled once per set of macros, into a shared library named after a hash of all that went
into it, in the folder for temporary files. A library is written aside and then renamed, so test
workers may build at the same time.

CUDA_EMU_SANITIZE   "", "address,undefined" or "thread": how kernels are compiled. Python must then
                    run with the matching library in LD_PRELOAD; see README.md
CUDA_EMU_ORDER      1: blocks and warps run from the last to the first, 2: lanes do, 3: both
CUDA_EMU_CACHE      the folder of the libraries
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
SANITIZE = os.environ.get("CUDA_EMU_SANITIZE", "")
ORDER = int(os.environ.get("CUDA_EMU_ORDER", "0"))
FLAGS = [
    "-std=c++17", "-shared", "-fPIC", "-w", "-ffp-contract=off", "-fno-strict-aliasing",
    # longjmp from fiber to fiber looks like an attack to a fortified libc
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0",
]  # fmt: skip

KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*)?(\w+)\s*\('
)
DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?(\w[\w\s]*?)\s+(\w+)\s*\[\s*\]\s*;"
)
GLUE = """
extern "C" const char* emu_launch_{i}(emu::Launch* it) {{
  it->body = [](void** arguments) {{ emu::call(&kernels::{name}, arguments); }};
  it->shared = __start_emu_shared, it->end = __stop_emu_shared;
  return emu::launch(*it);
}}
extern "C" const char* emu_parameters_{i}() {{ return emu::signature(&kernels::{name}); }}
"""


class Launch(ctypes.Structure):
    """emu::Launch of runtime.h."""

    _fields_ = [
        ("body", ctypes.c_void_p), ("arguments", ctypes.c_void_p),
        ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3), ("dynamic", ctypes.c_size_t),
        ("shared", ctypes.c_void_p), ("end", ctypes.c_void_p), ("order", ctypes.c_uint),
    ]  # fmt: skip


class BuildError(Exception):
    """g++ refused a source; the message is what it said."""


def compiler() -> str | None:
    """Where g++ is."""
    return shutil.which(os.environ.get("CXX", "g++"))


def folder() -> Path:
    """Where libraries are kept: of this user alone, for they are run."""
    own = f"cuda_emu_{os.getuid()}"
    path = Path(os.environ.get("CUDA_EMU_CACHE", Path(tempfile.gettempdir()) / own))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise BuildError(f"{path} belongs to another user; set CUDA_EMU_CACHE")
    return path


@cache
def own_text() -> str:
    """The emulator itself, as part of every hash."""
    return "".join(path.read_text("utf-8") for path in sorted(HERE.glob("*.h")))


def compiled(text: str, flags: list[str]) -> Path:
    """The shared library of a C++ text."""
    gxx = compiler()
    if gxx is None:
        raise BuildError("no g++ on this machine")
    flags = [*FLAGS, *flags]
    key = hashlib.sha256(repr((gxx, flags, own_text(), text)).encode()).hexdigest()[:24]
    library = folder() / f"{key}.so"
    if not library.exists():
        aside = library.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [gxx, "-x", "c++", "-", "-o", str(aside), "-I", str(HERE), *flags],
            input=text, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise BuildError(done.stderr[:6000])
        aside.replace(library)
    return library


@cache
def runtime() -> ctypes.CDLL:
    """The fibers; loaded so that the kernels' libraries find them."""
    told = [f"-DEMU_{name[0].upper()}SAN" for name in SANITIZE.split(",") if name in NAMED]
    library = compiled((HERE / "runtime.cpp").read_text("utf-8"), ["-O2", *told])
    return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


NAMED = ("address", "thread")  # sanitizers that must know of fibers: EMU_ASAN, EMU_TSAN


@cache
def names_in(source: str, macros: tuple[str, ...]) -> list[str]:
    """The kernels that #if and #ifdef leave over."""
    if not re.search(r"^\s*#\s*if", source, re.MULTILINE):
        return KERNEL.findall(source)
    command = [compiler() or "g++", "-E", "-P", "-x", "c++", "-", "-DCUDA_EMU", *macros]
    done = subprocess.run(command, input=source, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(done.stderr[:6000])
    return KERNEL.findall(done.stdout)


def translated(source: str, names: list[str]) -> str:
    """CUDA C as C++: kernels become plain functions, dynamic shared memory a pointer to it."""
    source = DYNAMIC.sub(r"static \1*& \2 = (\1*&)emu::block.dynamic;", source)
    source = re.sub(r'extern\s+"C"\s+__global__', "__global__", source)
    glue = "".join(GLUE.format(i=i, name=name) for i, name in enumerate(names))
    return (
        f'#include "cuda_emu.h"\nnamespace kernels {{ namespace {{\n#line 1 "source"\n{source}\n'
        f'}} }}\n#line 1 "glue"\n{glue}'
    )


def kernels(source: str, options: tuple[str, ...] = ()) -> dict[str, Kernel]:
    """Every kernel of a CUDA C text by its name; `options` are NVRTC's."""
    macros = [one for one in options if one.startswith("-D")]
    how = ["-O1", "-fwrapv"]
    if SANITIZE:
        how = ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={SANITIZE}"]
        how += ["-fsanitize-sections=emu_shared", "-fno-sanitize-recover=all"]
    runtime()
    names = names_in(source, tuple(macros))
    library = ctypes.PyDLL(str(compiled(translated(source, names), [*how, *macros])))
    return {name: Kernel(library, i, name) for i, name in enumerate(names)}


class Kernel:
    """A compiled kernel. It runs with the GIL held: there is one set of fibers."""

    def __init__(self, library: ctypes.PyDLL, number: int, name: str) -> None:
        self.name = name
        self._launch = getattr(library, f"emu_launch_{number}")
        self._launch.restype = ctypes.c_char_p
        parameters = getattr(library, f"emu_parameters_{number}")
        parameters.restype = ctypes.c_char_p
        self.parameters = parameters().decode().split()  # letters of cuda_emu.h

    def launch(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        arguments: list[int | bytes],
        dynamic: int,
    ) -> str:
        """Run all blocks; addresses as int, values as bytes. What went wrong, or nothing."""
        cells = [
            ctypes.c_void_p(one) if isinstance(one, int) else ctypes.create_string_buffer(one)
            for one in arguments
        ]
        table = (ctypes.c_void_p * max(1, len(cells)))(*map(ctypes.addressof, cells))
        it = Launch(
            arguments=ctypes.addressof(table), grid=grid, block=block, dynamic=dynamic, order=ORDER
        )
        said: bytes = self._launch(ctypes.byref(it))
        return said.decode()
