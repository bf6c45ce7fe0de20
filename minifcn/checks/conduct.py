"""conduct: before gradients are compared, does the function behave?

It must give the same values and gradients twice, finite ones, and leave its inputs alone. Its
gradient in float32 is judged by its gradient in float64, and that one by finite differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from ..core import Tensor
from ..device import Array, is_bfloat16, to_device, to_host
from ..graph import VjpError, reachable
from .examine import Finding, Settings, analytic_gradients, examine
from .problem import Problem, duplicate

NAN = float("nan")
COARSE = Settings(eps=1e-2, atol=1e-2, rtol=5e-2)  # what a function that rounds to float32 meets


def findings(problem: Problem, order: int, settings: Settings, seed: int) -> Iterator[Finding]:
    """What there is to say about each gradient, worst element by worst element."""
    rng = np.random.default_rng(seed)
    try:
        upstream, complaint = _met(problem, rng)
    except VjpError as error:
        complaint = _misfit(1, error)
    if complaint:
        yield complaint
        return
    yield from _judged(problem, upstream, 1, settings, rng)
    if order == 2:
        ys = problem.run()
        us = [to_device(u.astype(y.dtype), y.device) for u, y in zip(upstream, ys, strict=True)]
        weights = [rng.standard_normal(tensor.shape) for tensor in problem.tensors]
        try:
            yield from _judged(problem.gradient(us), weights, 2, settings, rng)
        except VjpError as error:
            yield _misfit(2, error)


def _misfit(order: int, error: VjpError) -> Finding:
    """A gradient of the wrong shape, and what that usually means."""
    got, expected, new = error.got, error.expected, len(error.got) - len(error.expected)
    padded = (1,) * new + expected
    if got == expected:
        words = "wrong precision"
    elif new >= 0 and all(n in (m, 1) for m, n in zip(got, padded, strict=True)):
        summed = [axis for axis, m in enumerate(got) if axis < new or m != padded[axis]]
        words = f"missing the sum over {'axis' if len(summed) == 1 else 'axes'} "
        words += ", ".join(map(str, summed))
    elif got != expected and sorted(got) == sorted(expected):
        words = "transposed"
    else:
        words = "wrong shape"
    name = f"input {error.index} of {error.op}"
    return Finding(order, name, None, NAN, NAN, f"{words}: {error}")


def _met(problem: Problem, rng: np.random.Generator) -> tuple[list[Array], Finding | None]:
    """A random upstream gradient; whether fn writes to its inputs, or differs when run again."""
    with ExitStack() as copies:  # if fn writes, then not into what was given
        before = [to_host(tensor.data) for tensor in problem.tensors]
        for k, tensor in enumerate(problem.tensors):
            copies.enter_context(problem.at(k, duplicate(tensor)))
        ys = [to_host(y.data).copy() for y in problem.run()]
        if not ys:
            raise TypeError("gradcheck: fn returned no floating tensor, so it has no gradient")
        upstream = [rng.standard_normal(y.shape) for y in ys]
        return upstream, (
            _written(problem, before)
            or _differs(ys, [to_host(y.data) for y in problem.run()])
            or _differs_backward(problem, upstream)
        )


def _written(problem: Problem, before: Sequence[Array]) -> Finding | None:
    for k, (variable, values) in enumerate(zip(problem.variables, before, strict=True)):
        if problem.values(k).tobytes() != values.tobytes():
            words = f"changed in place: fn writes into its input {variable.name}"
            return Finding(1, variable.name, None, NAN, NAN, words)
    return None


def _differs(ys: Sequence[Array], again: Sequence[Array]) -> Finding | None:
    for k, (y, other) in enumerate(zip(ys, again, strict=True)):
        if y.tobytes() != other.tobytes():
            words = (
                f"not deterministic: two runs on the same inputs differ by {_most(y, other):.3g} "
                f"(dropout? use .eval() or a fixed mask)"
            )
            return Finding(1, f"output {k}", None, NAN, NAN, words)
    return None


def _differs_backward(problem: Problem, upstream: Sequence[Array]) -> Finding | None:
    first, second = (analytic_gradients(problem, upstream) for _ in range(2))
    for variable, g, other in zip(problem.variables, first, second, strict=True):
        if g.tobytes() != other.tobytes():
            words = f"not deterministic: two backward passes differ by {_most(g, other):.3g}"
            return Finding(1, variable.name, None, NAN, NAN, words)
    return None


def _most(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max())


def _judged(
    problem: Problem,
    upstream: Sequence[Array],
    order: int,
    settings: Settings,
    rng: np.random.Generator,
) -> Iterator[Finding]:
    low = [v for v in problem.variables if v.tensor.dtype != np.float64]
    given = analytic_gradients(problem, upstream) if low else []
    with problem.lifted():
        for k, y in enumerate(_run_lifted(problem, bool(low))):
            if not np.isfinite(to_host(y.data)).all():
                yield _not_finite(order, k, to_host(y.data))
                return
        exact = analytic_gradients(problem, upstream) if low else []
        for finding in examine(problem, upstream, order, settings, rng):
            if finding.verdict and _rounds(problem):
                again = {f.input: f for f in examine(problem, upstream, order, COARSE, rng)}
                if not again[finding.input].verdict:
                    words = "float32 precision: fn computes in a lower precision inside"
                    finding = replace(finding, verdict=words)
            yield finding
    for variable, g, e in zip(problem.variables, given, exact, strict=False):
        if g.dtype != np.float64 and g.size:
            yield _precision(order, variable.name, g, e, settings)


def _run_lifted(problem: Problem, low: bool) -> list[Tensor]:
    try:
        return problem.run()
    except TypeError as error:
        if not low:
            raise
        raise TypeError(
            f"gradcheck: fn does not run in float64, which finite differences need: {error}"
        ) from error


def _not_finite(order: int, k: int, y: Array) -> Finding:
    place = np.argwhere(~np.isfinite(y))[0]
    index = tuple(int(i) for i in place)
    return Finding(order, f"output {k}", index, NAN, NAN, f"nan: the output itself is {y[index]}")


def _rounds(problem: Problem) -> bool:
    """Whether some operator on the way works in less than float64."""
    nodes = reachable(y._node for y in problem.run() if y._node is not None)
    return any(node.dtype != np.float64 for node in nodes)


def _precision(order: int, name: str, g: Array, exact: Array, settings: Settings) -> Finding:
    """The gradient in the given precision against the one in float64."""
    machine = 64 * (2**-7 if is_bfloat16(g.dtype) else float(np.finfo(g.dtype).eps))
    size = float(np.abs(exact).max())
    tolerance = np.maximum(settings.atol, machine * size) + max(settings.rtol, machine) * abs(exact)
    error = np.nan_to_num(np.abs(g - exact) / tolerance, nan=np.inf)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(error), g.shape))
    words = f"{g.dtype} precision: in float64 this gradient is right" if error[index] > 1 else ""
    return Finding(order, name, index, float(g[index]), float(exact[index]), words)
