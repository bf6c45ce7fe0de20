"""pointwise: a 1x1 convolution without stride or padding is one matrix product, with no copy.

    correlate          out = image . w       (H W N) x C  times  C x O
    correlate_weight   w = image' . g        C x (H W N)  times  (H W N) x O

Where room lies between the rows of image or result, there is one product for each row; where rows
are short, the image is first copied to one piece.
"""

from __future__ import annotations

import numpy as np

from ....device import Array
from ....shapes import Pair
from ..memory import buffer
from .runs import by_rows, matrix
from .weights import add_product, zeros

SHORT = 64  # pixels; a product of fewer is dominated by its call


def correlate(source: Array, w: Array, out: Array) -> None:
    """out[i,j,n,o] = sum_c source[i,j,n,c] w[0,0,c,o]."""
    wm = w.reshape(w.shape[2], w.shape[3])  # C O
    if out.size == 0 or wm.size == 0:
        out[...] = 0
    elif _row_by_row(source, out):
        a, b = _alike(source, out)
        np.matmul(a, wm, out=b)
    elif out.flags.c_contiguous:
        np.matmul(matrix(source), wm, out=out.reshape(-1, out.shape[3]))
    else:
        y = buffer((out.size // wm.shape[1], wm.shape[1]), out.dtype)
        np.copyto(out, np.matmul(matrix(source), wm, out=y).reshape(out.shape))


def correlate_weight(source: Array, g: Array, kernel: Pair, size: Pair) -> Array:
    """w[0,0,c,o] = sum_{i,j,n} source[i,j,n,c] g[i,j,n,o]."""
    made = zeros((source.shape[3], g.shape[3]), g.dtype)
    if source.size and g.size:
        if _row_by_row(source, g):
            for a, b in zip(*_alike(source, g), strict=True):
                add_product(made, a.T, b)
        else:
            np.matmul(matrix(source).T, matrix(g), out=made)
    return made.reshape(1, 1, *made.shape)


def _row_by_row(source: Array, other: Array) -> bool:
    """Whether rows lie apart and are long: else it is better to have all in one piece."""
    if source.flags.c_contiguous and other.flags.c_contiguous:
        return False
    return bool(source.shape[1] * source.shape[2] >= SHORT)


def _alike(source: Array, other: Array) -> tuple[Array, Array]:
    """Both as matrices: one each if both lie in one piece, else one for each row."""
    a, b = by_rows(source), by_rows(other)
    if len(a) != len(b):
        P, Q, N = source.shape[:3]
        a, b = source.reshape(P, Q * N, -1), other.reshape(P, Q * N, -1)
    return a, b
