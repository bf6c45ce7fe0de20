r"""avg_pool: the mean of every window, and its adjoint, which spreads each value over its window.

    avg_pool2d      y[i, j] = 1 / div[i, j]  sum_{u,v} x[s i + d u - p, s j + d v - p]
    avg_pool_grad   x[h, k] = sum of g[i, j] / div[i, j] over the windows that cover pixel (h, k)

div[i, j] = `divisor`, or the number of the window's taps in the counted range `counts`: the image
alone, or the image with its padding (count_include_pad), which ends where the padding ends. The
public function has no dilation d, as PyTorch's has none.

Shape   x: N C H W -> y: N C P Q    P = floor((H + pads - KH) / s) + 1
Cost    KH additions per pixel of (P, W), then KW per pixel of (P, Q)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import Draw
from ..shapes import Pair, Shape, ShapeError, flag, whole
from ..window import Padding, Sides, Window
from .pool_window import need_floating, pool_window


@dataclass(frozen=True)
class AvgPool2d(Op):
    """The mean of every window; counts = ((first, stop) along H, (first, stop) along W)."""

    window: Window
    counts: Sides
    divisor: int | None
    linear = True

    def shape(self, x: Shape) -> Shape:
        return *x[:2], *self.window.out

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.avg_pool2d(x, self.window, self.counts, self.divisor)  # N C P Q
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (AvgPoolGrad(self.window, self.counts, self.divisor)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window, counts, divisor in _cases():
            yield AvgPool2d(window, counts, divisor), Draw((2, 3, *window.image))


@dataclass(frozen=True)
class AvgPoolGrad(Op):
    """Spread every g evenly over its window."""

    window: Window
    counts: Sides
    divisor: int | None
    linear = True

    def shape(self, g: Shape) -> Shape:
        return *g[:2], *self.window.image

    def forward(self, k: Any, g: Array) -> Array:
        x: Array = k.avg_pool_grad(g, self.window, self.counts, self.divisor)  # N C H W
        return x

    def vjp(self, gx: Tensor) -> tuple[Tensor]:
        return (AvgPool2d(self.window, self.counts, self.divisor)(gx),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window, counts, divisor in _cases():
            yield AvgPoolGrad(window, counts, divisor), Draw((2, 3, *window.out))


def _cases() -> Iterator[tuple[Window, Sides, int | None]]:
    # fmt: off
    cases = [  # image  kernel   stride  padding           dilation  ceil   counts           divisor
        ((5, 6),  (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), False, ((0, 5), (0, 6)),   None),
        ((6, 5),  (3, 2), (2, 3), ((1, 0), (1, 0)), (1, 1), False, ((-1, 6), (-1, 5)), None),
        ((6, 5),  (3, 3), (2, 2), ((1, 0), (1, 1)), (1, 1), True,  ((0, 6), (0, 5)),   None),
        ((7, 8),  (2, 3), (3, 2), ((1, 1), (0, 1)), (3, 2), True,  ((-1, 8), (0, 9)),  None),
        ((5, 7),  (2, 3), (1, 3), ((0, 0), (1, 1)), (1, 1), False, ((0, 5), (-1, 8)),  -5),
    ]
    # fmt: on
    for groups, case in enumerate(cases, 1):
        image, kernel, stride, padding, dilation, ceil, counts, divisor = case
        window = Window.for_conv("sample", image, kernel, stride, padding, dilation, round_up=ceil)
        yield window.grouped(groups), counts, divisor  # groups make no difference to pooling


def avg_pool2d(
    x: Tensor | Array,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window.

    y[n,c,i,j] = 1 / div[i,j]  sum_{u,v} x[n, c, s i + u - p, s j + v - p]

    div counts the window's pixels in the image and its padding, or with `count_include_pad=False`
    in the image alone (TensorFlow's rule: use it with padding="same"); what `ceil_mode` adds beyond
    the padding never counts. `divisor_override` replaces div.

    Shape   x: N C H W -> y: N C P Q

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[1.0, 2.0, 6.0]]]])
    >>> avg_pool2d(x, (1, 2), 1).tolist()
    [[[[1.5, 4.0]]]]
    >>> avg_pool2d(x, (1, 2), 2, padding="same", count_include_pad=False).tolist()
    [[[[1.5, 6.0]]]]
    """
    x = as_tensor(x)
    window, pads = pool_window("avg_pool2d", x.shape, kernel_size, stride, padding, 1, ceil_mode)
    need_floating("avg_pool2d", x)
    if divisor_override is not None:
        divisor_override = whole("avg_pool2d", "divisor_override", divisor_override, None)
        if divisor_override == 0:
            raise ShapeError("avg_pool2d: divisor_override is 0, expected another whole number")
    counted = flag("avg_pool2d", "count_include_pad", count_include_pad)
    (top, bottom), (left, right) = pads if counted else ((0, 0), (0, 0))
    H, W = window.image
    counts = (-top, H + bottom), (-left, W + right)
    return AvgPool2d(window, counts, divisor_override)(x)
