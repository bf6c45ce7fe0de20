r"""schedule: the learning rate's factor as a function of the step, 0 .. total - 1.

Schedules are frozen values without state: `sgd.step(schedule(step))`, and a resumed run needs to
know the step, nothing else. With t = step / total, cut to at most 1:

    Constant   1
    Step       gamma^floor(step / every)
    Poly       (1 - t)^power
    Cosine     floor + (1 - floor) (1 + cos pi t) / 2
    Warmup     (step + 1) / (steps + 1), then another schedule from its own step 0
    OneCycle   up from `first` to 1 over a share `warm` of the steps, down to `last`, along cosines

Source  Chen et al., DeepLab, 2016 (Poly); Loshchilov and Hutter, SGDR, 2016 (Cosine);
        Smith and Topin, Super-convergence, 2017 (OneCycle)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..shapes import function, whole

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same factor always."""

    factor: float = 1.0

    def __call__(self, step: int) -> float:
        return self.factor


@dataclass(frozen=True)
class Step:
    """Times `gamma` after every `every` steps."""

    every: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _at_least_one("Step", "every", self.every)

    def __call__(self, step: int) -> float:
        return float(self.gamma ** (step // self.every))


@dataclass(frozen=True)
class Poly:
    """From 1 to 0 over `total` steps; a straight line for power 1.

    >>> [Poly(4, power=1)(step) for step in range(5)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """

    total: int
    power: float = 0.9

    def __post_init__(self) -> None:
        _at_least_one("Poly", "total", self.total)

    def __call__(self, step: int) -> float:
        return float((1 - _share(step, self.total)) ** self.power)


@dataclass(frozen=True)
class Cosine:
    """From 1 to `floor` along half a cosine wave."""

    total: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        _at_least_one("Cosine", "total", self.total)

    def __call__(self, step: int) -> float:
        return _cosine(1.0, self.floor, _share(step, self.total))


@dataclass(frozen=True)
class Warmup:
    """A straight line up over `steps` steps, none of them 0, to where the schedule `then` begins.

    >>> schedule = Warmup(3, Poly(4, power=1))
    >>> [schedule(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.75, 0.5]
    """

    steps: int
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        whole("Warmup", "steps", self.steps, 0)
        function("Warmup", "then", self.then)

    def __call__(self, step: int) -> float:
        if step >= self.steps:
            return self.then(step - self.steps)
        return (step + 1) / (self.steps + 1) * self.then(0)


@dataclass(frozen=True)
class OneCycle:
    """Up to the full rate, down to almost none: the rates of PyTorch's OneCycleLR / max_lr."""

    total: int
    warm: float = 0.3
    first: float = 1 / 25
    last: float = 1 / 25e4

    def __post_init__(self) -> None:
        _at_least_one("OneCycle", "total", self.total)

    def __call__(self, step: int) -> float:
        peak = self.warm * self.total - 1
        if step <= peak:
            return _cosine(self.first, 1.0, step / peak if peak > 0 else 1.0)
        return _cosine(1.0, self.last, min((step - peak) / max(self.total - 1 - peak, 1e-9), 1.0))


def _share(step: int, total: int) -> float:
    return min(step / total, 1.0)


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


def _at_least_one(name: str, argument: str, value: int) -> None:
    whole(name, argument, value, 1)
