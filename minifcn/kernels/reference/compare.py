"""Comparing, one pair at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array

__all__ = ["compare"]


def compare(a: Array, b: Any, relation: str) -> Array:
    y = np.empty(a.shape, bool)
    for i in np.ndindex(*a.shape):
        p, q = a[i], b[i] if np.ndim(b) else b
        holds = {"lt": p < q, "le": p <= q, "gt": p > q, "ge": p >= q, "eq": p == q, "ne": p != q}
        y[i] = holds[relation]
    return y
