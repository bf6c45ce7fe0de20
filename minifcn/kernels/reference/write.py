"""Writing, one element at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import Array

__all__ = ["write"]


def write(x: Array, key: Any, value: Any) -> None:
    places = np.arange(x.size).reshape(x.shape)[key]
    values = np.broadcast_to(value, np.shape(places))
    for i in np.ndindex(*np.shape(places)):
        x[np.unravel_index(np.asarray(places)[i], x.shape)] = values[i]
