r"""max_pool: the largest pixel of every window, and the two linear maps along its choice.

    max_pool2d       y[i, j] = max_{u,v} x[s i + d u - p, s j + d v - p]     tap[i, j] = its (u, v)
    max_pool_grad    gx[h, k] = sum of gy[i, j] over the windows whose tap met pixel (h, k)
    max_pool_take    y[i, j] = x at the pixel that tap[i, j] met

Once the winners are known, pooling is linear: grad and take are each other's adjoint, and carry the
derivatives of every order. A tap is the number u KW + v; KH KW says that the window has none in the
image. Pixels outside the image never win; of equals the first does; a NaN wins, the last at that.

Shape   x: N C H W -> y, tap: N C P Q    P = floor((H + pads - d (KH-1) - 1) / s) + 1
Cost    KH KW comparisons per output pixel; one byte kept per output pixel
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..modes import mode
from ..samples import Draw, Integers, Separated
from ..shapes import Pair, Shape
from ..window import Padding, Window
from .pool_window import pool_window


@dataclass(frozen=True)
class MaxPool2d(Op):
    """The largest pixel of every window; keeps which tap it was."""

    window: Window
    extras = ("tap",)

    def shape(self, x: Shape) -> Shape:
        return *x[:2], *self.window.out

    def forward(self, k: Any, x: Array) -> tuple[Array, Array | None]:
        y, tap = k.max_pool2d(x, self.window, mode.recording)  # N C P Q, N C P Q
        return y, tap  # which nobody wants, and nobody makes, where nothing is recorded

    def vjp(self, gy: Tensor, tap: Tensor) -> tuple[Tensor]:
        return (MaxPoolGrad(self.window)(gy, tap),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window in _windows():
            yield MaxPool2d(window), Separated((2, 3, *window.image))


@dataclass(frozen=True)
class MaxPoolGrad(Op):
    """Send every g back to the pixel that won."""

    window: Window
    linear = True

    def shape(self, g: Shape, tap: Shape) -> Shape:
        return *g[:2], *self.window.image

    def forward(self, k: Any, g: Array, tap: Array) -> Array:
        x: Array = k.max_pool_grad(g, tap, self.window)  # N C H W
        return x

    def vjp(self, gx: Tensor, tap: Tensor) -> tuple[Tensor, None]:
        return MaxPoolTake(self.window)(gx, tap), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window in _windows():
            yield MaxPoolGrad(window), Draw((2, 3, *window.out)), _taps(window)


@dataclass(frozen=True)
class MaxPoolTake(Op):
    """Read every window's pixel at the tap given."""

    window: Window
    linear = True

    def shape(self, x: Shape, tap: Shape) -> Shape:
        return tap

    def forward(self, k: Any, x: Array, tap: Array) -> Array:
        y: Array = k.max_pool_take(x, tap, self.window)  # N C P Q
        return y

    def vjp(self, gy: Tensor, tap: Tensor) -> tuple[Tensor, None]:
        return MaxPoolGrad(self.window)(gy, tap), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window in _windows():
            yield MaxPoolTake(window), Draw((2, 3, *window.image)), _taps(window)


@dataclass(frozen=True)
class MaxPoolIndices(Op):
    """Where the largest pixel of every window lies: h W + w, or -1 for a window without pixels."""

    window: Window

    def shape(self, x: Shape) -> Shape:
        return *x[:2], *self.window.out

    def forward(self, k: Any, x: Array) -> Array:
        index: Array = k.max_pool_indices(x, self.window)  # N C P Q
        return index

    def vjp(self, gy: Tensor) -> tuple[None]:
        return (None,)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for window in _windows():
            yield MaxPoolIndices(window), Separated((2, 3, *window.image), smooth=False)


def _windows() -> Iterator[Window]:
    """Remainders, overlap, gaps, dilation, lopsided padding, rounding up, KH != KW."""
    # fmt: off
    cases = [  # image  kernel   stride  padding           dilation  ceil_mode
        ((4, 6),  (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), False),
        ((5, 4),  (3, 2), (1, 2), ((1, 1), (1, 0)), (1, 1), False),
        ((6, 5),  (3, 3), (2, 2), ((0, 0), (1, 1)), (1, 1), True),
        ((7, 8),  (2, 3), (2, 1), ((1, 0), (0, 1)), (3, 2), True),
        ((6, 7),  (1, 2), (2, 3), ((0, 0), (0, 0)), (1, 1), False),
    ]
    # fmt: on
    for groups, (image, kernel, stride, padding, dilation, ceil) in enumerate(cases, 1):
        window = Window.for_conv("sample", image, kernel, stride, padding, dilation, round_up=ceil)
        yield window.grouped(groups)  # groups make no difference to pooling


def _taps(window: Window) -> Integers:
    KH, KW = window.kernel
    return Integers((2, 3, *window.out), high=KH * KW)


def max_pool2d(
    x: Tensor | Array,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # a Tensor, or with return_indices two
    """The largest pixel of every window.

    y[n,c,i,j] = max_{u,v} x[n, c, s i + d u - p, s j + d v - p]

    Padding never wins. `stride` None is the kernel's size; `padding` also takes four sides, "same"
    and "valid" as conv2d does; `ceil_mode` keeps a last window that hangs over the edge. With
    `return_indices` the result is (y, indices), indices[n,c,i,j] = h W + w of the winner, for
    `max_unpool2d`.

    Shape   x: N C H W -> y: N C P Q

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[1.0, 2.0, 7.0, 0.0], [4.0, 3.0, 5.0, 6.0]]]])
    >>> max_pool2d(x, 2).tolist()
    [[[[4.0, 7.0]]]]
    >>> max_pool2d(x, 2, return_indices=True)[1].tolist()
    [[[[4, 2]]]]
    """
    x = as_tensor(x)
    window, _ = pool_window(
        "max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode
    )
    y = MaxPool2d(window)(x)
    return (y, MaxPoolIndices(window)(x.detach())) if return_indices else y
