"""stopwatch: how long each part of a pipeline takes for each item, and all of it together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Stopwatch:
    """Seconds by part. The parts may run in threads of their own, each part in one.

    The first item has to wait for what is made once (plans, memory), so frames per second are
    counted from its end.
    """

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {part: [] for part in ("read", "network", "write")}
        self.ends: list[float] = []  # when each item was finished

    def timed(self, part: str, source: Iterable[T]) -> Iterator[T]:
        """The items of `source`; what each takes to come is counted."""
        seconds = self.spent[part]
        items = iter(source)
        while True:
            start = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            seconds.append(time.perf_counter() - start)
            yield item

    def timing(self, part: str, work: Callable[[T], R]) -> Callable[[T], R]:
        """`work`, counted; the part called "write" is the last of an item."""
        seconds = self.spent[part]

        def counted(item: T) -> R:
            start = time.perf_counter()
            result = work(item)
            end = time.perf_counter()
            seconds.append(end - start)
            if part == "write":
                self.ends.append(end)
            return result

        return counted

    @property
    def rate(self) -> float | None:
        """Items per second."""
        count, span = len(self.ends) - 1, self.ends[-1] - self.ends[0] if self.ends else 0.0
        return count / span if span else None

    def words(self) -> str:
        """`12.3 per second, 63 ms of network each`, as far as there is something to say."""
        each = self.spent["network"]
        parts = [f"{self.rate:.1f} per second"] if self.rate else []
        parts += [f"{1000 * median(each):.0f} ms of network each"] if each else []
        return ", ".join(parts) or "nothing seen"

    def facts(self, **more: Any) -> dict[str, Any]:
        """All of it for JSON: seconds of each part, and frames per second."""
        found: dict[str, Any] = {**more, "frames": len(self.ends), "frames_per_second": self.rate}
        for part, seconds in self.spent.items():
            ordered = sorted(seconds)
            found[f"{part}_seconds"] = {
                "median": median(ordered) if ordered else None,
                "least": ordered[0] if ordered else None,
                "most": ordered[-1] if ordered else None,
                "sum": sum(ordered),
            }
        return found
