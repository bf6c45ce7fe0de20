"""fans: how many inputs meet in one output, and the factor that a nonlinearity asks for."""

from __future__ import annotations

import math

from ...shapes import Shape, ShapeError, one_of, sizes, whole
from ..parameter import Fans


def fans(shape: Shape, transposed: bool = False, groups: int = 1) -> Fans:
    """(fan_in, fan_out): inputs that meet in one output, outputs that one input reaches.

    convolution: O C/G KH KW              fan_in = C/G KH KW    fan_out = O/G KH KW
    transposed:  O C/G KH KW, O goes in   fan_in = O/G KH KW    fan_out = C/G KH KW

    With stride s a transposed convolution spreads its fan_in over s^2 output pixels, and a
    convolution its fan_out over s^2 input pixels; as is the custom, that is left out.

    >>> fans((8, 4, 3, 3)), fans((8, 4, 3, 3), transposed=True), fans((8, 1, 3, 3), groups=4)
    ((36, 72), (72, 36), (9, 18))
    """
    shape, groups = sizes("fans", shape), whole("fans", "groups", groups, 1)
    if len(shape) < 2:
        raise ShapeError(f"fans: shape is {tuple(shape)}, expected at least 2 axes: O C/G ...")
    if shape[0] % groups:
        raise ShapeError(
            f"fans: axis 0 (O) of the weight is {shape[0]}, expected a multiple of groups {groups}"
        )
    taps = math.prod(shape[2:])
    first, second = shape[0] // groups * taps, shape[1] * taps
    return (first, second) if transposed else (second, first)


def gain(nonlinearity: str, slope: float = 0.01) -> float:
    """The factor that keeps the variance through a nonlinearity; the values are PyTorch's.

    >>> round(gain("relu") ** 2, 9), gain("linear")
    (2.0, 1.0)
    """
    gains = {
        "linear": 1.0,
        "conv2d": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
    }
    return gains[one_of("gain", "nonlinearity", nonlinearity, gains)]
