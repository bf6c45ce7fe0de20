"""turns: sides take turns on a quiet machine, so that a slow minute hits all of them.

A turn is `warm` calls that do not count, as the side before it has swept the caches, and then
`count` calls that do. The median over all of them stands in the tables, the least beside it.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .machine import Load, wait_until_quiet
from .side import Running


@dataclass
class Times:
    """What a side took: seconds of each call; of each turn CPU seconds per call, others' load."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    def summary(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "median s": self.median,
            "min s": self.least,
            "cpu s": statistics.median(self.cpu),
            "other load": round(max(self.others), 3) if self.others else None,
            "page faults": statistics.median(self.faults) if self.faults else None,
            "seconds": [round(s, 6) for s in self.seconds],
        }


def take_turns(
    sides: Sequence[Running], rounds: int, count: int = 2, warm: int = 1, patience: float = 10.0
) -> dict[str, Times]:
    """Times of each side, by its title."""
    sessions = [side.pid for side in sides]
    times = {side.side.title: Times() for side in sides}
    for turn in range(rounds):
        for side in sides:
            wait_until_quiet(sessions, patience)
            one_turn(side, times[side.side.title], sessions, count, warm)
        line = "  ".join(f"{times[s.side.title].seconds[-1]:.3f}" for s in sides)
        print(f"round {turn + 1} of {rounds}: {line}", file=sys.stderr, flush=True)
    return times


def one_turn(side: Running, times: Times, sessions: list[int], count: int, warm: int) -> None:
    """Ask one side for some calls; note what they took."""
    side.ask("run", count=warm)
    load = Load(sessions)
    answer = side.ask("run", count=count)
    others, cpu = load.others(), load.seconds()
    times.seconds += answer["seconds"]
    times.cpu.append(cpu / count)
    times.faults.append(load.page_faults() / count)
    if others is not None:
        times.others.append(others)
