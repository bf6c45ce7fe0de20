"""Bools from two arrays, or from an array and a number: cuda/compare.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array
from .elementwise import cast, floating
from .launch import THREADS, blocks, program
from .memory import dense, empty, flat

__all__ = ["compare"]

RELATIONS = ("lt", "le", "gt", "ge", "eq", "ne")  # as compare.cu counts them


def compare(a: Array, b: Any, relation: str) -> Array:
    """Whether a[i] < b[i] ("lt"), and so on; b is an array of a's shape or a number."""
    y, number = empty(a.shape, np.bool_), RELATIONS.index(relation)
    if hasattr(b, "shape") and not isinstance(b, np.generic):
        dtype = a.dtype if a.dtype == b.dtype else np.result_type(a.dtype, b.dtype)
        a, b = (x if x.dtype == dtype else cast(x, dtype.name) for x in (a, b))
        run = program("compare", REAL=dtype, MEET=_meet(dtype))
        run("compare", blocks(y.size), THREADS, dense(a), dense(b), number, flat(y), y.size)
        return y
    meet, value = _number(a.dtype, b)
    run = program("compare", REAL=a.dtype, MEET=meet)
    run("compare_number", blocks(y.size), THREADS, dense(a), value, number, flat(y), y.size)
    return y


def _meet(dtype: Any) -> Any:
    """The widest type of dtype's kind."""
    return np.dtype("f8" if floating(dtype) else "u8" if dtype.kind == "u" else "i8")


def _number(dtype: Any, number: Any) -> tuple[Any, Any]:
    """The type in which elements meet a number, and the number in it.

    Among fractions a Python number is first rounded to dtype, as NumPy does; a whole number that no
    element can reach is as good as an infinite one.
    """
    if floating(dtype):
        with np.errstate(all="ignore"):
            rounded = (
                number if isinstance(number, np.generic) else np.array(number, "f8").astype(dtype)
            )
        return np.dtype("f8"), float(rounded)
    meet = _meet(dtype)
    if not isinstance(number, (int, np.integer, np.bool_)):
        return np.dtype("f8"), float(number)
    limits = np.iinfo(meet)
    if limits.min <= int(number) <= limits.max:
        return meet, int(number)
    return np.dtype("f8"), float("inf") if number > 0 else float("-inf")
