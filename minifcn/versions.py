"""versions: notice that an array which a graph keeps was changed in place.

Parameters are updated in place, and a backward pass that then used the new values would be silently
wrong. A tensor shares one `Version` with its views; a node notes the count when it keeps an array.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


class VersionError(RuntimeError):
    """A backward pass met a kept array that somebody has changed since the forward pass."""


class Version:
    """How often, and by whom last, an array was written."""

    __slots__ = ("_place", "_writer", "count")

    def __init__(self) -> None:
        self.count = 0
        self._writer, self._place = "", ("", 0)

    def bump(self, writer: str) -> None:
        """Note one write and the user's line that led to it."""
        self.count += 1
        self._writer, self._place = writer, _users_line()

    @property
    def writer(self) -> str:
        """Who wrote last, and where."""
        path, line = self._place
        return f"{self._writer} at {os.path.basename(path)}:{line}"


def bump_all(versions: Iterable[Version], writer: str) -> None:
    """Note one write of each of them by the same user's line."""
    place = _users_line()
    for version in versions:
        version.count += 1
        version._writer, version._place = writer, place


PACKAGE = os.path.dirname(__file__)


def _users_line() -> tuple[str, int]:
    """(file, line) of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
