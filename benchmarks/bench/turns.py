"""turns: sides take turns on a quiet machine, so that a slow minute hits all of them.

A turn is `warm` calls that do not count, as the side before it has swept the caches, and then
`count` calls that do. Where others took more than a twentieth of the machine during a turn it was
not quiet. Tables show the median over the calls of quiet turns, if a third of the turns were quiet,
else over all; the least call stands beside it.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .machine import QUIET, Load, wait_until_quiet
from .side import Running


@dataclass(frozen=True)
class Turn:
    """Seconds of each call; CPU seconds and page faults per call; what others took, if known."""

    seconds: list[float]
    cpu: float
    faults: float
    others: float | None

    @property
    def quiet(self) -> bool:
        return self.others is None or self.others <= QUIET


@dataclass
class Times:
    """What a side took, turn by turn."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def judged(self) -> list[Turn]:
        """The turns that count."""
        quiet = [turn for turn in self.turns if turn.quiet]
        return quiet if 3 * len(quiet) >= len(self.turns) else self.turns

    @property
    def median(self) -> float:
        return statistics.median(s for turn in self.judged for s in turn.seconds)

    @property
    def least(self) -> float:
        return min(s for turn in self.turns for s in turn.seconds)

    @property
    def quiet(self) -> str:
        return f"{sum(turn.quiet for turn in self.turns)} of {len(self.turns)}"

    def summary(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "median s": self.median,
            "min s": self.least,
            "cpu s": statistics.median(turn.cpu for turn in self.judged),
            "page faults": statistics.median(turn.faults for turn in self.judged),
            "quiet turns": self.quiet,
            "seconds": [[round(s, 6) for s in turn.seconds] for turn in self.turns],
            "load of others": [t.others if t.others is None else round(t.others, 3)
                               for t in self.turns],
        }  # fmt: skip


def take_turns(
    sides: Sequence[Running], rounds: int, count: int = 2, warm: int = 1, patience: float = 10.0
) -> dict[str, Times]:
    """Times of each side, by its title."""
    sessions = [side.pid for side in sides]
    times = {side.side.title: Times() for side in sides}
    for number in range(rounds):
        for side in sides:
            wait_until_quiet(sessions, patience)
            times[side.side.title].turns.append(one_turn(side, sessions, count, warm))
        line = "  ".join(f"{times[s.side.title].turns[-1].seconds[-1]:.3f}" for s in sides)
        print(f"round {number + 1} of {rounds}: {line}", file=sys.stderr, flush=True)
    return times


def one_turn(side: Running, sessions: Sequence[int], count: int, warm: int) -> Turn:
    """Ask one side for some calls; note what they took."""
    side.ask("run", count=warm)
    load = Load(sessions)
    seconds = side.ask("run", count=count)["seconds"]
    others, cpu, faults = load.others(), load.seconds() / count, load.page_faults() / count
    return Turn(seconds, cpu, faults, others)
