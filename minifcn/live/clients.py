"""clients: who may send frames now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .refusal import Limits, Refusal

AT_ONCE = 3  # requests of one client: a frame with the network, one that waits, a newer one


@dataclass
class _Client:
    requests: int = 0
    left: float = 0.0  # when its last request ended


class Clients:
    """A client has a place from its first frame until `limits.stay` seconds after its last one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.lock = threading.Lock()
        self.present: dict[str, _Client] = {}
        self.seen = 0  # how many clients there were

    @contextmanager
    def place(self, name: str, stays: bool) -> Iterator[None]:
        """Hold a place during a request, and if it `stays` for a while after; or Refusal."""
        with self.lock:
            self._enter(name)
        try:
            yield
        finally:
            with self.lock:
                client = self.present[name]
                client.requests -= 1
                client.left = time.monotonic() if stays else -self.limits.stay

    def wait(self, seconds: float) -> None:
        """Until no request is under way, at most so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self.lock:
                if not any(client.requests for client in self.present.values()):
                    return
            time.sleep(0.01)

    def _enter(self, name: str) -> None:
        now = time.monotonic()
        for other, client in list(self.present.items()):
            if not client.requests and now - client.left >= self.limits.stay:
                del self.present[other]
        if name not in self.present:
            if len(self.present) >= self.limits.clients:
                raise Refusal(
                    503, f"{len(self.present)} clients are here already; try again in a while"
                )
            self.present[name] = _Client()
            self.seen += 1
        client = self.present[name]
        if client.requests >= AT_ONCE:
            raise Refusal(429, f"this client has {AT_ONCE} frames under way; wait for an answer")
        client.requests += 1
