"""init: first values for weights: functions (shape, rng, fans) -> array, others fill a tensor.

>>> from functools import partial
>>> from minifcn import nn
>>> layer = nn.Conv2d(3, 8, 3, weight_init=partial(he_normal, mode="fan_out"), bias_init=zeros)
>>> layer.bias.tolist()
[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
"""

from .fans import fans, gain
from .inplace import (
    bilinear_,
    constant_,
    init_,
    kaiming_normal_,
    kaiming_uniform_,
    normal_,
    ones_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)
from .values import (
    Init,
    bilinear,
    chosen,
    constant,
    he_normal,
    he_uniform,
    layer_default,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)

__all__ = [
    "Init", "bilinear", "bilinear_", "chosen", "constant", "constant_", "fans", "gain", "he_normal",
    "he_uniform", "init_", "kaiming_normal_", "kaiming_uniform_", "layer_default", "lecun_normal",
    "lecun_uniform", "normal", "normal_", "ones", "ones_", "uniform", "uniform_", "xavier_normal",
    "xavier_normal_", "xavier_uniform", "xavier_uniform_", "zeros", "zeros_",
]  # fmt: skip
