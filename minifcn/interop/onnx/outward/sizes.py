"""sizes: how a whole number of a trace follows the image, learnt from several traces.

Each number is a series, one entry per trace. It is

    constant        c
    as an axis      a + c                        a: the size of an axis of the image or of any value
    a rounding      (a m + c) div d,  m = 1 or d = 1
    a remainder     (-a mod m) + c               what is missing to a multiple of m
    what is missing max(c - a, 0),  max(b - a + c, 0)
    a product       a b c

whichever comes first. The image sizes of the traces are chosen so that two different rules differ
in at least one of them; what none of the rules explains is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from .align import Series

DIVISORS = (2, 4, 8, 16, 32, 64, 3, 5, 6, 10, 12)


@dataclass(frozen=True)
class Axis:
    """An axis of a value."""

    value: int
    axis: int


@dataclass(frozen=True)
class Rule:
    """(a m + c) div d; with `modulo`, (-a mod modulo) + c; with `other`, a b m + c.

    With `missing` max(c - a, 0) or, with `other`, max(b - a + c, 0).
    """

    a: Axis | None
    m: int = 1
    c: int = 0
    d: int = 1
    modulo: int = 0
    other: Axis | None = None
    missing: bool = False

    def of(self, a: int, b: int = 0) -> int:
        """The number where the axes have these sizes."""
        if self.a is None:
            return self.c
        if self.missing:
            return max((b if self.other else 0) - a + self.c, 0)
        if self.modulo:
            return -a % self.modulo + self.c
        return (a * (b if self.other else 1) * self.m + self.c) // self.d


def explain(series: Series, known: list[tuple[Axis, Series]]) -> Rule | None:
    """The first rule that gives `series`, by the axes that are known; likely ones come first."""
    if len(set(series)) == 1:
        return Rule(None, c=series[0])
    distinct: dict[Series, Axis] = {}
    for axis, a in known:
        distinct.setdefault(a, axis)
    varying = [(axis, a) for a, axis in distinct.items() if len(set(a)) > 1]
    for axis, a in varying:
        c = series[0] - a[0]
        if all(v - x == c for v, x in zip(series, a, strict=True)):
            return Rule(axis, c=c)
    for axis, a in varying:
        rule = _rounded(series, axis, a) or _remainder(series, axis, a) or _floor(series, axis, a)
        if rule:
            return rule
    return _pair(series, varying)


def _pair(series: Series, varying: list[tuple[Axis, Series]]) -> Rule | None:
    """A rule of two axes."""
    for place, (axis, a) in enumerate(varying):
        for other, b in varying:
            gaps = [y - x for x, y in zip(a, b, strict=True)]
            most = max(range(len(series)), key=lambda t: series[t])
            c = series[most] - gaps[most]
            if (c == 0 or _varied(series)) and all(
                v == max(gap + c, 0) for v, gap in zip(series, gaps, strict=True)
            ):
                return Rule(axis, c=c, other=other, missing=True)
        for other, b in varying[: place + 1]:
            products = [x * y for x, y in zip(a, b, strict=True)]
            m = series[0] // products[0] if products[0] else 0
            if m and all(v == p * m for v, p in zip(series, products, strict=True)):
                return Rule(axis, m=m, other=other)
    return None


def _floor(series: Series, axis: Axis, a: Series) -> Rule | None:
    """max(c - a, 0): a border up to a smallest size."""
    most = max(range(len(series)), key=lambda t: series[t])
    c = series[most] + a[most]
    fits = all(v == max(c - x, 0) for v, x in zip(series, a, strict=True))
    return Rule(axis, c=c, missing=True) if fits and _varied(series) else None


def _varied(series: Series) -> bool:
    """Whether enough was seen to tell a rule from chance: two numbers that are not 0."""
    return len(set(series) - {0}) > 1


def _rounded(series: Series, axis: Axis, a: Series) -> Rule | None:
    """(a m + c) div d for small m and d."""
    spread = max(a) - min(a)
    m, left = divmod(max(series) - min(series), spread)
    if not left and m > 1:
        c = series[0] - m * a[0]
        if all(v == m * x + c for v, x in zip(series, a, strict=True)):
            return Rule(axis, m=m, c=c)
    for d in DIVISORS:
        low = max(d * v - x for v, x in zip(series, a, strict=True))
        high = min(d * v - x + d - 1 for v, x in zip(series, a, strict=True))
        natural = [c for c in (0, d - 1) if low <= c <= high]  # rounded down, rounded up
        if len(set(series)) > 2 and (natural or low == high):
            return Rule(axis, c=natural[0] if natural else low, d=d)
    return None


def _remainder(series: Series, axis: Axis, a: Series) -> Rule | None:
    """(-a mod m) + c: a border up to the next multiple of m."""
    for m in DIVISORS:
        c = series[0] - (-a[0] % m)
        if all(v == -x % m + c for v, x in zip(series, a, strict=True)):
            return Rule(axis, c=c, modulo=m)
    return None
