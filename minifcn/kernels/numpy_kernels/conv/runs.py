"""runs: rows of pixels, P Q N O, that lie in one piece and so are matrices."""

from __future__ import annotations

from functools import cache

import numpy as np

from ....device import Array
from ..memory import buffer

FLAT = 256  # pixels; shorter rows are multiplied together and then copied to their places


def has_runs(rows: Array) -> bool:
    """Whether each row of P Q N O lies in one piece, Q N O; the rows may lie apart."""
    _, Q, N, O = rows.shape
    _, q, n, o = rows.strides
    item = rows.itemsize
    return (
        (O <= 1 or o == item) and (N <= 1 or n == O * item) and (Q <= 1 or q == N * O * item)
    ) or rows.size == 0


def matrix(rows: Array) -> Array:
    """P Q N O as a matrix (P Q N) x O; copied if the rows lie apart."""
    P, Q, N, O = rows.shape
    if has_runs(rows) and (P <= 1 or rows.strides[0] == Q * N * O * rows.itemsize):
        return rows.reshape(P * Q * N, O)
    made = buffer(rows.shape, rows.dtype)
    np.copyto(made, rows)
    return made.reshape(P * Q * N, O)


def by_rows(rows: Array) -> Array:
    """P Q N O with runs as matrices, P (Q N) O; as a single one where all rows lie in a piece."""
    P, Q, N, O = rows.shape
    if P <= 1 or rows.strides[0] == Q * N * O * rows.itemsize:
        return rows.reshape(1, P * Q * N, O)
    return rows.reshape(P, Q * N, O)


def multiply(a: Array, w: Array, out: Array) -> None:
    """out = a . w: (rows cols N) x K times K x O, to rows cols N O that may lie apart."""
    rows, cols, N, O = out.shape
    if out.flags.c_contiguous:
        np.matmul(a, w, out=out.reshape(rows * cols * N, O))
    elif (rows == 1 or cols * N >= FLAT) and has_runs(out):
        np.matmul(a.reshape(rows, cols * N, -1), w, out=out.reshape(rows, cols * N, O))
    else:
        y = np.matmul(a, w, out=buffer((rows * cols * N, O), a.dtype))
        np.copyto(out, y.reshape(out.shape))


def copy_runs(to: Array, given: Array) -> None:
    """Copy arrays of runs; moved as single items, short runs take half the time."""
    run, item = given.shape[-1], given.itemsize
    if run > 1 and given.strides[-1] == to.strides[-1] == item:
        whole = _bytes(run * item)
        to, given = to.view(whole), given.view(whole)
    np.copyto(to, given)


@cache
def _bytes(count: int) -> np.dtype[np.void]:
    return np.dtype((np.void, count))
