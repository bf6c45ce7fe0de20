"""fuse: layers in a row, of which some are one operator.

    BatchNorm2d, ReLU                   F.batch_norm(..., relu=True)
    Conv2d or ConvTranspose2d, ReLU     F.conv2d(..., relu=True): with the bias, or the normalizer

One pass over the image less, and one image less stored. Whoever calls layers one after another
(Sequential; a convolution with its normalizer and its activation) does it by `chain`. Only these
classes themselves are joined: a subclass, or an instance with a forward of its own, may do
something else. The result is the same but for rounding, and bears the name of the first layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .activation import ReLU

Layer = Callable[..., Any]


def chain(layers: Iterable[Layer | None], x: Any) -> Any:
    """x through the layers in turn; None is no layer, and Identity does nothing."""
    before: Layer | None = None
    for layer in layers:
        if layer is None or _does_nothing(layer):
            continue
        if before is not None and joins(before, layer):
            x, before = before(x, relu=True), None
            continue
        if before is not None:
            x = before(x)
        before = layer
    return x if before is None else before(x)


def joins(first: Any, second: Any) -> bool:
    """Whether the two layers are one operator."""
    takes = vars(type(first)).get("takes_relu", False)  # by itself, not by inheritance
    return bool(takes) and is_relu(second) and "forward" not in vars(first)


def _does_nothing(layer: Any) -> bool:
    return bool(vars(type(layer)).get("does_nothing", False)) and "forward" not in vars(layer)


def is_relu(layer: Any) -> bool:
    """Whether it is ReLU, and nothing that was made of it."""
    return type(layer) is ReLU and "forward" not in vars(layer)
