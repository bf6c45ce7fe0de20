"""grids: dense kernels, whose rows are runs and whose taps are neighbours, on what is neither.

A dilated correlation is d d correlations without dilation: output pixels r, r + d, r + 2 d ... read
the source pixels r, r + d, ... and no other. Such sub-grids are copied to be images of one batch,
the smaller ones with zeros below and to the right: one dense correlation then does them all, and
transforms its weight once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ....device import Array
from ....shapes import Pair
from ..memory import buffer


class Dense(Protocol):
    """What winograd1 and winograd2 offer; out, g and each row of source are runs."""

    def correlate(self, source: Array, w: Array, out: Array, /) -> None: ...

    def correlate_weight(self, source: Array, g: Array, /, kernel: Pair, size: Pair) -> Array: ...


def correlate(dense: Dense, source: Array, w: Array, out: Array, dilation: Pair) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[i + d u, j + d v, n, c] w[u,v,c,o]."""
    if dilation == (1, 1) or out.size == 0:
        dense.correlate(source, w, out)
        return
    size, N, O = out.shape[:2], out.shape[2], out.shape[3]
    p, q = largest(size, dilation)
    images = batch(source, size, dilation, (p + w.shape[0] - 1, q + w.shape[1] - 1))
    made = buffer((p, q, images.shape[2], O), out.dtype)
    dense.correlate(images, w, made)
    for k, grid in enumerate(grids(size, dilation)):
        part = out[grid]
        np.copyto(part, made[: part.shape[0], : part.shape[1], k * N : (k + 1) * N])


def correlate_weight(
    dense: Dense, source: Array, g: Array, kernel: Pair, size: Pair, dilation: Pair
) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[i + d u, j + d v, n, c] g[i,j,n,o]; KH KW C O."""
    if dilation == (1, 1) or 0 in size:
        return dense.correlate_weight(source, g, kernel, size)
    p, q = largest(size, dilation)
    images = batch(source, size, dilation, (p + kernel[0] - 1, q + kernel[1] - 1))
    gs = batch(g[: size[0], : size[1]], size, dilation, (p, q))  # zeros count for nothing
    return dense.correlate_weight(images, gs, kernel, (p, q))


def grids(size: Pair, dilation: Pair) -> Iterator[tuple[slice, slice]]:
    """Every sub-grid that has pixels: each d-th row from r, each d-th column from q."""
    for r in range(min(dilation[0], size[0])):
        for q in range(min(dilation[1], size[1])):
            yield slice(r, None, dilation[0]), slice(q, None, dilation[1])


def largest(size: Pair, dilation: Pair) -> Pair:
    """The size of the first sub-grid; no other is larger."""
    return -(-size[0] // dilation[0]), -(-size[1] // dilation[1])


def batch(rows: Array, size: Pair, dilation: Pair, room: Pair) -> Array:
    """The sub-grids of H W N C as images of one batch: the room for each, d d N, C.

    `size` is that of the outputs, of which there is a sub-grid for each here.
    """
    N, C = rows.shape[2:]
    parts = [rows[grid][: room[0], : room[1]] for grid in grids(size, dilation)]
    made = buffer((*room, len(parts) * N, C), rows.dtype)
    for k, part in enumerate(parts):
        H, W = part.shape[:2]
        image = made[:, :, k * N : (k + 1) * N]
        image[:H, :W] = part
        image[H:] = 0
        image[:H, W:] = 0
    return made
