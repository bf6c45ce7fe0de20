"""deadline: what a client sends, up to a point in time.

A timeout for each read would let a client send a byte now and then and hold its connection forever.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class DeadlineReader(io.RawIOBase):
    """The bytes of a socket; a read after what `allow` gave has run out raises TimeoutError."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.until = 0.0

    def allow(self, seconds: float) -> None:
        """From now on, so long for all reads together."""
        self.until = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """At least one byte, or 0 at the end."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for this request is over")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)
