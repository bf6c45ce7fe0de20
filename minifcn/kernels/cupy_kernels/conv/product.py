"""product: a matrix product on tensor cores, as the 1x1 convolution that it is.

y = a b  has the rows of a for pixels and the columns of b for channels: it is the convolution of an
image of M x 1 pixels and K channels with N K 1 1 weights.
"""

from __future__ import annotations

from typing import Any

from ....device import Array
from ....window import Window
from . import tensor
from .chunks import turned, whole, widened
from .problem import Problem


def takes(M: int, K: int, N: int, dtype: Any) -> bool:
    """Whether tensor cores may do this."""
    return tensor.multiplies(dtype) and tensor.takes(Problem("conv2d", 1, K, N, _window(M), dtype))


def product(a: Array, a_rows: bool, b: Array, b_rows: bool) -> Array:
    """a b, in C order as a and b are; a' or b' are given where it says that they lie in no rows."""
    M, K = a.shape if a_rows else a.shape[::-1]
    N, wide = b.shape[1 if b_rows else 0], whole(K, a.dtype)
    image = widened(a, K, wide) if a_rows else _turned(a, wide)
    weight = _turned(b, wide) if b_rows else widened(b, K, wide)
    image, weight = _seen(image, (1, M, 1, wide)), _seen(weight, (N, 1, 1, wide))
    y = tensor.conv2d(image, weight, _window(M))
    return y.transpose(0, 2, 3, 1).reshape(M, N)


def _window(M: int) -> Window:
    return Window((M, 1), (M, 1), (1, 1))


def _turned(x: Array, wide: int) -> Array:
    """The transposed matrix, with zeros up to `wide` columns."""
    return turned(x.reshape(*x.shape, 1, 1), 1, wide)


def _seen(x: Array, shape: tuple[int, int, int, int]) -> Array:
    """A line of numbers N H W C, seen as N C H W."""
    return x.reshape(shape).transpose(0, 3, 1, 2)
