"""device: the only door between host memory (NumPy) and a GPU (CuPy).

`of(array)` names the device an array lives on; `to_host` and `to_device` move it, explicitly.
CuPy is imported when a CUDA device is asked for, never before.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .shapes import one_of, shown

Array = NDArray[Any]

DEVICES = ("cpu", "cuda")


def check(device: str) -> str:
    """`device`, if it is one that minifcn knows."""
    return one_of("device", "name", device, DEVICES)


def of(array: object) -> str:
    """The device on which `array` lives."""
    if isinstance(array, np.ndarray):
        return "cpu"
    if type(array).__module__.partition(".")[0] == "cupy":
        return "cuda"
    raise TypeError(
        f"device: got a {type(array).__name__}, expected an array of NumPy, or of CuPy on a GPU"
    )


def to_device(array: Array, device: str) -> Array:
    """`array` on `device`; the same array if it is there already."""
    if check(device) == of(array):
        return array
    if device == "cpu":
        return to_host(array)
    moved: Array = cupy().asarray(array)
    return moved


def to_host(array: Array) -> Array:
    """`array` in host memory; the same array if it is there already."""
    if isinstance(array, np.ndarray):
        return array
    host: Array = cupy().asnumpy(array)
    return host


def host_array(op: str, data: Any, dtype: Any = None) -> Array:
    """A copy of `data` in host memory; Python's fractions become float32."""
    try:
        array = np.array(data, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = "" if dtype is None else f" as dtype {shown(dtype)}"
        raise type(error)(
            f"{op}: cannot read {shown(data)}{wanted}, expected numbers in rows of equal length "
            f"({error})"
        ) from None
    if (
        dtype is None
        and array.dtype == np.float64
        and not isinstance(data, (np.ndarray, np.generic))
    ):
        array = array.astype(np.float32)
    known: Array = checked(op, "data", array)
    return known


def checked(op: str, name: str, array: Any) -> Any:
    """`array`, if it is one and holds floats, whole numbers or bools."""
    kind = getattr(getattr(array, "dtype", None), "kind", None)
    if kind is None or isinstance(array, np.generic) or hasattr(array, "detach"):  # a tensor
        raise TypeError(f"{op}: {name} is a {type(array).__name__}, expected an array")
    if kind not in "fiub":
        raise TypeError(f"{op}: dtype of {name} is {array.dtype}, expected float, int or bool")
    # Files may hold the bytes of another machine, and kernels compare dtypes.
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


@cache
def cupy() -> Any:
    """The CuPy module; for this file and the CuPy kernels alone."""
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            "device: 'cuda' needs CuPy; install it with pip install 'minifcn[cuda12]' or "
            "'minifcn[cuda13]', to match the driver"
        ) from error
