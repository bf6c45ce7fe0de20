"""kernels: array in, array out, no autograd. Twins with one contract:

    reference       plain loops, copied from the formulas: the oracle
    numpy_kernels   the fast CPU kernels
    cupy_kernels    launches cuda/*.cu (a later issue)

Both twins export the same names with the same parameters; tests/kernels/test_twins.py compares.
Where the formula gives inf or nan, so does a kernel, without a warning: `Op` turns NumPy's off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np


def of(op: str, arrays: Sequence[Any], names: Sequence[str] = ()) -> Any:
    """The kernels of the device where all `arrays` live; `names` is what `op` calls them."""
    first = None
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{op}: {_called(index, len(arrays), names)} is a {type(array).__name__}; "
                f"this version has kernels for NumPy arrays only"
            )
        if array.dtype.kind == "f":
            if first is None:
                first = index
            elif array.dtype != arrays[first].dtype:
                a, b = (_called(k, len(arrays), names) for k in (index, first))
                raise TypeError(
                    f"{op}: dtype of {a} is {array.dtype}, but dtype of {b} is "
                    f"{arrays[first].dtype}; convert one with .astype()"
                )
    return _numpy_kernels()


@cache
def _numpy_kernels() -> Any:
    """Loaded with the first operator: `import minifcn` stays light."""
    from . import numpy_kernels

    return numpy_kernels


def _called(index: int, count: int, names: Sequence[str]) -> str:
    return names[index] if len(names) == count else f"input {index}"
