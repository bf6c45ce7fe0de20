"""group: many arrays in one launch: cuda/group.cuh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ...device import Array
from .launch import THREADS, blocks
from .structs import STRUCTS

MOST = 64  # arrays of one launch, as in group.cuh
CHUNK = THREADS * 16  # elements of one block, likewise


class Lines(NamedTuple):
    """What is written, and what is read, in the same order: a parameter and its gradient."""

    p: Array
    g: Array
    v: Array | None
    b: Array | None = None  # whether a step was made, if the host does not know
    put_back: tuple[tuple[Array, Array], ...] = ()  # (copy, where it came from)


def launches(lines: Sequence[Lines]) -> Iterator[tuple[Any, list[Lines]]]:
    """(dtype, at most 64 parameters of it)."""
    for dtype, found in groupby(lines, key=lambda one: one.p.dtype):
        same = list(found)
        for start in range(0, len(same), MOST):
            yield dtype, same[start : start + MOST]


def group_struct(lines: Sequence[Lines]) -> Array:
    """`struct Group`: where the arrays lie, and which blocks work on each."""
    made, count = np.zeros((), STRUCTS["Group"]), len(lines)
    for name in "pgvb":
        made[name][:count] = [_address(getattr(one, name)) for one in lines]
    made["size"][:count] = [one.p.size for one in lines]
    made["from"][1 : count + 1] = np.cumsum([blocks(one.p.size, CHUNK) for one in lines])
    made["count"] = count
    return made


def _address(x: Any) -> int:
    return 0 if x is None else int(x.data.ptr)
