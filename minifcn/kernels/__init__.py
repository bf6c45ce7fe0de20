"""kernels: array in, array out, no autograd. Twins with one contract:

    reference       plain loops, copied from the formulas: the oracle
    numpy_kernels   the fast CPU kernels
    cupy_kernels    launches cuda/*.cu (a later issue)

Both twins export the same names with the same parameters; tests/kernels/test_twins.py compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import numpy_kernels


def of(op: str, arrays: Sequence[Any]) -> Any:
    """The kernels of the device where all `arrays` live."""
    first = None
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{op}: input {index} is a {type(array).__name__}; this version has kernels for "
                f"NumPy arrays only"
            )
        if array.dtype.kind == "f":
            if first is None:
                first = index
            elif array.dtype != arrays[first].dtype:
                raise TypeError(
                    f"{op}: dtype of input {index} is {array.dtype}, but dtype of input {first} is "
                    f"{arrays[first].dtype}; convert one with .astype()"
                )
    return numpy_kernels
