"""progress: how long work looks while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

LINE_EVERY = 30.0  # seconds between plain lines


class Progress:
    """Rate, loss and time left of `total` steps, of which `done` were done before.

        with Progress(100, "epoch 3/20") as bar:
            bar.advance(loss=0.5)

    On a terminal this is one moving line (tqdm); in a file or a pipe, a line every 30 seconds.
    `total` is None where nobody knows it.
    """

    def __init__(
        self,
        total: int | None,
        title: str,
        done: int = 0,
        unit: str = "batch",
        out: TextIO | None = None,
    ) -> None:
        self.total, self.title, self.done, self.unit = total, title, done, unit
        self.out = sys.stderr if out is None else out
        self.started = self.spoken = time.monotonic()
        self.before = done
        self.bar: Any = None

    def __enter__(self) -> Progress:
        if self.out.isatty():
            from tqdm import tqdm

            # Without the thread by which tqdm watches itself: processes fork where none runs.
            bar: Any = type("Bar", (tqdm,), {"monitor_interval": 0})
            self.bar = bar(
                total=self.total,
                initial=self.done,
                desc=self.title,
                unit=self.unit,
                file=self.out,
                leave=False,
                dynamic_ncols=True,
            )
        return self

    def advance(self, **values: float) -> None:
        """One step is done; `values` are shown with it."""
        self.done += 1
        if self.bar is not None:
            self.bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})
            self.bar.update(1)
        elif time.monotonic() - self.spoken >= LINE_EVERY:
            self.spoken = time.monotonic()
            self.out.write(self.line(**values) + "\n")
            self.out.flush()

    def line(self, **values: float) -> str:
        """The state in words: `epoch 3/20: 40/100 batches, 2.1 per s, loss 0.5, 0:28 left`."""
        spent = max(time.monotonic() - self.started, 1e-9)
        rate = (self.done - self.before) / spent
        shown = "".join(f", {name} {value:.4g}" for name, value in values.items())
        if self.total is None:
            return f"{self.title}: {self.done} {self.unit}, {rate:.2f} per s{shown}"
        left = max(self.total - self.done, 0) / rate if rate else 0.0
        return (
            f"{self.title}: {self.done}/{self.total} {self.unit}, {rate:.2f} per s{shown}, "
            f"{clock(left)} left"
        )

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss.

    >>> clock(75), clock(3700)
    ('1:15', '1:01:40')
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
