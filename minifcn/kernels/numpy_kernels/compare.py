"""Bools from two arrays, or from an array and a number."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ...device import Array

__all__ = ["compare"]

RELATIONS = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip


@np.errstate(all="ignore")  # no operator: a number that is too large for a's dtype is inf
def compare(a: Array, b: Any, relation: str) -> Array:
    """Whether a[i] < b[i] ("lt"), and so on; b is an array of a's shape or a number."""
    if a.dtype == np.bool_ and isinstance(b, int):
        a = a.view(np.uint8)  # which NumPy compares with whole numbers of any size
    return np.asarray(RELATIONS[relation](a, b))
