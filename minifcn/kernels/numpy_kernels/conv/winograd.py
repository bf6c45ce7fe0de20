"""winograd: four neighbouring outputs of a 3-tap correlation by 6 multiplications instead of 12.

F(4,3) (A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016):

    y[i] = sum_u d[i+u] g[u],   0 <= i < 4,   0 <= u < 3        y = A' [(G g) * (B' d)]

The product of two polynomials is known from its values at six points. Ours are 0, 3/4, -3/4, 3/2,
-3/2 and infinity: B' and A' are exact in binary, and a result is about four times as accurate as
with the usual 0, 1, -1, 2, -2.

         | 81/64    0    -45/16    0    1   0 |          | 64/81       0       0    |
         |   0   -27/16   -9/4    3/4   1   0 |          | -128/243  -32/81   -8/27 |
    B' = |   0    27/16   -9/4   -3/4   1   0 |      G = | -128/243   32/81   -8/27 |
         |   0   -27/32   -9/16   3/2   1   0 |          |  32/243    16/81    8/27 |
         |   0    27/32   -9/16  -3/2   1   0 |          |  32/243   -16/81    8/27 |
         |   0    81/64     0   -45/16  0   1 |          |   0         0       1    |

         | 1    1      1     1     1   0 |
    A' = | 0   3/4   -3/4   3/2  -3/2  0 |
         | 0   9/16   9/16  9/4   9/4  0 |
         | 0  27/64 -27/64 27/8 -27/8  1 |

The weight's gradient is the same bilinear form solved for g: G' [(A y) * (B' d)].

A transform is itself a matrix product, 6x6 by 6 rows of pixels, which BLAS does in less time than
additions row by row take. Where the image ends inside a tile of 4, the missing rows are zeros:
their columns of the matrix are left out, and so are the rows of A' nobody asked for.

An infinity or NaN in the image spreads over its tile; only float32 is worth the rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....device import Array
from ....shapes import Pair
from ..memory import buffer

Block = tuple[int, int, int, int]  # first row, how many; first column, how many

TILE = 4  # outputs of one tile
REACH = 6  # pixels that they see

# fmt: off
BT = np.array([
    [81 / 64,        0, -45 / 16,        0, 1, 0],
    [      0, -27 / 16,   -9 / 4,    3 / 4, 1, 0],
    [      0,  27 / 16,   -9 / 4,   -3 / 4, 1, 0],
    [      0, -27 / 32,  -9 / 16,    3 / 2, 1, 0],
    [      0,  27 / 32,  -9 / 16,   -3 / 2, 1, 0],
    [      0,  81 / 64,        0, -45 / 16, 0, 1],
], np.float32)
G = np.array([
    [   64 / 81,        0,       0],
    [-128 / 243, -32 / 81, -8 / 27],
    [-128 / 243,  32 / 81, -8 / 27],
    [  32 / 243,  16 / 81,  8 / 27],
    [  32 / 243, -16 / 81,  8 / 27],
    [         0,        0,       1],
])
AT = np.array([
    [1,       1,        1,      1,       1, 0],
    [0,   3 / 4,   -3 / 4,  3 / 2,  -3 / 2, 0],
    [0,  9 / 16,   9 / 16,  9 / 4,   9 / 4, 0],
    [0, 27 / 64, -27 / 64, 27 / 8, -27 / 8, 1],
], np.float32)
# fmt: on
A = np.ascontiguousarray(AT.T)
FLOAT = np.dtype(np.float32)


def tiles(size: int) -> int:
    """How many tiles cover `size` outputs."""
    return -(-size // TILE)


def blocks(size: Pair, block: Pair) -> Iterator[Block]:
    """`size` rows and columns, of tiles or of pixels, in parts of at most `block`."""
    for b in range(0, size[0], block[0]):
        for t in range(0, size[1], block[1]):
            yield b, min(block[0], size[0] - b), t, min(block[1], size[1] - t)


def rows_of(image: Array) -> Array:
    """P Q N C as P rows of numbers; a view, as each row lies in one piece."""
    P, Q, N, C = image.shape
    return image.reshape(P, Q * N * C)


def each_tile(t: Array, x: Array, out: Array) -> None:
    """out[b] = t . x[4 b : 4 b + K], t being 6 x K; rows beyond x are zeros.

    x: rows of numbers, of any row stride; out: tiles x 6 x numbers.
    """
    K = t.shape[1]
    whole = min(max((len(x) - K) // TILE + 1, 0), len(out))
    if whole:
        row, item = x.strides
        view = as_strided(x, (whole, K, x.shape[1]), (TILE * row, row, item), writeable=False)
        np.matmul(t, view, out=out[:whole])
    for b in range(whole, len(out)):
        rest = x[TILE * b : TILE * b + K]
        np.matmul(t[:, : len(rest)], rest, out=out[b])


def from_tiles(made: Array, out: Array) -> None:
    """out[4 b : 4 b + 4] = A' . made[b], as far as out reaches."""
    whole = len(out) // TILE
    if whole:
        target = out[: TILE * whole].reshape(whole, TILE, out.shape[1])
        np.matmul(AT, made[:whole], out=target)
    if whole < len(made):
        rest = out[TILE * whole :]
        np.matmul(AT[: len(rest)], made[whole], out=rest)


def weight_places(t: Array, w: Array) -> Array:
    """sum_{u,v} t[k, (u v)] w[u,v,c,o], t being K x 9, as K C O in C order.

    w is read where it lies, as a view of O C 3 3 or of 3 3 C O, also with its taps walked from
    the last to the first.
    """
    if w.strides[0] < 0:
        t, w = np.ascontiguousarray(t[:, ::-1]), w[::-1, ::-1]
    taps = w.reshape(9, *w.shape[2:])
    if taps.itemsize not in (taps.strides[0], taps.strides[2]):
        taps = np.ascontiguousarray(taps)  # BLAS takes no other order of 9 x O
    made = buffer((len(t), *taps.shape[1:]), FLOAT)
    np.matmul(t, taps.transpose(1, 0, 2), out=made.transpose(1, 0, 2))
    return made


def weight_taps(t: Array, places: Array) -> Array:
    """The adjoint, sum_k t[k, (u v)] places[k,o,c]: 3 3 C O, lying as O C 3 3."""
    _, O, C = places.shape
    made = buffer((O, C, 9), FLOAT)
    np.matmul(places.transpose(1, 2, 0), t, out=made)
    return made.reshape(O, C, 3, 3).transpose(2, 3, 1, 0)
