"""difference: what a derivative is, by moving the input a little.

    n_e = sum_k <u_k, y_k(x + h e) - y_k(x - h e)> / 2h        central, error about h^2
    right = ... (y(x + h e) - y(x)) / h,   left = ... (y(x) - y(x - h e)) / h

Outputs are subtracted before they are weighted: what does not change cancels exactly. Everything
runs in float64 (`Problem.lifted`) and unrecorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..device import Array, to_host
from ..modes import no_grad
from .problem import Problem

MACHINE = float(np.finfo(np.float64).eps)
SHRINK = 8.0  # each smaller step of a probe, of which there are two


@dataclass(frozen=True)
class Slope:
    """A derivative along one direction, and the part of it that may be rounding."""

    moved: Array  # the direction really gone, per unit of step
    values: tuple[float, ...]  # one per set of upstream gradients
    noise: float


@dataclass(frozen=True)
class Probe:
    """A second look at one direction with smaller steps, from both sides."""

    slope: float  # the central difference with the smallest step that settles it
    low: float
    high: float  # one-sided slopes: where a gradient may lie if there is a kink
    kind: str  # "smooth", "kink", "jump", or "edge": not finite at one side


def evaluate(problem: Problem, k: int, values: Array) -> list[Array]:
    """All outputs with other values of variable k."""
    with problem.at(k, np.asarray(values)), no_grad():
        return [to_host(y.data) for y in problem.run()]


def slope(
    problem: Problem, k: int, direction: Array, upstreams: Sequence[Sequence[Array]], eps: float
) -> Slope:
    """The central difference along `direction`, once for each set of upstream gradients."""
    x = problem.values(k)
    step = eps * direction * np.maximum(1, np.abs(x))  # h grows with |x|, so that x + h is not x
    ahead, behind = x + step, x - step
    above, below = evaluate(problem, k, ahead), evaluate(problem, k, behind)
    changes = [(a - b) / (2 * eps) for a, b in zip(above, below, strict=True)]
    values = tuple(_weigh(us, changes) for us in upstreams)
    squares = [((u * a) ** 2).sum() for u, a in zip(upstreams[0], above, strict=True)]
    noise = 4 * MACHINE / eps * float(np.sqrt(sum(squares)))  # roundings add up as random steps do
    return Slope(np.asarray((ahead - behind) / (2 * eps)), values, noise)


def gradients(
    problem: Problem, k: int, upstreams: Sequence[Sequence[Array]], eps: float
) -> tuple[list[Array], Array]:
    """Every element's derivative for each set of upstream gradients, and the rounding in it."""
    shape = problem.variables[k].tensor.shape
    found, noise = [np.zeros(shape) for _ in upstreams], np.zeros(shape)
    for index in np.ndindex(*shape):
        one = slope(problem, k, unit(shape, index), upstreams, eps)
        for array, value in zip(found, one.values, strict=True):
            array[index] = value / one.moved[index]
        noise[index] = one.noise / one.moved[index]
    return found, noise


def probe(
    problem: Problem, k: int, direction: Array, upstream: Sequence[Array], eps: float, close: float
) -> Probe:
    """Is the function smooth along this direction, or does it bend (kink) or jump?

    With smaller steps, one-sided slopes of a smooth function meet, those of a kink keep their
    distance, and those of a jump grow. `close` is what counts as meeting; a jump must be larger
    than what rounding, which also grows, may make of that.
    """
    x = problem.values(k)
    here = evaluate(problem, k, x)
    gaps, centrals = [], []
    for h in (eps, eps / SHRINK, eps / SHRINK**2):
        step = h * direction
        above, below = evaluate(problem, k, x + step), evaluate(problem, k, x - step)
        right = [u * (a - y) / h for u, a, y in zip(upstream, above, here, strict=True)]
        left = [u * (y - b) / h for u, y, b in zip(upstream, here, below, strict=True)]
        low = sum(float(np.minimum(a, b).sum()) for a, b in zip(right, left, strict=True))
        high = sum(float(np.maximum(a, b).sum()) for a, b in zip(right, left, strict=True))
        central = sum(float((a + b).sum()) / 2 for a, b in zip(right, left, strict=True))
        gaps.append(high - low)
        centrals.append(central)
    grown = max(gaps[-1], abs(centrals[-1])) > SHRINK * max(gaps[0], abs(centrals[0]))
    if not np.isfinite(gaps).all():
        kind = "edge"
    elif grown and max(gaps[-1], abs(centrals[-1])) > SHRINK**3 * close:
        kind = "jump"
    elif gaps[-1] <= close or gaps[-1] < gaps[0] / 2:
        kind = "smooth"
    else:
        kind = "kink"
    return Probe(central, low, high, kind)


def unit(shape: tuple[int, ...], index: tuple[int, ...]) -> Array:
    """One element's own direction."""
    direction = np.zeros(shape)
    direction[index] = 1
    return direction


def _weigh(us: Sequence[Array], changes: Sequence[Array]) -> float:
    return float(sum(np.vdot(u, change) for u, change in zip(us, changes, strict=True)))
