"""Writing into an array."""

from __future__ import annotations

from typing import Any

from ...device import Array

__all__ = ["write"]


def write(x: Array, key: Any, value: Any) -> None:
    """x[key] = value, as NumPy has it: of equal places the last one counts."""
    x[key] = value
