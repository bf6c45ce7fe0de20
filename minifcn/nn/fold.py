"""fold: batch norms into the convolutions before them, for inference.

    norm(conv(x)) = (w * x + b - mean) scale + bias        scale = weight / sqrt(var + eps)
                  = (scale w) * x + (b - mean) scale + bias

One pass over the image less, and no norm. Which norm follows which convolution is not guessed from
names: the network runs once on an example, and its operators say what reads what.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, TypeVar

import numpy as np

from ..core import Tensor, as_tensor
from ..device import Array
from .container import Identity
from .conv import Conv2d, ConvTranspose2d
from .module import Module
from .norm import BatchNorm2d
from .parameter import Parameter
from .trace import Call, Program, trace

M = TypeVar("M", bound=Module)

NORMS = ("channel_affine", "channel_affine_relu")
CONVS = ("conv2d", "conv_transpose2d", "conv_bias")


def fold(model: M, x: Any) -> M:
    """A copy for inference, equal but for rounding, without the norms that x shows to be foldable.

    `x` is an input as the model takes it, on its device; its numbers do not matter. A norm is
    folded if it alone reads what the convolution makes, and both are called once.

    Shape   x: N C H W

    >>> import minifcn as mf
    >>> from minifcn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> x = mf.tensor(np.ones((1, 3, 5, 5), np.float32))
    >>> small = fold(net, x)
    >>> small[1], small[0].bias.shape, bool(abs(small(x) - net(x)).max() < 1e-5)
    (Identity(), (4,), True)
    """
    made = copy.deepcopy(model).eval()
    for conv, norm in _pairs(made, trace(made, as_tensor(x).data)):
        _fold(conv, made.get_submodule(norm))
        owner, _, name = norm.rpartition(".")
        gone = None if name == "normalizer" else Identity()
        setattr(made.get_submodule(owner), name, gone)
    made.__dict__.pop("config", None)  # it would describe the model with its norms
    return made


def _pairs(model: Module, program: Program) -> list[tuple[Module, str]]:
    """The layers (convolution, path of its norm) that are one product."""
    names = Counter(id(module) for _, module in model._walk(""))
    by_path = {type(model).__name__: model, **dict(model._walk(""))}  # it runs under its class's
    calls = Counter(call.layer for call in program.calls if call.op.name in NORMS + CONVS)
    readers = Counter(id(v) for call in program.calls for v in call.inputs)
    readers[id(program.result)] += 1
    maker = {id(call.out): call for call in program.calls}

    def once(call: Call, kinds: tuple[type[Module], ...]) -> bool:
        module = by_path.get(call.layer)
        return type(module) in kinds and calls[call.layer] == 1 and names[id(module)] == 1

    found = []
    for call in program.calls:
        before = maker.get(id(call.inputs[0]))
        if (
            before is not None
            and call.op.name in NORMS
            and before.op.name in CONVS
            and readers[id(before.out)] == 1
            and once(call, (BatchNorm2d,))
            and once(before, (Conv2d, ConvTranspose2d))
        ):
            found.append((by_path[before.layer], call.layer))
    return found


def _fold(conv: Any, norm: Any) -> None:
    """Write the norm into the convolution's weight and bias."""
    mean, var = (_wide(t) for t in (norm.running_mean, norm.running_var))
    scale = (var + norm.eps) ** -0.5
    scale = scale if norm.weight is None else scale * _wide(norm.weight)
    shift = 0 if norm.bias is None else _wide(norm.bias)
    bias = 0 if conv.bias is None else _wide(conv.bias)
    w = _wide(conv.weight)
    if conv.transposed:  # I O/G KH KW
        G, O = conv.groups, w.shape[1]
        by_group = w.reshape(G, -1, *w.shape[1:]) * scale.reshape(G, 1, O, 1, 1)
        w = by_group.reshape(w.shape)
    else:
        w = w * scale.reshape(-1, 1, 1, 1)
    weight: Parameter = conv.weight
    conv.weight = _like(weight, w)
    conv.bias = _like(weight, (bias - mean) * scale + shift)


def _wide(t: Tensor) -> Array:
    return np.asarray(t.numpy(), np.float64)


def _like(weight: Parameter, values: Array) -> Parameter:
    made = Parameter(values.astype(weight.dtype))
    made.replace(made.to(weight.device).data)
    made.requires_grad = weight.requires_grad
    return made
