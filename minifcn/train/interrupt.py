"""interrupt: Ctrl-C ends a run between two steps, never inside one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within it the first Ctrl-C (or SIGTERM) sets `asked`; the second one acts as ever.

    Python lets only the main thread handle signals; in another thread nothing is changed.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False
        self.outer: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                self.outer[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.outer.items():
            signal.signal(number, handler)
        self.outer = {}

    def __exit__(self, *error: object) -> None:
        self._restore()
