"""pool_window: from PyTorch's pooling arguments to a Window, checked.

P = floor((H + top + bottom - d (KH - 1) - 1) / s) + 1       ceil_mode rounds up, but no window
                                                             starts beyond the image
"""

from __future__ import annotations

from functools import lru_cache

from ..core import Tensor
from ..device import is_floating
from ..shapes import AXES, Pair, Shape, ShapeError, bind, flag, pair
from ..window import Padding, Sides, Window, sides
from .conv_window import plain


def pool_window(
    op: str,
    x: Shape,
    kernel_size: int | Pair,
    stride: int | Pair | None,
    padding: Padding,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
) -> tuple[Window, Sides]:
    """The geometry, and the padding as ((top, bottom), (left, right)).

    `stride` None is the kernel's size. As in PyTorch, padding may be at most half the kernel.
    """
    options = kernel_size, stride, padding, dilation
    known = plain(options) and type(ceil_mode) is bool  # True and 1.0 must not find what 1 has left
    return (_worked_out if known else _worked_out.__wrapped__)(op, x, *options, ceil_mode)


@lru_cache(maxsize=256)
def _worked_out(
    op: str,
    x: Shape,
    kernel_size: int | Pair,
    stride: int | Pair | None,
    padding: Padding,
    dilation: int | Pair,
    ceil_mode: bool,
) -> tuple[Window, Sides]:
    sizes = bind(op, x=("N C H W", x))
    image = sizes["H"], sizes["W"]
    for axis in (0, 1):
        if image[axis] < 1:
            raise ShapeError(f"{op}: axis {AXES[axis]} of x is {image[axis]}, expected at least 1")
    kernel = pair(op, "kernel_size", kernel_size, 1)
    step = kernel if stride is None else stride
    if not isinstance(padding, str):
        _at_most_half(op, sides(op, padding), kernel)
    window = Window.for_conv(
        op, image, kernel, step, padding, dilation, round_up=flag(op, "ceil_mode", ceil_mode)
    )
    if not isinstance(padding, str):
        return window, sides(op, padding)
    (top, left), (bottom, right) = window.pad, window.far_pad
    return window, ((top, max(bottom, 0)), (left, max(right, 0)))


def _at_most_half(op: str, pads: Sides, kernel: Pair) -> None:
    for axis in (0, 1):
        if max(pads[axis]) > kernel[axis] // 2:
            raise ShapeError(
                f"{op}: padding along axis {AXES[axis]} is {max(pads[axis])}, expected at most "
                f"{kernel[axis] // 2}, half of kernel_size {kernel[axis]}"
            )


def need_floating(op: str, x: Tensor) -> None:
    """Averages of whole numbers are not whole: refuse them rather than round."""
    if not is_floating(x.dtype):
        raise TypeError(
            f"{op}: dtype of x is {x.dtype}, expected a floating type; convert with .astype()"
        )
