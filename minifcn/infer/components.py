"""components: which pixels of a map hang together, by runs and their unions.

A run is a piece of a row with one value. Two runs of neighbouring rows are of one component if they
have the same value and touch: below each other (4), or at a corner too (8). A component is what
touching runs reach:

    pixel -> run -> root of the run -> number of the component, in the order of first pixels

Runs are united in rounds, all pairs at a time. A root hooks onto a touching root with a smaller
number, or all onto one with a larger number, whichever hooks more roots. No root has neither a
smaller nor a larger neighbour, so each round leaves at most half of the roots that touch another.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[Any]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Components:
    """The components of a map; component k = 1 .. count, 0 is what is left out.

    Shape   labels: H W; area, value, box: count, count, count 4 (x, y, width, height)
    """

    labels: Ints
    value: Map
    area: Longs
    box: Longs

    @property
    def count(self) -> int:
        """How many components there are."""
        return len(self.area)


def components(values: Map, *, connectivity: int = 8, clear: Collection[int] = ()) -> Components:
    """Number the connected pixels of equal value, row by row; values in `clear` are left out.

    Of a boolean map, False is left out. `connectivity` 4: pixels touch by their sides; 8: by their
    corners too.

    >>> drawn = np.array([[1, 0, 2], [0, 1, 2]])
    >>> components(drawn, clear=[0]).labels.tolist()
    [[1, 0, 2], [0, 1, 2]]
    >>> components(drawn, clear=[0], connectivity=4).labels.tolist()
    [[1, 0, 2], [0, 3, 2]]

    Shape   values: H W (bool or integers)
    Cost    about log2(runs) rounds over the pairs of runs that touch
    """
    _check(values, connectivity)
    H, W = values.shape
    kept = values if values.dtype.kind == "b" else ~np.isin(values, list(clear))

    begins = np.ones((H, W), np.bool_)  # a run begins at the left edge and where the value changes
    begins[:, 1:] = values[:, 1:] != values[:, :-1]
    run = np.cumsum(begins, dtype=np.int32).reshape(H, W) - 1
    first = np.flatnonzero(begins)  # of each run, as a flat index
    length = np.diff(first, append=H * W)
    counted = kept.ravel()[first]

    root = _roots(len(first), *_touching(values, run, kept, connectivity))
    number = np.zeros(len(first), np.int32)  # of each run's component
    _, at, index = np.unique(root[counted], return_index=True, return_inverse=True)
    rank = np.empty(len(at), np.int32)
    rank[np.argsort(at)] = np.arange(1, len(at) + 1)
    number[counted] = rank[index]
    return Components(
        labels=number[run],
        value=values.ravel()[first[counted][np.sort(at)]],
        area=np.bincount(number, length, minlength=len(at) + 1)[1:].astype(np.int64),
        box=_boxes(number[counted], first[counted], length[counted], W, len(at)),
    )


def _touching(values: Map, run: Ints, kept: Map, connectivity: int) -> tuple[Ints, Ints]:
    """Pairs of runs that touch, of one value: the upper ones, the lower ones."""
    upper, lower = [], []
    W = values.shape[1]
    for shift in (0,) if connectivity == 4 else (0, -1, 1):
        above = np.s_[:-1, max(-shift, 0) : W - max(shift, 0)]
        below = np.s_[1:, max(shift, 0) : W - max(-shift, 0)]
        same = (values[above] == values[below]) & kept[above]
        a, b = run[above][same], run[below][same]
        fresh = np.ones(len(a), np.bool_)  # long runs touch in many pixels: one is enough
        fresh[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
        upper.append(a[fresh])
        lower.append(b[fresh])
    return np.concatenate(upper), np.concatenate(lower)


def _roots(count: int, a: Ints, b: Ints) -> Ints:
    """For things 0 .. count-1 of which a_k and b_k belong together: one name for each group."""
    root = np.arange(count, dtype=np.int32)
    while True:
        a, b = root[a], root[b]
        apart = a != b
        if not apart.any():
            return root
        a, b = a[apart], b[apart]
        low, high = np.minimum(a, b), np.maximum(a, b)
        if _different(high, count) >= _different(low, count):
            root[high] = low  # several wish: the last one is heard; no cycle, all hook downwards
        else:
            root[low] = high
        while True:
            further = root[root]
            if np.array_equal(further, root):
                break
            root = further


def _different(numbers: Ints, count: int) -> int:
    seen = np.zeros(count, np.bool_)
    seen[numbers] = True
    return int(seen.sum())


def _boxes(number: Ints, first: Longs, length: Longs, W: int, count: int) -> Longs:
    """x, y, width, height of each component, from its runs."""
    top, left = np.divmod(first, W)
    far = np.iinfo(np.int64).max
    low, high = np.full((count, 2), far), np.zeros((count, 2), np.int64)
    np.minimum.at(low, number - 1, np.stack([left, top], axis=1))
    np.maximum.at(high, number - 1, np.stack([left + length, top + 1], axis=1))
    return np.concatenate([low, high - low], axis=1)


def _check(values: Map, connectivity: int) -> None:
    if connectivity not in (4, 8):
        raise ValueError(f"components: connectivity is {connectivity!r}, expected 4 or 8")
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biu":
        raise ValueError(
            f"components: values is {values.dtype} of shape {values.shape}, expected H W of bool "
            f"or integers, both sides >= 1"
        )
