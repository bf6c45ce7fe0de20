"""matmul: products of matrices, by cuda/matmul.cu, or on tensor cores by conv/product.py."""

from __future__ import annotations

from math import prod

import numpy as np

from ...device import Array, cupy
from .elementwise import cast, floating
from .launch import program
from .memory import in_c_order
from .tiles import SMALL, tile_for, vector
from .views import broadcast_to


def matmul(a: Array, b: Array) -> Array:
    """y[..., m, n] = sum_k a[..., m, k] b[..., k, n]; leading axes are equal, or 1 in one of them.

    In C order. A transposed view is read as it lies, any other view is copied first.
    """
    from .conv import product  # late: conv/im2col is a user of this file

    if a.dtype != b.dtype:
        dtype = np.result_type(a.dtype, b.dtype)
        a, b = cast(a, dtype.name), cast(b, dtype.name)
    M, K, N = *a.shape[-2:], b.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (a, a_rows), (b, b_rows) = _lying(a, batch), _lying(b, batch)
    count = prod(batch)
    rows = a_rows or count == 1  # of all a: they lie one after another
    if rows and prod(b.shape[:-2]) == 1 and product.takes(count * M, K, N, a.dtype):
        a = a.reshape((count * M, K) if a_rows else (K, M))
        b = b.reshape((K, N) if b_rows else (N, K))
        return product.product(a, a_rows, b, b_rows).reshape(*batch, M, N)
    y: Array = cupy().empty((*batch, M, N), a.dtype)
    vectors = vector(a, K if a_rows else M), vector(b, N if b_rows else K)
    tile = tile_for(M, N, count, a.dtype, vectors)
    if not floating(a.dtype):  # seldom: one build for each dtype is enough
        vectors, tile = (1, 1), SMALL
    run = program(
        "matmul",
        REAL=a.dtype,
        A_IN_ROWS=a_rows,
        B_IN_ROWS=b_rows,
        VECTOR_A=vectors[0],
        VECTOR_B=vectors[1],
        **tile.defines(),
    )
    steps = (0 if x.size == size < count * size else size for x, size in ((a, M * K), (b, K * N)))
    run("matmul", count * tile.blocks(M, N), tile.THREADS, a, b, y, M, N, K, *steps)
    return y


def _lying(x: Array, batch: tuple[int, ...]) -> tuple[Array, bool]:
    """x as its matrices lie, and whether in rows; one matrix for all, or one for each."""
    if x.shape[:-2] != batch and prod(x.shape[:-2]) != 1:
        x = broadcast_to(x, (*batch, *x.shape[-2:]))
    turned = x.swapaxes(-1, -2)
    if turned.flags.c_contiguous and not x.flags.c_contiguous:
        return turned, False
    return in_c_order(x), True
