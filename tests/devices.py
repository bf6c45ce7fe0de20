"""For tests that run on both devices: arrays there and back, and the kernels of each."""

from __future__ import annotations

import ctypes
import dataclasses
from types import ModuleType
from typing import Any

import numpy as np

from minifcn import Op
from minifcn.kernels import numpy_kernels

DEVICES = ("cpu", "cuda")


def on(name: str, array: Any) -> Any:
    """The array on a device, with the very strides it has on the host."""
    if name == "cpu":
        return array
    import cupy

    if not array.size:
        return cupy.asarray(array)
    low, high = span(array)
    room = cupy.asarray(np.frombuffer(ctypes.string_at(low, high - low), np.uint8))
    first = room.data + (array.ctypes.data - low)
    return cupy.ndarray(array.shape, array.dtype, memptr=first, strides=array.strides)


def host(array: Any) -> Any:
    """The array in host memory; itself if it is there."""
    return array if isinstance(array, np.ndarray) else array.get()


def kernels_of(name: str) -> ModuleType:
    """The twin that computes on a device."""
    if name == "cpu":
        return numpy_kernels
    from minifcn.kernels import cupy_kernels

    return cupy_kernels


def native(op: Op, name: str) -> Op:
    """The operator as it is used on a device: a move leads from there to there."""
    if op.name == "move":
        return dataclasses.replace(op, home=name, away=name)  # type: ignore[type-var] # a dataclass
    return op


def span(array: Any) -> tuple[int, int]:
    """The addresses of the first byte of an array and of the first beyond it."""
    at = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    if not array.size:
        return at, at
    low, high = sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
    return at + low, at + high + array.itemsize
