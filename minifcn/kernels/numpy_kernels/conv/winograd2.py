"""winograd2: 3x3 kernels by F(4x4, 3x3), a quarter of the multiplications.

Along both axes (see winograd), for each tile of 4x4 outputs, image and output channel:

    y = A' [sum_c (G w G') * (B' d B)] A            d: 6x6 pixels

The sum over channels, for each of the 36 places in a tile, is a matrix product
(tiles N) x C  times  C x O.

    correlate          V = B' d B,   M = V . U,       out = A' M A      U = G w G'
    correlate_weight   V = B' d B,   M = A g A',      w = G' (V' . M) G

Blocks of tiles pass through all steps while they are in the core's cache. Results are exact
within 5e-6 of the largest one, 2e-6 as a rule, where plain float32 sums have 3e-7.

Cost    9/4 multiply-adds for each pixel, C and O instead of 9; 22 for each pixel and C and 15
        for each pixel and O to transform
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ....device import Array
from ....shapes import Pair
from ..memory import buffer
from .winograd import (
    AT,
    BT,
    FLOAT,
    REACH,
    TILE,
    A,
    G,
    blocks,
    each_tile,
    from_tiles,
    rows_of,
    tiles,
    weight_places,
    weight_taps,
)

GG = np.kron(G, G).astype(FLOAT)  # 36 x 9: w -> G w G'
PLACES = REACH * REACH

CACHE = 600_000  # numbers in V and M of one block
LEAST = 128  # rows of its matrix products
RUN = 24_576  # numbers in a row of a block; BLAS is slower at transforming longer ones


def correlate(source: Array, w: Array, out: Array) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[i+u, j+v, n, c] w[u,v,c,o]."""
    P, Q, N, O = out.shape
    C = source.shape[3]
    if out.size == 0 or w.size == 0:
        out[...] = 0
        return
    u = weight_places(GG, w)
    rows, pixels = rows_of(source)[: P + 2, : (Q + 2) * N * C], rows_of(out)
    scratch = _Scratch(P, Q, N, C, O)
    for b, B, t, T in scratch.blocks:
        v = scratch.tiles(BT, rows[TILE * b :, TILE * t * N * C :], B, T, scratch.v)
        m = scratch.m[: PLACES * B * T * N * O]
        np.matmul(v.reshape(PLACES, B * T * N, C), u, out=m.reshape(PLACES, B * T * N, O))
        part = pixels[TILE * b : TILE * (b + B), TILE * t * N * O : TILE * (t + T) * N * O]
        wide = scratch.half[: B * REACH * T * TILE * N * O]  # A' M: B 6 T 4 N O
        m = m.reshape(REACH, REACH, B, T, N * O).transpose(2, 0, 3, 1, 4)
        np.matmul(AT, m, out=wide.reshape(B, REACH, T, TILE, N * O))
        wide = wide.reshape(B, REACH, T * TILE * N * O)[:, :, : part.shape[1]]
        from_tiles(wide, part)


def correlate_weight(source: Array, g: Array, kernel: Pair, size: Pair) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[i+u, j+v, n, c] g[i,j,n,o]; 3 3 C O."""
    (P, Q), N, O = size, g.shape[2], g.shape[3]
    C = source.shape[3]
    if P * Q * N * C * O == 0:
        return np.zeros((3, 3, C, O), FLOAT)
    rows = rows_of(source)[: P + 2, : (Q + 2) * N * C]
    pixels = rows_of(g)[:P, : Q * N * O]
    scratch = _Scratch(P, Q, N, C, O)
    total, term = buffer((PLACES, O, C), FLOAT), None
    for b, B, t, T in scratch.blocks:
        v = scratch.tiles(BT, rows[TILE * b :, TILE * t * N * C :], B, T, scratch.v)
        m = scratch.tiles(A, pixels[TILE * b :, TILE * t * N * O :], B, T, scratch.m)
        v = v.reshape(PLACES, B * T * N, C)
        mt = m.reshape(PLACES, B * T * N, O).swapaxes(1, 2)
        if b == t == 0:
            np.matmul(mt, v, out=total)
            continue
        term = buffer(total.shape, FLOAT) if term is None else term
        np.matmul(mt, v, out=term)
        np.add(total, term, out=total)
    return weight_taps(GG, total)


class _Scratch:
    """The memory that all blocks of one call share."""

    def __init__(self, P: int, Q: int, N: int, C: int, O: int) -> None:
        size = tiles(P), tiles(Q)
        B, T = block(size, N, C, O)
        self.blocks = blocks(size, (B, T))
        self.count = B * T
        self.half = buffer((B * REACH * (TILE * T + 2) * N * max(C, O),), FLOAT)
        self.v = buffer((PLACES * B * T * N * C,), FLOAT)
        self.m = buffer((PLACES * B * T * N * O,), FLOAT)

    def tiles(self, t: Array, x: Array, B: int, T: int, to: Array) -> Array:
        """t d t' for B x T tiles at the start of the rows x, in `to`: 6 6 B T (N C)."""
        K, NC = t.shape[1], to.size // (PLACES * self.count)
        wide = (TILE * (T - 1) + K) * NC
        have = min(wide, x.shape[1])
        half = self.half[: B * REACH * wide].reshape(B, REACH, wide)
        each_tile(t, x[:, :have], half[:, :, :have])
        half[:, :, have:] = 0
        item = FLOAT.itemsize
        strides = (REACH * wide * item, wide * item, TILE * NC * item, NC * item, item)
        seen = np.ndarray((B, REACH, T, K, NC), FLOAT, half, 0, strides)
        made = to[: PLACES * B * T * NC].reshape(REACH, REACH, B, T, NC)
        np.matmul(t, seen, out=made.transpose(2, 0, 3, 1, 4))
        return made


@lru_cache(maxsize=1024)
def block(size: Pair, N: int, C: int, O: int) -> Pair:
    """How many tile rows and tile columns, out of `size`, a block has."""
    count = max(CACHE // (PLACES * (C + O)), LEAST) // N  # tiles
    wide = max((RUN // (N * max(C, O)) - 2) // TILE, 4)
    T = min(size[1], wide, max(count, 1))
    B = min(size[0], max(count // T, 1))
    return B, T
