r"""conv: convolution, transposed convolution, and the gradient of the weight. One triad.

There is one trilinear form over image x, weight w and output-side g, with one Window's geometry:

    T(x, w, g) = sum_{n,o,c,i,j,u,v}  g[n,o,i,j]  w[o,c,u,v]  x[n, c', s i + d u - p, s j + d v - p]

with c' = (o div (O/G)) C/G + c, and x = 0 outside the image. Each operator is the gradient of T in
the slot that it lacks, so the derivative of each is made of the other two, to any order:

    y = conv2d(x, w)            = dT/dg     gx = conv_transpose2d(gy, w)   gw = conv2d_weight(x, gy)
    x = conv_transpose2d(g, w)  = dT/dx     gg = conv2d(gx, w)             gw = conv2d_weight(gx, g)
    w = conv2d_weight(x, g)     = dT/dw     gx = conv_transpose2d(g, gw)   gg = conv2d(x, gw)

Transposed convolution is the convolution's backward pass: the same operator, called by both.

Shape   x: N C H W, w: O C/G KH KW, g and y: N O P Q, P = floor((H + pads - d (KH-1) - 1) / s) + 1
Cost    N O C/G KH KW P Q multiply-adds each or, by other algorithms, fewer: mf.explain_choice;
        columns take memory up to mf.limit_workspace, and are not kept
Source  Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, sections 2-4
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import Draw
from ..shapes import Pair, Shape, flag, pair
from ..window import Padding, Window
from .conv_bias import check_bias, finished
from .conv_window import (
    check_floating,
    conv_window,
    remembered,
    transpose_window,
    weight_window,
)
from .precision import lowered


@dataclass(frozen=True)
class Conv2d(Op):
    """dT/dg: slide the weight over the image."""

    window: Window
    linear = True

    def shape(self, x: Shape, w: Shape) -> Shape:
        return x[0], w[0], *self.window.out

    def forward(self, k: Any, x: Array, w: Array) -> Array:
        y: Array = k.conv2d(x, w, self.window)  # N O P Q
        return y

    def vjp(self, gy: Tensor, x: Tensor, w: Tensor) -> tuple[Callable[[], Tensor], ...]:
        return (
            lambda: ConvTranspose2d(self.window)(gy, w),  # N C H W
            lambda: Conv2dWeight(self.window)(x, gy),  # O C/G KH KW
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window, x, w, _ in triad_samples():
            yield Conv2d(window), x, w


@dataclass(frozen=True)
class ConvTranspose2d(Op):
    """dT/dx: let every output pixel paint its kernel back onto the image."""

    window: Window
    linear = True

    def shape(self, g: Shape, w: Shape) -> Shape:
        return g[0], w[1] * self.window.groups, *self.window.image

    def forward(self, k: Any, g: Array, w: Array) -> Array:
        x: Array = k.conv_transpose2d(g, w, self.window)  # N C H W
        return x

    def vjp(self, gx: Tensor, g: Tensor, w: Tensor) -> tuple[Callable[[], Tensor], ...]:
        return (
            lambda: Conv2d(self.window)(gx, w),  # N O P Q
            lambda: Conv2dWeight(self.window)(gx, g),  # O C/G KH KW
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window, _, w, g in triad_samples():
            yield ConvTranspose2d(window), g, w


@dataclass(frozen=True)
class Conv2dWeight(Op):
    """dT/dw: correlate image and output-side gradient, tap by tap."""

    window: Window
    linear = True

    def shape(self, x: Shape, g: Shape) -> Shape:
        return g[1], x[1] // self.window.groups, *self.window.kernel

    def forward(self, k: Any, x: Array, g: Array) -> Array:
        w: Array = k.conv2d_weight(x, g, self.window)  # O C/G KH KW
        return w

    def vjp(self, gw: Tensor, x: Tensor, g: Tensor) -> tuple[Callable[[], Tensor], ...]:
        return (
            lambda: ConvTranspose2d(self.window)(g, gw),  # N C H W
            lambda: Conv2d(self.window)(x, gw),  # N O P Q
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window, x, _, g in triad_samples():
            yield Conv2dWeight(window), x, g


def triad_samples() -> Iterator[tuple[Window, Draw, Draw, Draw]]:
    """(window, x, w, g): stride remainders, dilation, lopsided padding, groups, depthwise, 1x1."""
    # fmt: off
    cases = [  # N  C  O   image   kernel    stride   padding           dilation  groups
        (2, 3, 4, (5, 6), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        (2, 2, 3, (8, 7), (2, 3), (3, 2), ((1, 0), (2, 1)), (1, 1), 1),
        (1, 4, 6, (7, 9), (3, 2), (2, 1), ((1, 1), (0, 3)), (2, 3), 2),
        (2, 3, 6, (4, 5), (3, 3), (1, 2), ((1, 1), (1, 1)), (1, 1), 3),
        (3, 4, 2, (3, 4), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        (1, 2, 2, (6, 5), (1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1), 2),
    ]
    # fmt: on
    for N, C, O, image, kernel, stride, padding, dilation, groups in cases:
        window = Window.for_conv("sample", image, kernel, stride, padding, dilation, groups)
        x, w = Draw((N, C, *image)), Draw((O, C // groups, *kernel))
        yield window, x, w, Draw((N, O, *window.out))


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    *,
    relu: bool = False,
) -> Tensor:
    """Cross-correlate images with kernels; what deep learning calls convolution.

    y[n,o,i,j] = bias[o] + sum_{c,u,v} weight[o,c,u,v] x[n, c', s i + d u - p, s j + d v - p]

    `padding`: int | (h, w) | ((top, bottom), (left, right)) | "valid" | "same" (TensorFlow's rule,
    also with stride: P = ceil(H / s), the odd pixel at bottom and right) | "same_lower" (at top and
    left). With `relu` negative y are made 0 on the way.

    Shape   x: N C H W, weight: O C/G KH KW, bias: O -> y: N O P Q

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    >>> conv2d(x, mf.tensor([[[[1.0, 10.0]]]])).tolist()
    [[[[21.0, 32.0], [54.0, 65.0]]]]
    """
    x, weight = as_tensor(x), as_tensor(weight)
    check_together("conv2d", x=x.data, weight=weight.data)
    x, w = lowered("conv2d", x=x, weight=weight)
    check_floating("conv2d", x=x, weight=w)
    options = stride, padding, dilation, groups
    window: Window = remembered(conv_window, x.shape, w.shape, options)
    bias = check_bias("conv2d", bias, weight, "O", w.shape[0])
    return finished(Conv2d(window), x, w, bias, flag("conv2d", "relu", relu))


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
    output_size: int | Pair | None = None,
    *,
    relu: bool = False,
) -> Tensor:
    """Transposed convolution: the backward pass of `conv2d` in the image, used to upsample.

    y[n,c,h,k] = bias[c] + sum of x[n,o,i,j] weight[o,c,u,v]
                 over all taps with  s i + d u - p = h,  s j + d v - p = k

    Padding crops the result; `output_padding` makes it longer at bottom and right, with computed
    values. `output_size` chooses among the sizes that a convolution of the same arguments maps back
    to x's. "same": H = s P (TensorFlow's conv2d_transpose); "valid": H = s P, and as much more as
    the last kernel spans beyond its stride. With `relu` negative y are made 0 on the way.

    Shape   x: N O P Q, weight: O C/G KH KW, bias: C -> y: N C H W
            H = s (P - 1) + d (KH - 1) + 1 - top - bottom + output_padding

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[1.0, 10.0]]]])
    >>> conv_transpose2d(x, mf.tensor([[[[1.0, 2.0, 3.0]]]]), stride=2).tolist()
    [[[[1.0, 2.0, 13.0, 20.0, 30.0]]]]
    """
    x, weight = as_tensor(x), as_tensor(weight)
    check_together("conv_transpose2d", x=x.data, weight=weight.data)
    x, w = lowered("conv_transpose2d", x=x, weight=weight)
    check_floating("conv_transpose2d", x=x, weight=w)
    options = stride, padding, output_padding, groups, dilation, output_size
    window: Window = remembered(transpose_window, x.shape, w.shape, options)
    bias = check_bias("conv_transpose2d", bias, weight, "C", w.shape[1] * window.groups)
    then_relu = flag("conv_transpose2d", "relu", relu)
    return finished(ConvTranspose2d(window), x, w, bias, then_relu)


def conv2d_weight(
    x: Tensor,
    g: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of a convolution's weight: correlate x with g, one tap at a time.

    w[o,c,u,v] = sum_{n,i,j} g[n,o,i,j] x[n, c', s i + d u - p, s j + d v - p]

    Shape   x: N C H W, g: N O P Q -> w: O C/G KH KW; P and Q are those of the convolution
    """
    x, g = lowered("conv2d_weight", x=as_tensor(x), g=as_tensor(g))
    check_floating("conv2d_weight", x=x, g=g)
    options = (
        pair("conv2d_weight", "kernel_size", kernel_size, 1),
        stride,
        padding,
        dilation,
        groups,
    )
    window: Window = remembered(weight_window, x.shape, g.shape, options)
    return Conv2dWeight(window)(x, g)
