r"""init: first values for weights, as functions (shape, rng, fans, ...) -> array.

    Xavier   var w = gain^2 2 / (fan_in + fan_out)    keeps the variance of x forward and gx backward
    He       var w = gain^2 / fan                     gain^2 = 2 makes up for what relu cuts away
    LeCun    var w = 1 / fan_in
    uniform  U(-a, a) has variance a^2 / 3, so a = sqrt(3 var w)

fan_in is the number of inputs that meet in one output, fan_out the number of outputs that one input
reaches. The layers know theirs; the shape alone does not tell (see `fans`). `rng` is a
numpy.random.Generator; None is the stream of seed.py. All give float64, which the layer converts.

Source  Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
        2010; He et al., Delving deep into rectifiers, 2015; LeCun et al., Efficient backprop, 1998
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..device import Array
from ..shapes import Shape, ShapeError
from .parameter import Fans
from .seed import stream

Rng = np.random.Generator | None
Init = Callable[[Shape, Rng, Fans], Array]  # what a layer calls


def fans(shape: Shape, transposed: bool = False, groups: int = 1) -> Fans:
    """(fan_in, fan_out) of a weight.

    convolution: O C/G KH KW              fan_in = C/G KH KW    fan_out = O/G KH KW
    transposed:  O C/G KH KW, O goes in   fan_in = O/G KH KW    fan_out = C/G KH KW

    With stride s a transposed convolution spreads its fan_in over s^2 output pixels, and a convolution
    its fan_out over s^2 input pixels; as is the custom, that is left out.

    >>> fans((8, 4, 3, 3)), fans((8, 4, 3, 3), transposed=True), fans((8, 1, 3, 3), groups=4)
    ((36, 72), (72, 36), (9, 18))
    """
    if len(shape) < 2:
        raise ShapeError(f"fans: shape is {tuple(shape)}, expected at least 2 axes: O C/G ...")
    if groups < 1 or shape[0] % groups:
        raise ShapeError(
            f"fans: axis 0 of the weight is {shape[0]}, not a multiple of groups {groups}"
        )
    taps = math.prod(shape[2:])
    per_group, other = shape[0] // groups * taps, shape[1] * taps
    return (per_group, other) if transposed else (other, per_group)


def gain(nonlinearity: str, slope: float = 0.01) -> float:
    """The factor on the deviation that keeps the variance through a nonlinearity; PyTorch's values."""
    gains = {
        "linear": 1.0,
        "conv2d": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
    }
    if nonlinearity not in gains:
        raise ValueError(
            f"gain: nonlinearity is {nonlinearity!r}, expected one of {', '.join(gains)}"
        )
    return gains[nonlinearity]


def xavier_uniform(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, gain: float = 1.0
) -> Array:
    """U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6 / _positive(sum(_fans(shape, fans))))
    return stream(rng).uniform(-bound, bound, shape)


def xavier_normal(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, gain: float = 1.0
) -> Array:
    """N(0, s^2), s = gain sqrt(2 / (fan_in + fan_out))."""
    return stream(rng).normal(0, gain * math.sqrt(2 / _positive(sum(_fans(shape, fans)))), shape)


def he_uniform(
    shape: Shape,
    rng: Rng = None,
    fans: Fans | None = None,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    slope: float = 0.01,
) -> Array:
    """U(-a, a), a = gain sqrt(3 / fan)."""
    bound = math.sqrt(3) * _he_deviation(shape, fans, mode, nonlinearity, slope)
    return stream(rng).uniform(-bound, bound, shape)


def he_normal(
    shape: Shape,
    rng: Rng = None,
    fans: Fans | None = None,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    slope: float = 0.01,
) -> Array:
    """N(0, s^2), s = gain / sqrt(fan)."""
    return stream(rng).normal(0, _he_deviation(shape, fans, mode, nonlinearity, slope), shape)


kaiming_uniform, kaiming_normal = he_uniform, he_normal


def lecun_uniform(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """U(-a, a), a = sqrt(3 / fan_in)."""
    bound = math.sqrt(3 / _positive(_fans(shape, fans)[0]))
    return stream(rng).uniform(-bound, bound, shape)


def lecun_normal(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """N(0, 1 / fan_in)."""
    return stream(rng).normal(0, math.sqrt(1 / _positive(_fans(shape, fans)[0])), shape)


def torch_uniform(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """U(-a, a), a = 1 / sqrt(fan_in): the default of all layers, for weight and bias, as in PyTorch.

    For transposed convolutions PyTorch takes fan_out in its place; here it is fan_in throughout.
    """
    bound = 1 / math.sqrt(_positive(_fans(shape, fans)[0]))
    return stream(rng).uniform(-bound, bound, shape)


def normal(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, mean: float = 0.0, std: float = 1.0
) -> Array:
    """N(mean, std^2)."""
    return stream(rng).normal(mean, std, shape)


def uniform(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, low: float = 0.0, high: float = 1.0
) -> Array:
    """U(low, high)."""
    return stream(rng).uniform(low, high, shape)


def constant(shape: Shape, rng: Rng = None, fans: Fans | None = None, value: float = 0.0) -> Array:
    """`value` everywhere."""
    return np.full(shape, value, np.float64)


def zeros(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """0 everywhere."""
    return np.zeros(shape)


def ones(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """1 everywhere."""
    return np.ones(shape)


def bilinear(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """Bilinear upsampling for a transposed convolution, each channel by itself.

    w[o, c, u, v] = [c = o mod C/G] t(u) t(v),   t(u) = 1 - |u - m| / f,
    f = floor((K + 1) / 2),   m = f - 1 for odd K, f - 1/2 for even K

    With K = 2 s, stride s and padding s/2 it equals F.interpolate(align_corners=False) except at the
    border, where it fades into zeros.
    """
    O, C = shape[:2]
    if O % C or (fans is not None and fans[0] != fans[1]):
        raise ShapeError(
            f"bilinear: weight is {tuple(shape)}, fans are {fans}; expected as many output channels "
            f"as input channels in each group"
        )
    w = np.zeros(shape)  # O C/G KH KW
    w[np.arange(O), np.arange(O) % C] = np.outer(_tent(shape[2]), _tent(shape[3]))
    return w


def _tent(K: int) -> Array:
    f = (K + 1) // 2
    middle = f - 1 if K % 2 else f - 0.5
    return 1 - np.abs(np.arange(K) - middle) / f


def _fans(shape: Shape, known: Fans | None) -> Fans:
    return fans(shape) if known is None else known


def _positive(fan: int) -> int:
    """A weight without elements has no fan; any deviation will do."""
    return max(fan, 1)


def _he_deviation(
    shape: Shape, known: Fans | None, mode: str, nonlinearity: str, slope: float
) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"he: mode is {mode!r}, expected 'fan_in' or 'fan_out'")
    fan = _fans(shape, known)[0 if mode == "fan_in" else 1]
    return gain(nonlinearity, slope) / math.sqrt(_positive(fan))
