"""weights: the kernel's own orders of a convolution's weight, and the way back.

The dense kernels read w as KH KW C O: the matrix C O of a tap lies in one piece, and so do the
matrices of all taps, (KH KW C) O.
"""

from __future__ import annotations

import numpy as np

from ....device import Array


def for_image(w: Array) -> Array:
    """O C/G KH KW -> KH KW C/G O."""
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0))


def for_transpose(w: Array, groups: int = 1) -> Array:
    """O C/G KH KW -> KH KW O/G C, walked from the last tap to the first: the adjoint's weight."""
    flipped = w[:, :, ::-1, ::-1]
    if groups == 1:
        return np.ascontiguousarray(flipped.transpose(2, 3, 0, 1))
    O, CG, KH, KW = w.shape
    split = flipped.reshape(groups, O // groups, CG, KH, KW).transpose(3, 4, 1, 0, 2)
    return np.ascontiguousarray(split).reshape(KH, KW, O // groups, groups * CG)


def back(w: Array) -> Array:
    """KH KW C/G O -> O C/G KH KW."""
    return np.ascontiguousarray(w.transpose(3, 2, 0, 1))
