"""Separable linear maps: down the rows and across the columns, one tap of every output at a time.

Enlarging three times, output i = 3 m + r reads input m + const: the outputs of one phase r are
evenly spaced, and so are the pixels they read. So each tap is a few strided slices, without index
arrays; only odd ratios need those.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np

from ...device import Array
from .memory import empty

__all__ = ["resample"]

Taps = tuple[tuple[tuple[int, float], ...], ...]  # for every output, (input, weight) pairs
Places = Any  # evenly spaced as a slice, else an index array
Move = tuple[int, Places, Places, Array | None]  # tap, outputs, inputs, weights unless all 1

MOST_SLICES = 24  # per tap; with more of them, one index array is faster


def resample(x: Array, rows: Taps, cols: Taps) -> Array:
    """y[..., i, j] = sum of a b x[..., h, w] over (h, a) in rows[i] and (w, b) in cols[j]."""
    if len(rows) <= x.shape[-2]:  # whole rows are cheap to handle: drop them first, add them last
        return _along(_along(x, rows, -2), cols, -1)
    return _along(_along(x, cols, -1), rows, -2)


def _along(x: Array, taps: Taps, axis: int) -> Array:
    """The map along one axis."""
    shape = list(x.shape)
    shape[axis] = len(taps)
    y = empty(tuple(shape), x.dtype)
    if not all(taps):
        y[...] = 0
    for tap, outputs, inputs, weights in _moves(taps):
        target, part = _at(outputs, axis), x[_at(inputs, axis)]
        if weights is not None:
            column = weights.astype(x.dtype)
            column = column[:, None] if axis == -2 else column
            alone = tap == 0 and isinstance(outputs, slice)
            part = np.multiply(part, column, out=y[target] if alone else empty(part.shape, x.dtype))
            if alone:
                continue
        if tap == 0:
            y[target] = part
        elif isinstance(outputs, slice):
            np.add(y[target], part, out=y[target])
        else:
            y[target] += part
    return y


def _at(places: Places, axis: int) -> tuple[Any, ...]:
    return (..., places, slice(None)) if axis == -2 else (..., places)


@lru_cache(maxsize=16)
def _moves(taps: Taps) -> tuple[Move, ...]:
    """The map as a few reads and writes at evenly spaced places."""
    moves = []
    for tap in range(max(map(len, taps), default=0)):
        outputs = [i for i, row in enumerate(taps) if len(row) > tap]
        inputs = [taps[i][tap][0] for i in outputs]
        for group in _evenly(outputs, inputs):
            ends, starts = [outputs[n] for n in group], [inputs[n] for n in group]
            weights = [taps[i][tap][1] for i in ends]
            factors = None if all(weight == 1 for weight in weights) else np.array(weights)
            moves.append((tap, _places(ends), _places(starts), factors))
    return tuple(moves)


def _places(indices: list[int]) -> Places:
    """As a slice, which copies nothing, if evenly spaced."""
    first, last = indices[0], indices[-1]
    step = indices[1] - first if len(indices) > 1 else 1
    if step == 0 or indices != list(range(first, last + (1 if step > 0 else -1), step)):
        return np.array(indices)
    stop = last + step
    return slice(first, stop if stop >= 0 else None, step)


def _evenly(outputs: list[int], inputs: list[int]) -> list[list[int]]:
    """Positions in both lists, in groups evenly spaced in both if few will do; else in one."""
    count = len(outputs)
    best, fewest = [list(range(count))], MOST_SLICES + 1
    period = count // gcd(count, inputs[-1] - inputs[0] + 1)
    for phases in (1, 2, 3, 4, 8, period):
        if phases < fewest:
            groups = [
                run for phase in range(phases) for run in _runs(outputs, inputs, phase, phases)
            ]
            if len(groups) < fewest:
                best, fewest = groups, len(groups)
    return best


def _runs(outputs: list[int], inputs: list[int], phase: int, phases: int) -> Iterator[list[int]]:
    """Every `phases`-th position, cut wherever the spacing changes."""
    run: list[int] = []
    for n in range(phase, len(outputs), phases):
        if len(run) > 1:
            a, b = run[-2:]
            before = outputs[b] - outputs[a], inputs[b] - inputs[a]
            if (outputs[n] - outputs[b], inputs[n] - inputs[b]) != before:
                yield run
                run = []
        run.append(n)
    if run:
        yield run
