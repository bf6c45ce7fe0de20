"""versions: notice that an array which a graph keeps was changed in place.

Parameters are updated in place, and a backward pass that then used the new values would be silently
wrong. A tensor shares one `Version` with its views; a node notes the count when it keeps an array.
"""

from __future__ import annotations

import os
import sys


class VersionError(RuntimeError):
    """A backward pass met a kept array that somebody has changed since the forward pass."""


class Version:
    """How often, and by whom last, an array was written."""

    __slots__ = ("count", "writer")

    def __init__(self) -> None:
        self.count = 0
        self.writer = ""

    def bump(self, writer: str) -> None:
        """Note one write and the user's line that led to it."""
        self.count += 1
        self.writer = f"{writer} at {_users_line()}"


def _users_line() -> str:
    """file:line of the innermost frame outside this package."""
    package = os.path.dirname(__file__)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
