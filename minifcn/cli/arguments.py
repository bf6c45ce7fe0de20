"""arguments: types for argparse, which say what they expect."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path


def whole(least: int) -> Callable[[str], int]:
    """A whole number of at least `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ArgumentTypeError(f"got {text!r}, expected a whole number of at least {least}")
        return value

    return read


def number(least: float) -> Callable[[str], float]:
    """A finite number of at least `least`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise ArgumentTypeError(f"got {text!r}, expected a number of at least {least}")
        return value

    return read


def folder(text: str) -> Path:
    """A folder for results, which may be missing, but no file may stand in its place.

    It is not made yet: a mistake in another argument shall leave nothing behind.
    """
    path = Path(text)
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise ArgumentTypeError(f"got {text!r}, but {there} is a file, expected a folder")
    return path
