"""grids: dense kernels, whose rows are runs and whose taps are neighbours, on what is neither.

A dilated correlation is d d correlations without dilation: output pixels r, r + d, r + 2 d ... read
the source pixels r, r + d, ... and no other. Such a sub-grid is copied to a source of its own, and
a result that does not lie in runs is copied to its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ....device import Array
from ....shapes import Pair
from ..memory import buffer
from .runs import has_runs
from .weights import zeros


class Dense(Protocol):
    """What winograd1, winograd2 and taps offer; out, g and each row of source are runs."""

    def correlate(self, source: Array, w: Array, out: Array, /) -> None: ...

    def correlate_weight(self, source: Array, g: Array, /, kernel: Pair, size: Pair) -> Array: ...


def correlate(dense: Dense, source: Array, w: Array, out: Array, dilation: Pair) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[i + d u, j + d v, n, c] w[u,v,c,o]."""
    if dilation == (1, 1):
        dense.correlate(source, w, out)
        return
    for grid in grids(dilation):
        part = out[grid]
        if part.size == 0:
            continue
        y = part if has_runs(part) else buffer(part.shape, part.dtype)
        dense.correlate(as_runs(source[grid]), w, y)
        if y is not part:
            np.copyto(part, y)


def correlate_weight(
    dense: Dense, source: Array, g: Array, kernel: Pair, size: Pair, dilation: Pair
) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[i + d u, j + d v, n, c] g[i,j,n,o]; KH KW C O."""
    if dilation == (1, 1):
        return dense.correlate_weight(source, g, kernel, size)
    w = zeros((*kernel, source.shape[3], g.shape[3]), g.dtype)
    inner = g[: size[0], : size[1]]
    for grid in grids(dilation):
        part = inner[grid]
        if part.size:
            P, Q = part.shape[:2]
            part = dense.correlate_weight(as_runs(source[grid]), as_runs(part), kernel, (P, Q))
            np.add(w, part, out=w)
    return w


def grids(dilation: Pair) -> Iterator[tuple[slice, slice]]:
    """Every sub-grid: each d-th row from r, each d-th column from r."""
    for r in range(dilation[0]):
        for q in range(dilation[1]):
            yield slice(r, None, dilation[0]), slice(q, None, dilation[1])


def as_runs(rows: Array) -> Array:
    """The same pixels, copied if their rows are not runs."""
    if has_runs(rows):
        return rows
    made = buffer(rows.shape, rows.dtype)
    np.copyto(made, rows)
    return made
