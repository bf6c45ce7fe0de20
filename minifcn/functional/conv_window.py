"""conv_window: the geometry of the triad from what the user gives, checked before anything runs.

It is worked out once for the same shapes and options: a training step asks again and again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..core import Tensor
from ..device import is_floating
from ..shapes import Pair, Shape, ShapeError, bind, whole
from ..window import Padding, Window


@lru_cache(maxsize=1024)
def conv_window(
    x: Shape,
    weight: Shape,
    stride: int | Pair,
    padding: Padding,
    dilation: int | Pair,
    groups: int,
) -> Window:
    """The geometry of conv2d, with all that its shapes can be reproached for."""
    sizes = bind("conv2d", x=("N C H W", x), weight=("O C/G KH KW", weight))
    groups = check_groups("conv2d", "x", sizes["C"], groups)
    if sizes["C"] != sizes["C/G"] * groups:
        raise ShapeError(
            f"conv2d: axis 1 (C/G) of weight is {sizes['C/G']}, but axis 1 (C) of x is "
            f"{sizes['C']} and groups is {groups}, expected {sizes['C'] // groups}"
            f"\n    x: N C H W           = {x}\n    weight: O C/G KH KW  = {weight}"
        )
    check_groups("conv2d", "weight", sizes["O"], groups, "0 (O)")
    image, kernel = (sizes["H"], sizes["W"]), _kernel("conv2d", weight)
    return Window.for_conv("conv2d", image, kernel, stride, padding, dilation, groups)


@lru_cache(maxsize=1024)
def transpose_window(
    x: Shape,
    weight: Shape,
    stride: int | Pair,
    padding: Padding,
    output_padding: int | Pair,
    groups: int,
    dilation: int | Pair,
    output_size: int | Pair | None,
) -> Window:
    """The geometry of conv_transpose2d."""
    sizes = bind("conv_transpose2d", x=("N O P Q", x), weight=("O C/G KH KW", weight))
    groups = check_groups("conv_transpose2d", "x", sizes["O"], groups, "1 (O)")
    return Window.for_transpose(
        "conv_transpose2d",
        (sizes["P"], sizes["Q"]),
        _kernel("conv_transpose2d", weight),
        stride,
        padding,
        output_padding,
        output_size,
        dilation,
        groups,
    )


@lru_cache(maxsize=1024)
def weight_window(
    x: Shape,
    g: Shape,
    kernel: Pair,
    stride: int | Pair,
    padding: Padding,
    dilation: int | Pair,
    groups: int,
) -> Window:
    """The geometry of conv2d_weight."""
    sizes = bind("conv2d_weight", x=("N C H W", x), g=("N O P Q", g))
    groups = check_groups("conv2d_weight", "x", sizes["C"], groups)
    check_groups("conv2d_weight", "g", sizes["O"], groups, "1 (O)")
    image = sizes["H"], sizes["W"]
    window = Window.for_conv("conv2d_weight", image, kernel, stride, padding, dilation, groups)
    for axis, letter in ((2, "P"), (3, "Q")):
        if g[axis] != window.out[axis - 2]:
            raise ShapeError(
                f"conv2d_weight: axis {axis} ({letter}) of g is {g[axis]}, expected "
                f"{window.out[axis - 2]}, what the convolution gives from axis {axis} of x, "
                f"{x[axis]}"
            )
    return window


def remembered(window: Any, x: Shape, weight: Shape, options: tuple[Any, ...]) -> Any:
    """window(x, weight, *options), worked out once for the same shapes and options.

    Only for plain numbers and words: 1.0 and True equal 1, and must not find what 1 has left.
    """
    make = window if plain(options) else window.__wrapped__
    return make(x, weight, *options)


def plain(options: tuple[Any, ...]) -> bool:
    """Whether there are only ints, words and None."""
    for option in options:
        kind = type(option)
        if kind is tuple and plain(option):
            continue
        if kind is not int and kind is not str and option is not None:
            return False
    return True


def check_floating(op: str, **tensors: Tensor) -> None:
    first, like = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if not is_floating(tensor.dtype):
            raise TypeError(
                f"{op}: dtype of {name} is {tensor.dtype}, expected a floating type; "
                f"convert it with .astype()"
            )
        if tensor.dtype != like.dtype:
            raise TypeError(
                f"{op}: dtype of {name} is {tensor.dtype}, but dtype of {first} is {like.dtype}; "
                f"convert one with .astype()"
            )


def _kernel(op: str, weight: Shape) -> Pair:
    KH, KW = weight[2:]
    for axis, letter, size in ((2, "KH", KH), (3, "KW", KW)):
        if size < 1:
            raise ShapeError(
                f"{op}: axis {axis} ({letter}) of weight is {size}, expected at least 1"
            )
    return KH, KW


def check_groups(op: str, name: str, size: int, groups: object, axis: str = "1 (C)") -> int:
    count = whole(op, "groups", groups, 1)
    if size % count:
        raise ShapeError(
            f"{op}: axis {axis} of {name} is {size}, expected a multiple of groups {count}"
        )
    return count
