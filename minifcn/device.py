"""device: the only door between host memory (NumPy) and a GPU (CuPy).

`of(array)` names the device an array lives on; `to_host` and `to_device` move it, explicitly.
CuPy is imported when a CUDA device is asked for, never before.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DEVICES = ("cpu", "cuda")


def check(device: str) -> str:
    """`device`, if it is one that minifcn knows."""
    if device not in DEVICES:
        raise ValueError(f"device: got {device!r}, expected one of {', '.join(DEVICES)}")
    return device


def of(array: object) -> str:
    """The device on which `array` lives."""
    return "cpu" if isinstance(array, np.ndarray) else "cuda"


def to_device(array: Array, device: str) -> Array:
    """`array` on `device`; the same array if it is there already."""
    if check(device) == of(array):
        return array
    if device == "cpu":
        return to_host(array)
    moved: Array = _cupy().asarray(array)
    return moved


def to_host(array: Array) -> Array:
    """`array` in host memory; the same array if it is there already."""
    if isinstance(array, np.ndarray):
        return array
    host: Array = _cupy().asnumpy(array)
    return host


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            "device: 'cuda' needs CuPy; install it with pip install 'minifcn[cuda12]' or "
            "'minifcn[cuda13]', to match the driver"
        ) from error
