"""layout: from TensorFlow's axis order to ours and back, for data and kernels.

    data                    N H W C         <->  N C H W
    convolution             KH KW IN OUT    <->  O C KH KW      (O = OUT, C = IN)
    transposed convolution  KH KW OUT IN    <->  I O KH KW

Arrays give arrays, tensors give tensors (and the gradient goes back). Only axes move: TensorFlow's
layers, like ours, do not flip the kernel.
"""

from __future__ import annotations

from typing import TypeVar

from ..core import Tensor
from ..device import Array
from ..shapes import ShapeError, shown

T = TypeVar("T", Array, Tensor)


def from_nhwc(x: T) -> T:
    """Images or labels-as-planes.   Shape   x: N H W C -> N C H W"""
    return _moved("from_nhwc", x, "N H W C", (0, 3, 1, 2))


def to_nhwc(x: T) -> T:
    """Shape   x: N C H W  ->  N H W C"""
    return _moved("to_nhwc", x, "N C H W", (0, 2, 3, 1))


def from_hwio(weight: T) -> T:
    """A convolution's kernel.   Shape   weight: KH KW IN OUT -> O C KH KW"""
    return _moved("from_hwio", weight, "KH KW IN OUT", (3, 2, 0, 1))


def to_hwio(weight: T) -> T:
    """Shape   weight: O C KH KW  ->  KH KW IN OUT"""
    return _moved("to_hwio", weight, "O C KH KW", (2, 3, 1, 0))


def from_hwoi(weight: T) -> T:
    """A transposed convolution's kernel.   Shape   weight: KH KW OUT IN -> I O KH KW"""
    return _moved("from_hwoi", weight, "KH KW OUT IN", (3, 2, 0, 1))


def to_hwoi(weight: T) -> T:
    """Shape   weight: I O KH KW  ->  KH KW OUT IN"""
    return _moved("to_hwoi", weight, "I O KH KW", (2, 3, 1, 0))


def _moved(name: str, x: T, letters: str, axes: tuple[int, ...]) -> T:
    if not hasattr(x, "ndim"):
        raise TypeError(f"{name}: got {shown(x)}, expected a tensor or an array: {letters}")
    if x.ndim != 4:
        raise ShapeError(f"{name}: got {x.ndim} axes {tuple(x.shape)}, expected 4: {letters}")
    return x.permute(axes) if isinstance(x, Tensor) else x.transpose(axes)
