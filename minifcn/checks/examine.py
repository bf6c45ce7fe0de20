"""examine: compare every gradient of a problem with finite differences, and judge.

    full   every element:            |a_e - n_e| <= atol + rtol |n_e|
    fast   a few random directions:  |<a, v> - n_v| <= atol + rtol |n_v|,   v of +1 and -1

with a = J'u for a random upstream u, never ones: a sum hides flips, transposes and all of a batch
norm's gradient. A direction of signs does not dilute one wrong element, as a unit vector would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core import Tensor, grad
from ..device import Array, to_device, to_host
from .difference import Probe, evaluate, gradients, probe, slope, unit
from .problem import Problem
from .verdict import verdict

PROBED = 32  # wrong elements that get a second look
HIDDEN = "rounding: the function's values are so large that they hide this; try a larger eps"
LARGE = 4096  # elements above which a failed fast check looks for one wrong element by halving


@dataclass(frozen=True)
class Settings:
    """How closely to look."""

    mode: str = "full"
    eps: float = 1e-6
    atol: float = 1e-5
    rtol: float = 1e-3
    directions: int = 3

    def tolerance(self, numeric: Array, noise: Array | float) -> Array:
        return np.asarray(self.atol + self.rtol * np.abs(numeric) + noise)


@dataclass(frozen=True)
class Finding:
    """The worst element of one gradient; `verdict` is "" where it is right."""

    order: int
    input: str
    index: tuple[int, ...] | None  # None: along a direction
    analytic: float
    numeric: float
    verdict: str = ""

    @property
    def absolute(self) -> float:
        return abs(self.analytic - self.numeric)

    @property
    def relative(self) -> float:
        size = max(abs(self.analytic), abs(self.numeric))
        return self.absolute / size if size else 0.0


def analytic_gradients(problem: Problem, upstream: Sequence[Array]) -> list[Array]:
    """J'u by the backward pass, one array per variable."""
    ys = problem.run()
    us = [Tensor(to_device(u.astype(y.dtype), y.device)) for u, y in zip(upstream, ys, strict=True)]
    return [to_host(g.data) for g in grad(ys, problem.tensors, us, allow_unused=True)]


def examine(
    problem: Problem,
    upstream: Sequence[Array],
    order: int,
    settings: Settings,
    rng: np.random.Generator,
) -> Iterator[Finding]:
    """One finding per variable; the problem is lifted to float64."""
    found = analytic_gradients(problem, upstream)
    for k, (variable, a) in enumerate(zip(problem.variables, found, strict=True)):
        look = _Look(problem, k, a, upstream, settings)
        if a.size == 0:
            yield Finding(order, variable.name, None, 0.0, 0.0)
        elif settings.mode == "full":
            yield look.everywhere(order)
        else:
            yield look.along(order, rng)


