"""The module `cupy` as minifcn sees it on a machine without a GPU, and how it gets into place."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from . import memory, modules, streams

CAPABILITY = os.environ.get("CUDA_EMU_CAPABILITY", "90")


class Device:
    """`cupy.cuda.Device`: there is one."""

    __module__ = "cupy.cuda.device"

    def __init__(self, device: int = 0) -> None:
        self.id = device
        self.compute_capability = CAPABILITY

    @property
    def attributes(self) -> dict[str, int]:
        return {"MultiProcessorCount": 2, "MaxSharedMemoryPerBlockOptin": modules.MOST_SHARED}

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None: ...

    def use(self) -> None: ...

    def synchronize(self) -> None:
        streams.device_synchronize()


def _module(name: str, **contents: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(contents)
    return made


def _properties(device: int = 0) -> dict[str, Any]:
    major, minor = int(CAPABILITY[:-1]), int(CAPABILITY[-1])
    return {
        "name": b"emulator on the host", "major": major, "minor": minor, "multiProcessorCount": 2,
        "sharedMemPerBlock": modules.SHARED, "sharedMemPerBlockOptin": modules.MOST_SHARED,
        "totalGlobalMem": 1 << 34, "maxThreadsPerBlock": 1024, "warpSize": 32,
    }  # fmt: skip


runtime = _module(
    "cupy.cuda.runtime",
    CUDARuntimeError=streams.CUDARuntimeError,
    deviceSynchronize=streams.device_synchronize,
    driverGetVersion=lambda: 13000,
    getDevice=lambda: 0,
    getDeviceCount=lambda: 1,
    getDeviceProperties=_properties,
    is_hip=False,
    memGetInfo=lambda: (1 << 34, 1 << 34),
    runtimeGetVersion=lambda: 13000,
    streamCaptureModeRelaxed=2,
)

cuda = _module(
    "cupy.cuda",
    Device=Device,
    Event=streams.Event,
    Graph=streams.Graph,
    MemoryPointer=memory.MemoryPointer,
    MemoryPool=memory.MemoryPool,
    PinnedMemoryPointer=memory.PinnedMemoryPointer,
    Stream=streams.Stream,
    alloc_pinned_memory=memory.alloc_pinned_memory,
    compiler=_module("cupy.cuda.compiler", CompileException=modules.CompileException),
    driver=_module("cupy.cuda.driver", CUDADriverError=modules.CUDADriverError),
    get_current_stream=streams.get_current_stream,
    get_elapsed_time=streams.get_elapsed_time,
    is_available=lambda: True,
    memory=_module("cupy.cuda.memory", OutOfMemoryError=MemoryError),
    runtime=runtime,
    set_allocator=memory.set_allocator,
    using_allocator=memory.using_allocator,
)

cupy = _module(
    "cupy",
    RawModule=modules.RawModule,
    __path__=[],
    __version__="14.2.0",
    asarray=memory.asarray,
    asnumpy=memory.asnumpy,
    cuda=cuda,
    empty=memory.empty,
    get_default_memory_pool=lambda: memory.default_pool,
    ndarray=memory.ndarray,
)

cupyx = _module("cupyx", __path__=[], empty_pinned=memory.empty_pinned)

MODULES = {
    "cupy": cupy, "cupyx": cupyx, "cupy.cuda": cuda, "cupy.cuda.runtime": runtime,
    "cupy.cuda.compiler": cuda.compiler, "cupy.cuda.driver": cuda.driver,
    "cupy.cuda.memory": cuda.memory,
}  # fmt: skip


def install() -> None:
    """Put the stand-in where `import cupy` finds it, for the rest of the process."""
    sys.modules.update(MODULES)
    _forget()


@contextmanager
def installed() -> Iterator[None]:
    """The stand-in for a while; afterwards `import cupy` does what it did before."""
    names = [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx")]
    before = {name: sys.modules.pop(name) for name in names}
    install()
    try:
        yield
    finally:
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)
        _forget()


def _forget() -> None:
    """minifcn remembers which module it found."""
    importlib.import_module("minifcn.device").cupy.cache_clear()
