"""check: is this gradient right? Of any function of tensors, any layer, any model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from .conduct import findings
from .examine import Finding, Settings
from .problem import Problem, pose

__all__ = ["GradientError", "PrecisionWarning", "gradcheck", "gradgradcheck"]

MOVES = 10  # how often inputs are moved off a kink


class GradientError(RuntimeError):
    """A gradient is wrong, or cannot be checked; the attributes say where and how."""

    def __init__(self, name: str, finding: Finding) -> None:
        self.name, self.finding = name, finding
        self.order, self.input, self.index = finding.order, finding.input, finding.index
        self.analytic, self.numeric = finding.analytic, finding.numeric
        self.absolute, self.relative = finding.absolute, finding.relative
        self.verdict = finding.verdict
        super().__init__(f"gradcheck: {name}: {_story(finding)}verdict: {finding.verdict}")


class PrecisionWarning(UserWarning):
    """An input is not float64: the check is only as sharp as its precision."""


def _story(finding: Finding) -> str:
    if np.isnan(finding.analytic) and np.isnan(finding.numeric):
        return f"{finding.input}{'' if finding.index is None else f' at {finding.index}'}: "
    what = "the gradient" if finding.order == 1 else "the second derivative"
    at = "along a direction" if finding.index is None else f"at {finding.index}"
    return (
        f"{what} for {finding.input} {at} is {finding.analytic:.9g}, numerically "
        f"{finding.numeric:.9g} (absolute error {finding.absolute:.3g}, relative "
        f"{finding.relative:.3g}); "
    )


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any = (),
    *,
    params: Any = None,
    order: int = 1,
    mode: str = "full",
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    seed: int = 0,
    kinks: str = "raise",
) -> bool:
    """True if the gradients of fn(*inputs) are right, else a GradientError that says what is wrong.

        |analytic - numeric| <= atol + rtol |numeric|,   numeric = (f(x + eps) - f(x - eps)) / 2 eps

    Every floating input is differentiated, whether or not it requires a gradient; integers and
    other objects are passed on. A layer's or model's own parameters come along; those that a
    function only closes over are given as `params` (a module, a dict or a list). `order=2` also
    checks the derivatives of the gradient, by the inputs and by the upstream gradient.

    mode    "full" moves every element, "fast" some random directions
    kinks   "raise", or "move": an element on a kink (relu at 0, a tie of maxima) is moved away
    seed    of the random upstream gradient, and of the directions

    >>> import numpy as np, minifcn as mf
    >>> gradcheck(lambda x, y: x * y + x**3, [np.array([1.0, 2.0]), np.array([3.0, 4.0])], order=2)
    True
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order is {order!r}, expected 1 or 2")
    if mode not in ("full", "fast"):
        raise ValueError(f"gradcheck: mode is {mode!r}, expected 'full' or 'fast'")
    if kinks not in ("raise", "move"):
        raise ValueError(f"gradcheck: kinks is {kinks!r}, expected 'raise' or 'move'")
    if not (eps > 0 and atol >= 0 and rtol >= 0):
        raise ValueError(
            f"gradcheck: eps, atol and rtol are {eps}, {atol} and {rtol}, expected eps above 0, "
            f"the others at least 0"
        )
    problem, settings = pose(fn, inputs, params), Settings(mode, eps, atol, rtol)
    low = [
        f"{v.name} is {v.tensor.dtype}" for v in problem.variables if v.tensor.dtype.itemsize < 8
    ]
    if low:
        warnings.warn(
            f"gradcheck: {', '.join(low)}; that gradient is compared with the one in float64, and "
            f"the latter with finite differences",
            PrecisionWarning,
            stacklevel=2,
        )
    with problem.untouched(), ExitStack() as moved:
        for _ in range(MOVES if kinks == "move" else 0):
            bad = _first_bad(problem, order, settings, seed)
            if bad is None or not bad.verdict.startswith("kink"):
                break
            k = [variable.name for variable in problem.variables].index(bad.input)
            x = problem.values(k)
            noise = np.random.default_rng(seed + 1).uniform(0.05, 0.15, x.shape)
            beside = np.asarray(x + noise * np.maximum(1, abs(x)), x.dtype)
            moved.enter_context(problem.at(k, beside))
        bad = _first_bad(problem, order, settings, seed)
    if bad is not None:
        raise GradientError(problem.name, bad)
    return True


def _first_bad(problem: Problem, order: int, settings: Settings, seed: int) -> Finding | None:
    return next(
        (found for found in findings(problem, order, settings, seed) if found.verdict), None
    )


def gradgradcheck(fn: Callable[..., Any], inputs: Any = (), **options: Any) -> bool:
    """`gradcheck` with order 2."""
    return gradcheck(fn, inputs, order=2, **options)
