"""tree: the memory of a session of processes.

PSS   what a process holds, pages that it shares counted by their share: sums over processes
HWM   the most that a process ever held (VmHWM), shared pages counted in each: an upper bound
"""

from __future__ import annotations

import threading
from pathlib import Path

from .machine import members

MIB = 1024  # /proc counts in KiB


def pss(sessions: set[int]) -> float:
    """MiB that all processes of the sessions hold together."""
    return sum(_field(pid, "smaps_rollup", "Pss:") for pid in members(sessions))


def high_water(sessions: set[int]) -> float:
    """MiB: each process's own peak, added up."""
    return sum(_field(pid, "status", "VmHWM:") for pid in members(sessions))


def _field(pid: int, file: str, name: str) -> float:
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return 0.0
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / MIB
    return 0.0


class Peak:
    """Within it, a thread looks at the PSS again and again, and keeps the most it saw."""

    def __init__(self, sessions: set[int], every: float = 0.03) -> None:
        self.sessions, self.every = sessions, every
        self.most, self.looks = 0.0, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look, name="peak", daemon=True)

    def _look(self) -> None:
        while True:
            self.most = max(self.most, pss(self.sessions))
            self.looks += 1
            if self.done.wait(self.every):
                return

    def __enter__(self) -> Peak:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()
