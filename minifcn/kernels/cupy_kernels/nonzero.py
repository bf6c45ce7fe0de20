"""Masks and index arrays as flat places: cuda/nonzero.cu and ravel.cu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...device import Array, to_host
from .elementwise import cast
from .gather import room
from .launch import THREADS, blocks, program
from .memory import in_c_order
from .structs import view_struct

__all__: list[str] = []  # structure.py offers them

RUN = 1024  # elements of a mask per warp, as in nonzero.cu


def nonzero(mask: Array) -> tuple[Array, ...]:
    """Where mask is true, in row order: one index array per axis. Waits for their number."""
    line = in_c_order(mask if mask.dtype.kind == "b" else cast(mask, "bool")).reshape(-1)
    runs, run = blocks(line.size, RUN), program("nonzero")
    counts, offset = room(runs, np.int64), room(runs + 1, np.int64)
    run("count", blocks(32 * runs), THREADS, line, counts, runs, line.size)
    run("offsets", 1, THREADS, counts, offset, runs)
    found = int(to_host(offset[runs:])[0])
    index = room(mask.ndim * found, np.int64)
    if found:
        sizes = view_struct(mask.shape, (0,) * mask.ndim)
        rest = line, offset, sizes, index, found, runs, line.size
        run("write", blocks(32 * runs), THREADS, *rest)
    return tuple(index[axis * found : (axis + 1) * found] for axis in range(mask.ndim))


def ravel_index(indices: Sequence[Array], sizes: Sequence[int]) -> Array:
    """The indices of axes of these sizes, of equal shape, as one flat index of the axes merged.

    A negative index counts from the end; all are within their axis.
    """
    flat = room(indices[0].size, np.int64)
    for number, (index, size) in enumerate(zip(indices, sizes, strict=True)):
        own = in_c_order(index).reshape(-1)
        run = program("ravel", LABEL=own.dtype)
        run("ravel", blocks(flat.size), THREADS, own, size, number == 0, flat, flat.size)
    return flat
