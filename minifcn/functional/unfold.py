r"""unfold: every window's pixels as one column (im2col); and its adjoint, fold (col2im).

    unfold   col[n, c, u, v, i, j] = x[n, c, s i + d u - p, s j + d v - p], 0 outside the image
    fold     x[n, c, h, k] = sum of col[n, c, u, v, i, j] over the windows and taps that meet (h, k)

Convolution is unfold, then a matrix product with the weight; the transposed one is a matrix
product, then fold. fold(unfold(x)) is x times the number of windows that cover each pixel.

Shape   x: N C H W    col: N C KH KW P Q inside, N CKK PQ for the public functions, as in PyTorch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import Draw
from ..shapes import Pair, Shape, ShapeError, bind, pair
from ..window import Padding, Window
from .reshape import reshape


@dataclass(frozen=True)
class Unfold(Op):
    """Windows to columns."""

    window: Window
    linear = True

    def shape(self, x: Shape) -> Shape:
        return *x[:2], *self.window.kernel, *self.window.out

    def forward(self, k: Any, x: Array) -> Array:
        col: Array = k.unfold(x, self.window)  # N C KH KW P Q
        return col

    def vjp(self, gcol: Tensor) -> tuple[Tensor]:
        return (Fold(self.window)(gcol),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window in _windows():
            yield Unfold(window), Draw((2, 3, *window.image))


@dataclass(frozen=True)
class Fold(Op):
    """Columns back to an image, overlaps added."""

    window: Window
    linear = True

    def shape(self, col: Shape) -> Shape:
        return *col[:2], *self.window.image

    def forward(self, k: Any, col: Array) -> Array:
        x: Array = k.fold(col, self.window)  # N C H W
        return x

    def vjp(self, gx: Tensor) -> tuple[Tensor]:
        return (Unfold(self.window)(gx),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window in _windows():
            yield Fold(window), Draw((2, 3, *window.kernel, *window.out))


def _windows() -> Iterator[Window]:
    """Overlap, gaps, remainders, dilation, lopsided padding, 1x1."""
    # fmt: off
    cases = [  # image  kernel   stride  padding           dilation
        ((4, 6),  (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
        ((8, 8),  (2, 3), (3, 2), ((1, 0), (2, 0)), (1, 1)),
        ((5, 6),  (3, 2), (2, 1), ((0, 2), (0, 0)), (2, 3)),
        ((3, 4),  (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ]
    # fmt: on
    for groups, (image, kernel, stride, padding, dilation) in enumerate(cases, 1):
        window = Window.for_conv("sample", image, kernel, stride, padding, dilation)
        yield window.grouped(groups)  # groups make no difference to columns


def unfold(
    x: Tensor | Array,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: Padding = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """Every window as a column of length C KH KW (im2col).

    col[n, (c KH + u) KW + v, i Q + j] = x[n, c, s i + d u - p, s j + d v - p]

    Shape   x: N C H W -> col: N CKK PQ

    >>> import minifcn as mf
    >>> unfold(mf.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2)).tolist()
    [[[1.0, 2.0], [2.0, 3.0]]]
    """
    x = as_tensor(x)
    sizes = bind("unfold", x=("N C H W", x.shape))
    kernel = pair("unfold", "kernel_size", kernel_size, 1)
    image = sizes["H"], sizes["W"]
    window = Window.for_conv("unfold", image, kernel, stride, padding, dilation)
    (KH, KW), (P, Q) = kernel, window.out
    return reshape(Unfold(window)(x), (sizes["N"], sizes["C"] * KH * KW, P * Q))


def fold(
    col: Tensor | Array,
    output_size: int | Sequence[int],
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: Padding = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """Add columns back into an image where `unfold` took them (col2im); its adjoint.

    Shape   col: N CKK PQ -> x: N C H W, (H, W) = output_size

    >>> import minifcn as mf
    >>> fold(mf.tensor([[[1.0, 2.0], [2.0, 3.0]]]), (1, 3), (1, 2)).tolist()
    [[[[1.0, 4.0, 3.0]]]]
    """
    col = as_tensor(col)
    sizes = bind("fold", col=("N CKK PQ", col.shape))
    KH, KW = pair("fold", "kernel_size", kernel_size, 1)
    image = pair("fold", "output_size", output_size, 1)
    window = Window.for_conv("fold", image, (KH, KW), stride, padding, dilation, name="output_size")
    P, Q = window.out
    if sizes["CKK"] % (KH * KW):
        raise ShapeError(
            f"fold: axis 1 (CKK) of col is {sizes['CKK']}, expected a multiple of {KH * KW}, "
            f"the taps of kernel_size {KH, KW}"
        )
    if sizes["PQ"] != P * Q:
        raise ShapeError(
            f"fold: axis 2 (PQ) of col is {sizes['PQ']}, but output_size {image} has {P} * {Q} "
            f"windows, expected {P * Q}"
        )
    C = sizes["CKK"] // (KH * KW)
    return Fold(window)(reshape(col, (sizes["N"], C, KH, KW, P, Q)))
