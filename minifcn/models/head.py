"""head: where a classifier's image becomes a list of numbers, and the layers that keep it an image.

See surgery.py for the rules.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import nn
from ..device import to_host
from ..nn import init
from ..shapes import Pair, Shape
from .chain import Link
from .report import Row, size

SILENT = (nn.Dropout, nn.Dropout2d, nn.Identity)  # do nothing once trained
POINTWISE = (*SILENT, nn.BatchNorm2d, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Sigmoid, nn.Tanh)
Make = Callable[[], nn.Module]


class SurgeryError(ValueError):
    """A network that cannot be made convolutional; says which layer is in the way."""


class Head:
    """The plan: the links of `trunk` stay, then come the layers of `made`; `rows` tell all changes.

    `feature` is C h w of what the head gets for a training image; `places` are the P x Q cells that
    its pooling leaves, and that its first linear layer sees.
    """

    def __init__(self, links: list[Link], pooling: str) -> None:
        self.rows: list[Row] = []
        self.made: list[tuple[str, Make]] = []
        self.memo: dict[int, Any] = {}  # of deepcopy: a layer used twice stays one layer
        flat = next((k for k, link in enumerate(links) if len(link.behind) == 2), len(links))
        if flat == len(links) and links[-1].behind[2:] != (1, 1):
            raise SurgeryError(
                f"convolutionize: the model gives {size(links[-1].behind)} for an image of the "
                f"training size, expected N x K; it keeps images as images, so nothing is to do"
            )
        pool = _pool_before(links, flat)
        start = flat if pool is None else pool
        end = links[flat].before if flat < len(links) else links[-1].behind
        self.trunk = links[:start]
        self._check_trunk()
        self.feature: Shape = links[start].before[1:] if start < len(links) else end[1:]
        self.places: Pair = (end[2], end[3])
        self.spread: Pair = (1, 1)  # cells from one place to the next
        self.bins: list[Any] | None = None  # where they differ in size: a matrix per axis
        self._tell_trunk()
        if pool is not None:
            self._pool(links[pool], pooling, links[pool + 1 :])
        elif pooling == "mean":
            raise SurgeryError("convolutionize: pooling is 'mean', but the model has no pooling")
        for link in links[start if pool is None else start + 1 :]:
            self._behind(link)
        if self.places != (1, 1) or self.bins is not None:
            raise SurgeryError(
                f"convolutionize: the image is flattened at {size(self.places)} cells, but no "
                f"linear layer follows"
            )

    def layers(self) -> list[tuple[str, nn.Module]]:
        """All layers of the network, each a copy or made anew."""
        kept = [(link.name, self._copy(link.layer)) for link in self.trunk]
        return kept + [(name, make()) for name, make in self.made]

    def _copy(self, layer: nn.Module) -> nn.Module:
        copied: nn.Module = copy.deepcopy(layer, self.memo)
        return copied

    def _check_trunk(self) -> None:
        for link in self.trunk:
            if isinstance(link.layer, nn.AdaptiveAvgPool2d):
                raise SurgeryError(
                    f"convolutionize: behind {link.name}, which pools to {size(link.behind[2:])} "
                    f"cells, comes more than the head; such a network has no map"
                )

    def _tell_trunk(self) -> None:
        for link in self.trunk:
            if link.written:
                self.rows.append(Row("named", link.name, "an operator", type(link.layer).__name__))
        kept = [link.name for link in self.trunk if not link.written]
        if kept:
            arrays = sum(len(list(link.layer.parameters())) for link in self.trunk)
            several = kept[0] if len(kept) == 1 else f"{kept[0]} .. {kept[-1]}"
            self.rows.append(Row("kept", several, f"{len(kept)} layers, {arrays} parameters"))

    def _pool(self, link: Link, pooling: str, rest: list[Link]) -> None:
        """What slides in the place of the pooling."""
        (h, w), (P, Q) = self.feature[1:], self.places
        what = f"{type(link.layer).__name__} to {P} x {Q}"
        if pooling == "mean":
            self._check_mean(rest)
            self.rows.append(Row("dropped", link.name, what, "the mean of the map is the logits"))
        elif (h, w) == (P, Q):
            self.rows.append(Row("dropped", link.name, what, "it has nothing to do"))
        elif h % P == 0 and w % Q == 0:
            self.spread = f = (h // P, w // Q)
            self.made.append((link.name, partial(nn.AvgPool2d, f, 1)))
            self.rows.append(Row("replaced", link.name, what, f"AvgPool2d {size(f)}, stride 1"))
        else:
            self.bins = [_bins(h, P), _bins(w, Q)]
            self.rows.append(
                Row("replaced", link.name, what, "a part of the convolution behind it")
            )

    def _check_mean(self, rest: list[Link]) -> None:
        if self.places != (1, 1):
            raise SurgeryError(
                f"convolutionize: pooling is 'mean', but the model pools to {size(self.places)} "
                f"cells, expected 1 x 1"
            )
        for link in rest:
            if not _is_linear(link.layer):
                raise SurgeryError(
                    f"convolutionize: pooling is 'mean', but {link.name} "
                    f"({type(link.layer).__name__}) behind it is not linear, so that the mean of "
                    f"the map would not be the logits; use 'window'"
                )

    def _behind(self, link: Link) -> None:
        """A layer of the head: its counterpart for images."""
        layer, name = link.layer, link.name
        if isinstance(layer, nn.Flatten) and len(link.before) == 4:
            if layer.start_dim != 1:
                raise SurgeryError(f"convolutionize: {name} flattens from axis {layer.start_dim}")
            self.rows.append(Row("dropped", name, "Flatten", "what it joined stays apart"))
        elif isinstance(layer, nn.Linear):
            self._linear(name, layer)
        elif isinstance(layer, (nn.Softmax, nn.LogSoftmax)):
            self.made.append((name, partial(type(layer), 1)))
            self.rows.append(Row("kept", name, type(layer).__name__, "along the classes"))
        elif isinstance(layer, nn.Flatten) or (link.written and isinstance(layer, nn.Identity)):
            self.rows.append(Row("dropped", name, "does nothing"))
        elif _is_pointwise(layer):
            if self.bins is not None and not isinstance(layer, SILENT):
                raise SurgeryError(
                    f"convolutionize: {name} ({type(layer).__name__}) stands between a pooling "
                    f"with bins of different sizes and the linear layer; no convolution does both"
                )
            self.made.append((name, partial(self._copy, layer)))
            self.rows.append(Row("kept", name, type(layer).__name__))
        else:
            raise SurgeryError(
                f"convolutionize: {name} is a {type(layer).__name__} where the image has become a "
                f"list of numbers, expected Linear, Flatten, Dropout, an activation or a softmax"
            )

    def _linear(self, name: str, layer: nn.Linear) -> None:
        P, Q = self.places
        O, C = layer.out_features, layer.in_features // (P * Q)
        kernel = self.places if self.bins is None else (self.feature[1], self.feature[2])
        make = partial(_convolution, layer, self.places, self.bins, self.spread)
        self.made.append((name, make))
        was, becomes = size((O, layer.in_features)), size((O, C, *kernel))
        note = (
            "" if self.spread == (1, 1) or kernel == (1, 1) else f", dilation {size(self.spread)}"
        )
        self.rows.append(Row("reshaped", f"{name}.weight", was, becomes + note))
        self.places, self.spread, self.bins = (1, 1), (1, 1), None


def _is_pointwise(layer: nn.Module) -> bool:
    """Whether every cell is treated by itself."""
    if type(layer) is nn.Conv2d:
        return (layer.kernel_size, layer.stride, layer.padding) == ((1, 1), (1, 1), (0, 0))
    return type(layer) in POINTWISE


def _is_linear(layer: nn.Module) -> bool:
    """Whether the mean of what it gives is what it gives for the mean."""
    if type(layer) is nn.Conv2d:
        return _is_pointwise(layer) and layer.normalizer is None and layer.activation is None
    return isinstance(layer, (nn.Linear, nn.Flatten, nn.BatchNorm2d, *SILENT))


def _pool_before(links: list[Link], flat: int) -> int | None:
    """The pooling that the flattened image comes from, if there is one."""
    at = flat - 1
    while at >= 0 and _is_pointwise(links[at].layer):
        at -= 1
    if at < 0:
        return None
    link = links[at]
    layer: Any = link.layer
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return at
    if isinstance(layer, nn.AvgPool2d) and layer.padding in (0, (0, 0)):
        (h, w), (P, Q) = link.before[2:], link.behind[2:]
        k, s = (v if isinstance(v, tuple) else (v, v) for v in (layer.kernel_size, layer.stride))
        if k == s == (h // P, w // Q) and (h % P, w % Q) == (0, 0):
            return at if layer.divisor_override is None else None
    return None


def _bins(size: int, count: int) -> Any:
    """m[p, i]: what cell i of an axis counts in the mean of bin p; see F.adaptive_avg_pool2d."""
    m = np.zeros((count, size))
    for p in range(count):
        first, stop = p * size // count, -(-(p + 1) * size // count)
        m[p, first:stop] = 1 / (stop - first)
    return m


def _convolution(layer: nn.Linear, places: Pair, bins: list[Any] | None, spread: Pair) -> nn.Conv2d:
    """The linear layer as a convolution, with the bins of a pooling before it, if there are any."""
    if bins is None:
        conv = layer.to_conv1x1(places)
        conv.dilation = spread if places != (1, 1) else (1, 1)
        return conv
    O, (P, Q) = layer.out_features, places
    w = to_host(layer.weight.data).astype(np.float64).reshape(O, -1, P, Q)
    w = np.einsum("ocpq,pi,qj->ocij", w, *bins)  # O C h w
    bias = layer.bias is not None
    conv = nn.Conv2d(
        w.shape[1], O, (w.shape[2], w.shape[3]), bias=bias, dtype=layer.weight.dtype,
        weight_init=init.zeros, bias_init=init.zeros if bias else None,
    )  # fmt: skip
    state: dict[str, Any] = {"weight": w.astype(layer.weight.dtype)}
    if layer.bias is not None:
        state["bias"] = to_host(layer.bias.data)
    conv.load_state_dict(state)
    return conv.to(layer.weight.device)
