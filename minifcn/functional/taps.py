"""taps: a linear map along one axis, written as what every output reads.

    y[i] = sum over (h, a) in taps[i] of  a x[h]

Resizing, adaptive averages and reflected borders are pairs of such maps, one down the rows and one
across the columns; `k.resample` applies them. The adjoint is the same thing with the lists turned
round, so it gathers too.
"""

from __future__ import annotations

Taps = tuple[tuple[tuple[int, float], ...], ...]


def transposed(taps: Taps, size: int) -> Taps:
    """What every input gives: gx[h] = sum over (i, a) in the result[h] of  a gy[i].

    >>> transposed((((0, 1.0),), ((0, 0.5), (2, 0.5))), 3)
    (((0, 1.0), (1, 0.5)), (), ((1, 0.5),))
    """
    given: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    for i, row in enumerate(taps):
        for h, weight in row:
            given[h].append((i, weight))
    return tuple(tuple(row) for row in given)


def picking(indices: list[int]) -> Taps:
    """y[i] = x[indices[i]]."""
    return tuple(((h, 1.0),) for h in indices)
