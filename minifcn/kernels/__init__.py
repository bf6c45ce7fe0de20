"""kernels: array in, array out, no autograd. Twins with one contract:

    reference       plain loops, copied from the formulas: the oracle
    numpy_kernels   the fast CPU kernels
    cupy_kernels    the same on a GPU: launches cuda/*.cu

Both twins export the same names with the same parameters; tests/kernels/test_twins.py compares.
Where the formula gives inf or nan, so does a kernel, without a warning: `Op` turns NumPy's off.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..device import Array, checked, host_array, is_bfloat16, to_device
from ..device import of as device_of

# what the CPU does with bfloat16: it converts and copies
ON_CPU = ("tensor", "cast", "astype", "move", "to", "backward", "grad", "setitem")


def of(op: str, arrays: Sequence[Any], names: Sequence[str] = (), mixed: bool = False) -> Any:
    """The kernels of the device where all `arrays` live; `names` is what `op` calls them.

    Floating arrays are of one dtype, unless the operator takes `mixed` ones.
    """
    first, home = None, ""
    for index, array in enumerate(arrays):
        device = "cpu" if isinstance(array, np.ndarray) else device_of(array)
        if device != home:
            if home:
                a, b = (_called(k, len(arrays), names) for k in (index, 0))
                raise TypeError(
                    f"{op}: {a} is on {device!r}, but {b} is on {home!r}; move one with .to()"
                )
            home = device
        if array.dtype.kind in "fV":
            if device == "cpu" and is_bfloat16(array.dtype) and op not in ON_CPU:
                raise TypeError(
                    f"{op}: dtype of {_called(index, len(arrays), names)} is bfloat16, for which "
                    f"there are no kernels on the CPU; move it with .to('cuda'), or convert it "
                    f"with .astype('float32')"
                )
            if first is None:
                first = index
            elif array.dtype != arrays[first].dtype and not mixed:
                a, b = (_called(k, len(arrays), names) for k in (index, first))
                raise TypeError(
                    f"{op}: dtype of {a} is {array.dtype}, but dtype of {b} is "
                    f"{arrays[first].dtype}; convert one with .astype()"
                )
    return _cupy_kernels() if home == "cuda" else _numpy_kernels()


def check_together(op: str, **arrays: Any) -> None:
    """Raise unless all arrays, whatever their dtypes, live on one device; each by its name."""
    of(op, list(arrays.values()), list(arrays), mixed=True)


def settled(array: Array, device: str | None) -> Array:
    """A new tensor's array on its device, an image in the order in which kernels read it."""
    array = to_device(array, device)
    if array.ndim == 4:  # once, not whenever it is read
        array = of("tensor", [array]).settle(array)
    return array


def copied(op: str, data: Any, dtype: Any = None) -> Array:
    """A copy of an array of a GPU, where it lies; as `host_array` copies one of the host."""
    array: Array = checked(op, "data", data)
    wanted = array.dtype if dtype is None else host_array(op, (), dtype).dtype
    k = of(op, [array])
    made: Array = k.copy(array) if wanted == array.dtype else k.cast(array, wanted.name)
    return made


def captured_step() -> object:
    """The step of which a CUDA graph is being made, if one is: what it computes, replays repeat."""
    numbers = sys.modules.get(f"{__name__}.cupy_kernels.numbers")
    return None if numbers is None else numbers.current.table


@cache
def _cupy_kernels() -> Any:
    """Loaded with the first operator on a GPU."""
    from . import cupy_kernels

    return cupy_kernels


@cache
def _numpy_kernels() -> Any:
    """Loaded with the first operator: `import minifcn` stays light."""
    from . import numpy_kernels

    return numpy_kernels


def _called(index: int, count: int, names: Sequence[str]) -> str:
    return names[index] if len(names) == count else f"input {index}"
