"""winograd1: 3x3 kernels by F(4,3) along H and plain taps along W, half of the multiplications.

For each tile of 4 output rows, image and output channel (see winograd for A', B', G):

    y = A' [sum_{v,c} (G w[:, v]) * (B' d from pixel v on)]            d: 6 rows of pixels

    correlate          V = B' d,   M = sum_v V from v on . U[v],       out = A' M       U = G w
    correlate_weight   V = B' d,   M = A g,   w[v] = G' ((V from v on)' . M)

Less is saved than along both axes (see winograd2), and less rounding is paid: results are exact
within 2e-6 of the largest one, 5e-7 as a rule, where plain float32 sums have 3e-7.

Cost    9/2 multiply-adds for each pixel, C and O instead of 9; 9 for each pixel and C and 6 for
        each pixel and O to transform, and 3 additions
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....device import Array
from ....shapes import Pair
from ..memory import buffer
from .winograd import (
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

TAPS = 3  # along W
G1 = np.kron(G, np.eye(TAPS)).astype(FLOAT)  # 18 x 9: w -> G w

CACHE = 300_000  # numbers in V, M and one tap's term of a block
LEAST = 128  # pixels of a block's row


def correlate(source: Array, w: Array, out: Array) -> None:
    """out[i,j,n,o] = sum_{u,v,c} source[i+u, j+v, n, c] w[u,v,c,o]."""
    P, Q, N, O = out.shape
    C = source.shape[3]
    if out.size == 0 or w.size == 0:
        out[...] = 0
        return
    u = weight_places(G1, w).reshape(REACH, TAPS, C, O)
    rows, pixels = rows_of(source)[: P + 2], rows_of(out)
    part = block(P, Q, N, C, O)
    v_room = buffer((part[0] * REACH * (part[1] + 2) * N * C,), FLOAT)
    m_room = buffer((2, part[0] * REACH * part[1] * N * O), FLOAT)
    for b, B, t, T in blocks((tiles(P), Q), part):
        v = image_tiles(rows, b, B, t, T, N * C, v_room).reshape(B, REACH, (T + 2) * N, C)
        m, term = m_room[:, : B * REACH * T * N * O].reshape(2, B, REACH, T * N, O)
        np.matmul(v[:, :, : T * N], u[:, 0], out=m)
        for tap in range(1, TAPS):
            np.matmul(v[:, :, tap * N : (tap + T) * N], u[:, tap], out=term)
            np.add(m, term, out=m)
        target = pixels[TILE * b : TILE * (b + B), t * N * O : (t + T) * N * O]
        from_tiles(m.reshape(B, REACH, T * N * O), target)


def correlate_weight(source: Array, g: Array, kernel: Pair, size: Pair) -> Array:
    """w[u,v,c,o] = sum_{i,j,n} source[i+u, j+v, n, c] g[i,j,n,o]; 3 3 C O."""
    (P, Q), N, O = size, g.shape[2], g.shape[3]
    C = source.shape[3]
    if P * Q * N * C * O == 0:
        return np.zeros((3, TAPS, C, O), FLOAT)
    rows, pixels = rows_of(source)[: P + 2], rows_of(g)[:P]
    part = block(P, Q, N, C, O)
    part = min(part[0], max(CACHE // (REACH * TAPS * C * O), 1)), part[1]  # room for the terms
    v_room = buffer((part[0] * REACH * (part[1] + 2) * N * C,), FLOAT)
    m_room = buffer((part[0] * REACH * part[1] * N * O,), FLOAT)
    terms = buffer((part[0], REACH, TAPS, O, C), FLOAT)
    total = buffer(terms.shape[1:], FLOAT)
    total[...] = 0
    for b, B, t, T in blocks((tiles(P), Q), part):
        v = image_tiles(rows, b, B, t, T, N * C, v_room)
        row, place, item = v.strides
        shape, strides = (B, REACH, TAPS, T * N, C), (row, place, N * C * item, C * item, item)
        v = as_strided(v, shape, strides, writeable=False)
        m = m_room[: B * REACH * T * N * O].reshape(B, REACH, T * N * O)
        y = pixels[TILE * b : TILE * (b + B), t * N * O : (t + T) * N * O]
        each_tile(A, y, m)
        mt = m.reshape(B, REACH, 1, T * N, O).swapaxes(3, 4)
        for term in np.matmul(mt, v, out=terms[:B]):
            np.add(total, term, out=total)
    return weight_taps(G1, total.reshape(REACH * TAPS, O, C))


def image_tiles(rows: Array, b: int, B: int, t: int, T: int, NC: int, to: Array) -> Array:
    """B' d for B tile rows and the T + 2 pixels that T columns see: B 6 ((T + 2) N C)."""
    wide = (T + TAPS - 1) * NC
    v = to[: B * REACH * wide].reshape(B, REACH, wide)
    each_tile(BT, rows[TILE * b :, t * NC : t * NC + wide], v)
    return v


def block(P: int, Q: int, N: int, C: int, O: int) -> Pair:
    """How many tile rows and output columns a block has."""
    count = max(CACHE // (REACH * (C + 2 * O)), LEAST)  # pixels of one row
    parts = -(-Q * N // count)
    T = -(-Q // min(parts, Q))  # all about equally wide
    return min(tiles(P), max(count // (T * N), 1)), T
