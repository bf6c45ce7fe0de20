"""Halves beside numbers in float32: what NumPy would make of both is float32; here it is a half."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from ...device import Array

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def rounded(kernel: Kernel) -> Kernel:
    """Images in half precision are computed in float32, and rounded once.

    What is one number per channel has the dtype of those that are given.
    """

    @wraps(kernel)
    def run(x: Array, *others: Any) -> Any:
        if x.dtype != np.float16:
            return kernel(x, *others)
        arrays = [a for a in others if isinstance(a, np.ndarray)]
        own = next(a.dtype for a in arrays if a.ndim == 1)
        made = kernel(*(widened(a) for a in (x, *others)))
        several = isinstance(made, tuple)
        out = tuple(
            y.astype(own if y.ndim == 1 else x.dtype) for y in (made if several else (made,))
        )
        return out if several else out[0]

    return cast(Kernel, run)


def widened(a: Any) -> Any:
    """A half array in float32; all else as it is."""
    return a.astype(np.float32) if getattr(a, "dtype", None) == np.float16 else a