@dataclass(frozen=True)
class _Look:
    """One variable of a problem under examination."""

    problem: Problem
    k: int
    analytic: Array
    upstream: Sequence[Array]
    settings: Settings

    @property
    def name(self) -> str:
        return self.problem.variables[self.k].name

    def everywhere(self, order: int) -> Finding:
        """Compare every element; where they differ, look again, then judge."""
        eps = self.settings.eps
        (numeric,), noise = gradients(self.problem, self.k, [self.upstream], eps)
        a, tolerance = self.analytic, self.settings.tolerance(numeric, noise)
        hidden = np.argwhere(self._hides(noise, np.maximum(np.abs(a), np.abs(numeric))))
        if len(hidden):
            return self._finding(order, tuple(int(i) for i in hidden[0]), numeric, HIDDEN)
        bent: dict[tuple[int, ...], Probe] = {}
        for index in _suspects(a, numeric, tolerance)[:PROBED]:
            close = float(tolerance[index])
            seen = self._probe_at(index, close)
            if seen.kind == "smooth" and abs(a[index] - seen.slope) <= close:
                numeric[index] = seen.slope  # a smaller step settled it
            elif _excuses(seen, float(a[index]), close):
                bent[index] = seen
        wrong = [index for index in _suspects(a, numeric, tolerance) if index not in bent]
        if wrong:
            rest = numeric.copy()
            for index in bent:
                rest[index] = a[index]
            return self._finding(order, wrong[0], numeric, self._judge(rest, tolerance))
        if bent:
            index = next(iter(bent))
            return self._finding(
                order, index, numeric, _bend_in_words(bent[index], len(bent), order)
            )
        worst = np.unravel_index(np.argmax(np.abs(a - numeric) / tolerance), a.shape)
        return self._finding(order, tuple(int(i) for i in worst), numeric, "")

    def along(self, order: int, rng: np.random.Generator) -> Finding:
        """Compare along random signs; when they differ, find out where."""
        worst, shape = None, self.analytic.shape
        for _ in range(self.settings.directions):
            signs = rng.choice([-1.0, 1.0], shape)
            a, n, ok = self._compare(signs)
            if ok is None:
                return Finding(order, self.name, None, a, n, HIDDEN)
            if not ok:
                return self.everywhere(order) if signs.size <= LARGE else self._halve(order, signs)
            if worst is None or abs(a - n) > worst.absolute:
                worst = Finding(order, self.name, None, a, n)
        assert worst is not None, "at least one direction"
        return worst

    def _hides(self, noise: Array | float, size: Array | float) -> Array:
        """Whether rounding of the function's values is so large that nothing could be wrong."""
        return np.asarray(noise > 10 * (self.settings.atol + self.settings.rtol * size))

    def _compare(self, direction: Array) -> tuple[float, float, bool | None]:
        """Analytic and numeric slope, and whether they agree; None if that cannot be seen."""
        one = slope(self.problem, self.k, direction, [self.upstream], self.settings.eps)
        a, n = float(np.vdot(self.analytic, one.moved)), one.values[0]
        tolerance = float(self.settings.tolerance(np.asarray(n), one.noise))
        if self._hides(one.noise, max(abs(a), abs(n))):
            return a, n, None
        if abs(a - n) <= tolerance:
            return a, n, True
        along = direction * np.maximum(1, np.abs(self.problem.values(self.k)))
        seen = self._probe(along, self.settings.eps, tolerance)
        return a, n, seen.kind == "smooth" and abs(a - seen.slope) <= tolerance

    def _halve(self, order: int, signs: Array) -> Finding:
        """Keep the half with the larger error until one element is left."""
        places = np.flatnonzero(signs)
        while len(places) > 1:
            halves = [places[: len(places) // 2], places[len(places) // 2 :]]
            errors = []
            for half in halves:
                direction = np.zeros(signs.size)
                direction[half] = signs.flat[half]
                a, n, _ = self._compare(direction.reshape(signs.shape))
                errors.append(np.nan_to_num(abs(a - n), nan=np.inf))
            places = halves[int(np.argmax(errors))]
        index = tuple(int(i) for i in np.unravel_index(places[0], signs.shape))
        a, n, _ = self._compare(unit(signs.shape, index))
        seen = self._probe_at(index, self.settings.atol)
        words = "no simple pattern: one element looked at, found by halving"
        if _excuses(seen, a, self.settings.atol):
            words = _bend_in_words(seen, 1, order)
        elif a == 0:
            words = "zero where it should not be (detached?): one element looked at"
        return Finding(order, self.name, index, a, n, words)

    def _probe_at(self, index: tuple[int, ...], close: float) -> Probe:
        x = self.problem.values(self.k)
        eps = self.settings.eps * max(1.0, abs(float(x[index])))
        return self._probe(unit(x.shape, index), eps, close)

    def _probe(self, direction: Array, eps: float, close: float) -> Probe:
        return probe(self.problem, self.k, direction, self.upstream, eps, close)

    def _finding(self, order: int, index: tuple[int, ...], numeric: Array, words: str) -> Finding:
        a, n = float(self.analytic[index]), float(numeric[index])
        return Finding(order, self.name, index, a, n, words)

    def _judge(self, numeric: Array, tolerance: Array) -> str:
        """The verdict, with what other upstream gradients would have given, if that is cheap."""
        x, eps = self.problem.values(self.k), self.settings.eps
        slices: dict[str, Array] = {}
        bases = {"x": x}
        if x.size <= LARGE and len(self.upstream) == 1:
            u, y = self.upstream[0], evaluate(self.problem, self.k, x)[0]
            others = dict(_other_upstreams(u))
            arrays, _ = gradients(self.problem, self.k, [[other] for other in others.values()], eps)
            slices = dict(zip(others, arrays, strict=True))
            if u.shape == x.shape:
                bases |= {"the upstream gradient": u, "y": y, "upstream times x": u * x}
                bases |= {"upstream times y": u * y}
        return verdict(self.analytic, numeric, tolerance, slices, bases)


def _other_upstreams(u: Array) -> Iterator[tuple[str, Array]]:
    """What a vjp may have used instead of u, and how to say so."""
    yield "the upstream gradient is ignored: this is the gradient of the sum", np.ones(u.shape)
    for axis, size in enumerate(u.shape):
        for place in (0, size - 1) if size > 1 else ():
            part = np.zeros(u.shape)
            key = (*(slice(None),) * axis, place)
            part[key] = u[key]
            yield f"missing the sum over axis {axis} of the output: only {place} counts", part


def _suspects(analytic: Array, numeric: Array, tolerance: Array) -> list[tuple[int, ...]]:
    """Where the two differ by more than the tolerance, the worst first."""
    error = np.nan_to_num(np.abs(analytic - numeric) / tolerance, nan=np.inf)
    found = [tuple(int(i) for i in place) for place in np.argwhere(error > 1)]
    return sorted(found, key=lambda index: -float(error[index]))


def _excuses(seen: Probe, a: float, tolerance: float) -> bool:
    """Whether a kink explains the difference: the gradient lies between the one-sided slopes."""
    if seen.kind in ("edge", "jump"):
        return True
    return seen.kind != "smooth" and seen.low - tolerance <= a <= seen.high + tolerance


def _bend_in_words(seen: Probe, count: int, order: int) -> str:
    if seen.kind == "edge":
        return "nan: the function is not finite one step away; try a smaller eps"
    others = f", and at {count - 1} other elements" if count > 1 else ""
    if seen.kind == "jump" and order == 1:
        return f"jump: the function is not continuous here{others}"
    if seen.kind == "jump":
        return f"kink: the gradient is not continuous here{others}"
    return f"kink: one-sided slopes are {seen.low:.6g} and {seen.high:.6g}{others}"
