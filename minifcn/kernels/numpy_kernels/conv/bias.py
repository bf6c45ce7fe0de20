"""What follows a convolution in the same kernel: a bias, and perhaps ReLU."""

from __future__ import annotations

import numpy as np

from ....device import Array
from ..halves import rounded
from ..memory import SMALL, empty
from ..rows import blocks, grid, tiled


@rounded
def finished(x: Array, b: Array, relu: bool) -> Array:
    """y = x + b (x: N C H W, b: C); then max(y, 0) if wanted."""
    if x.nbytes < SMALL:
        y = np.asarray(np.add(x, b.reshape(1, -1, 1, 1)))
        return np.maximum(y, 0, out=y) if relu else y
    y, shift = empty(x.shape, x.dtype), tiled(b, x)
    if not relu:
        np.add(grid(x), shift, out=grid(y))
        return y
    for to, part in blocks(grid(y), grid(x)):
        np.add(part, shift, out=to)
        np.maximum(to, 0, out=to)
    return y
