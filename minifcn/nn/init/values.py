r"""values: first values for weights, as functions (shape, rng, fans, ...) -> array.

    Xavier   var w = gain^2 2 / (fan_in + fan_out)    keeps the variance both forward and backward
    He       var w = gain^2 / fan                     gain^2 = 2 makes up for what relu cuts away
    LeCun    var w = 1 / fan_in
    uniform  U(-a, a) has variance a^2 / 3, so a = sqrt(3 var w)

`rng` is a numpy.random.Generator; None is the stream of seed.py. `fans` comes from the layer, which
knows what the shape alone does not tell. All give float64, which the layer converts. Within
`nn.blank()` the random ones give zeros.

Source  Glorot and Bengio, Understanding the difficulty of training deep feedforward networks, 2010;
        He et al., Delving deep into rectifiers, 2015; LeCun et al., Efficient backprop, 1998
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...device import Array
from ...modes import mode as thread
from ...shapes import Shape, ShapeError
from ..parameter import Fans
from ..seed import stream
from .fans import fans as fans_of
from .fans import gain as gain_of

Rng = np.random.Generator | None
Init = Callable[[Shape, Rng, Fans], Array]  # what a layer calls


def xavier_uniform(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, gain: float = 1.0
) -> Array:
    """U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))."""
    return _uniform(shape, rng, gain * _deviation(sum(fans or fans_of(shape)) / 2))


def xavier_normal(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, gain: float = 1.0
) -> Array:
    """N(0, s^2), s = gain sqrt(2 / (fan_in + fan_out))."""
    return normal(shape, rng, std=gain * _deviation(sum(fans or fans_of(shape)) / 2))


def he_uniform(
    shape: Shape,
    rng: Rng = None,
    fans: Fans | None = None,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    slope: float = 0.01,
) -> Array:
    """U(-a, a), a = gain sqrt(3 / fan)."""
    fan = _fan(mode, fans or fans_of(shape))
    return _uniform(shape, rng, gain_of(nonlinearity, slope) * _deviation(fan))


def he_normal(
    shape: Shape,
    rng: Rng = None,
    fans: Fans | None = None,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    slope: float = 0.01,
) -> Array:
    """N(0, s^2), s = gain / sqrt(fan)."""
    fan = _fan(mode, fans or fans_of(shape))
    return normal(shape, rng, std=gain_of(nonlinearity, slope) * _deviation(fan))


def lecun_uniform(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """U(-a, a), a = sqrt(3 / fan_in)."""
    return _uniform(shape, rng, _deviation((fans or fans_of(shape))[0]))


def lecun_normal(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """N(0, 1 / fan_in)."""
    return normal(shape, rng, std=_deviation((fans or fans_of(shape))[0]))


def layer_default(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """U(-a, a), a = 1 / sqrt(fan_in): what layers use for weight and bias, as in PyTorch.

    For transposed convolutions PyTorch puts fan_out in its place; here it is fan_in throughout.
    """
    return _uniform(shape, rng, _deviation((fans or fans_of(shape))[0]) / math.sqrt(3))


def chosen(given: Init | None) -> Init:
    """What the user gave, or the layers' default."""
    return layer_default if given is None else given


def normal(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, mean: float = 0.0, std: float = 1.0
) -> Array:
    """N(mean, std^2)."""
    return _blank(shape) if thread.blank else stream(rng).normal(mean, std, shape)


def uniform(
    shape: Shape, rng: Rng = None, fans: Fans | None = None, low: float = 0.0, high: float = 1.0
) -> Array:
    """U(low, high)."""
    return _blank(shape) if thread.blank else stream(rng).uniform(low, high, shape)


def constant(shape: Shape, rng: Rng = None, fans: Fans | None = None, value: float = 0.0) -> Array:
    """`value` everywhere."""
    return np.full(shape, value, np.float64)


def zeros(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """0 everywhere."""
    return constant(shape, value=0.0)


def ones(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """1 everywhere."""
    return constant(shape, value=1.0)


def bilinear(shape: Shape, rng: Rng = None, fans: Fans | None = None) -> Array:
    """Bilinear upsampling for a transposed convolution, each channel by itself.

    w[o, c, u, v] = [c = o mod C/G] t(u) t(v),   t(u) = 1 - |u - m| / f,
    f = floor((K + 1) / 2),   m = f - 1 for odd K, f - 1/2 for even K

    With K = 2 s, stride s and padding s / 2 it equals F.interpolate(align_corners=False), but for
    the border, where it fades into zeros.
    """
    O, C = shape[:2]
    if O % max(C, 1) or (fans is not None and fans[0] != fans[1]):
        raise ShapeError(
            f"bilinear: axes 0 and 1 (O C/G) of the weight are {O} and {C} with fans {fans}, "
            f"expected as many output as input channels in each group"
        )
    w = np.zeros(shape)  # O C/G KH KW
    w[np.arange(O), np.arange(O) % C] = np.outer(_tent(shape[2]), _tent(shape[3]))
    return w


def _tent(K: int) -> Array:
    f = (K + 1) // 2
    middle = f - 1 if K % 2 else f - 0.5
    tent: Array = 1 - np.abs(np.arange(K) - middle) / f
    return tent


def _uniform(shape: Shape, rng: Rng, deviation: float) -> Array:
    bound = math.sqrt(3) * deviation
    return uniform(shape, rng, None, -bound, bound)


def _blank(shape: Shape) -> Array:
    """Zeros that nobody has touched yet: their memory comes when they are written."""
    return np.zeros(shape, np.float32)


def _deviation(fan: float) -> float:
    """1 / sqrt(fan); a weight without elements has no fan, and any deviation will do."""
    return 1 / math.sqrt(max(fan, 1))


def _fan(mode: str, both: Fans) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"he: mode is {mode!r}, expected 'fan_in' or 'fan_out'")
    return both[0 if mode == "fan_in" else 1]
