"""weights: a convolution's weight as the kernels read it, and the way back.

They see w as KH KW C O, a matrix C O for each tap. It lies as O C KH KW; who needs it in another
order copies it.
"""

from __future__ import annotations

import numpy as np

from ....device import Array
from ....shapes import Shape
from ..memory import buffer


def for_image(w: Array) -> Array:
    """O C/G KH KW -> KH KW C/G O."""
    return w.transpose(2, 3, 1, 0)


def for_transpose(w: Array, groups: int = 1) -> Array:
    """O C/G KH KW -> KH KW O/G C, walked from the last tap to the first: the adjoint's weight."""
    flipped = w[:, :, ::-1, ::-1]
    if groups == 1:
        return flipped.transpose(2, 3, 0, 1)
    O, CG, KH, KW = w.shape
    split = flipped.reshape(groups, O // groups, CG, KH, KW).transpose(3, 4, 1, 0, 2)
    return in_order(split).reshape(KH, KW, O // groups, groups * CG)


def back(w: Array) -> Array:
    """KH KW C/G O -> O C/G KH KW."""
    return in_order(w.transpose(3, 2, 0, 1))


def in_order(w: Array) -> Array:
    """w in C order, copied unless it lies so."""
    if w.flags.c_contiguous:
        return w
    made = buffer(w.shape, w.dtype)
    np.copyto(made, w)
    return made


def zeros(shape: Shape, dtype: np.dtype[np.generic]) -> Array:
    """What products are added to."""
    made = buffer(shape, dtype)
    made[...] = 0
    return made


def add_product(to: Array, a: Array, b: Array) -> None:
    """to += a . b."""
    term = buffer(to.shape, to.dtype)
    np.add(to, np.matmul(a, b, out=term), out=to)
