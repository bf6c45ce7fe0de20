"""chain: the layers of a network in the order in which an image meets them, found by running it.

The network runs on shapes alone. What its forward calls in turn becomes a list of links: layers
(looking into Sequentials), blocks (parts with a forward of their own, as wholes), and operators
between them (`F.relu(x)`, `x.flatten(1)`, `x.mean((2, 3))`), each as the layer that does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .. import nn
from ..core import Op, Tensor
from ..modes import no_grad
from ..shapes import Pair, Shape
from ..sketch import emptied, sketching, stand_in
from ..window import Window, span


class ChainError(ValueError):
    """A network that is no chain of layers; says where."""


@dataclass(frozen=True)
class Link:
    """One layer: its name in the network, itself, and the shapes before and behind it.

    `written`: it was an operator in a forward, and `name` is one that it has got here.
    """

    name: str
    layer: nn.Module
    before: Shape
    behind: Shape
    written: bool = False


@dataclass(frozen=True)
class _Event:
    """A call in the outermost forward: what was called, on which arrays, giving which."""

    name: str
    called: Any
    inputs: tuple[Any, ...]
    result: Any


def chain_of(model: nn.Module, image: Shape) -> list[Link]:
    """The links from an image N C H W to the result.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> [(link.name, link.behind) for link in chain_of(net, (1, 3, 4, 4))]
    [('0', (1, 4, 2, 2)), ('1', (1, 4, 2, 2)), ('2', (1, 16)), ('3', (1, 2))]
    """
    opened: set[str] = set()
    while True:
        links = _links(_events(model, image, opened), image)
        inside = {link.name for link in links if _hides_the_head(link)}
        if not inside:
            return links
        opened |= inside


def _hides_the_head(link: Link) -> bool:
    """A block in which an image becomes a list of numbers, or numbers others."""
    return len(link.behind) == 2 and any(True for _ in link.layer.children())


def _events(model: nn.Module, image: Shape, opened: set[str]) -> list[_Event]:
    events: list[_Event] = []
    depth = [0]

    def hear(op: Op, inputs: Sequence[Tensor], y: Any) -> None:
        if not depth[0]:
            arrays = tuple(t.data for t in inputs)
            events.append(_Event("", op, arrays, y.data if isinstance(y, Tensor) else y))

    def heard(name: str, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*inputs: Any, **options: Any) -> Any:
            depth[0] += 1
            try:
                y = forward(*inputs, **options)
            finally:
                depth[0] -= 1
            if not depth[0]:
                arrays = tuple(t.data for t in inputs if isinstance(t, Tensor))
                if not isinstance(y, Tensor):
                    raise ChainError(f"{name} gives a {type(y).__name__}, expected one tensor")
                events.append(_Event(name, module, arrays, y.data))
            return y

        return call

    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    x = Tensor(stand_in(image, dtype))
    events.append(_Event("", None, (), x.data))
    with emptied(model), _listening(model, opened, heard), sketching(hear), no_grad():
        y = model(x)
    if not isinstance(y, Tensor):
        raise ChainError(f"the network gives a {type(y).__name__}, expected one tensor")
    events.append(_Event("the result", None, (y.data,), y.data))
    return events


@contextmanager
def _listening(model: nn.Module, opened: set[str], heard: Callable[..., Any]) -> Iterator[None]:
    """Within it every layer and block tells when it is called; none are joined (nn/fuse.py)."""
    held: list[tuple[nn.Module, Any]] = []
    try:
        for name, module in model.named_modules():
            own = vars(module).get("forward")
            through = type(module) is nn.Sequential and own is None
            if name and name not in opened and not through:
                held.append((module, own))
                vars(module)["forward"] = heard(name, module, module.forward)
        yield
    finally:
        for module, own in held:
            del vars(module)["forward"]
            if own is not None:
                vars(module)["forward"] = own


def _links(events: list[_Event], image: Shape) -> list[Link]:
    """The events as a chain, or an error that says where it forks."""
    first, *events, last = events
    current, derived = first.result, {id(first.result)}
    links: list[Link] = []
    names: set[str] = {event.name for event in events}
    summed: list[Pair] = []  # sums over places that a division has to follow
    for event in events:
        known = [array for array in event.inputs if id(array) in derived]
        if not known:
            continue  # a computation on weights
        what = event.name or f"the operator {event.called.name}"
        after = links[-1].name if links else "the image"
        if len(known) > 1 or known[0] is not current:
            raise ChainError(
                f"{what} takes another tensor than the result of {after}: the network forks there; "
                f"put what forks into a module of its own"
            )
        before, behind = tuple(current.shape), tuple(event.result.shape)
        if event.name:
            links.append(Link(event.name, event.called, before, behind))
        else:
            layer = _layer_for(event.called, before, behind, summed)
            if layer is None:
                raise ChainError(
                    f"{what} after {after} has no layer that does the same for images of any size; "
                    f"put it into a module of its own"
                )
            name = f"{after.replace('.', '_').replace(' ', '_')}_{event.called.name}"
            while name in names:
                name += "_"
            names.add(name)
            links.append(Link(name, layer, before, behind, written=True))
        current = event.result
        derived.add(id(current))
    if last.result is not current or summed:
        raise ChainError("the result is not what the last layer gives")
    return links


def _layer_for(op: Any, before: Shape, behind: Shape, summed: list[Pair]) -> nn.Module | None:
    """The layer that does what an operator does, or none."""
    if op.name == "sum_to" and len(before) == 4 and behind == (*before[:2], 1, 1):
        summed.append((before[2], before[3]))
        return nn.AdaptiveAvgPool2d(1)
    if op.name == "scale" and summed:
        H, W = summed.pop()
        return nn.Identity() if np.isclose(op.factor * H * W, 1) else None
    if op.name == "reshape":
        if len(before) == 4 and behind == (before[0], prod(before[1:])):
            return nn.Flatten()
        return nn.Identity() if before == (*behind, 1, 1) or behind == (*before, 1, 1) else None
    if op.name in ("max_pool2d", "avg_pool2d"):
        return _pool(op)
    plain: dict[str, Callable[[], nn.Module]] = {
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "leaky_relu": lambda: nn.LeakyReLU(op.negative_slope),
        "softmax": lambda: nn.Softmax(op.axis),
        "log_softmax": lambda: nn.LogSoftmax(op.axis),
        "adaptive_avg_pool2d": lambda: nn.AdaptiveAvgPool2d(op.out),
    }
    return plain[op.name]() if op.name in plain else None


def _pool(op: Any) -> nn.Module | None:
    """A pooling layer whose windows are those of the operator, rounding as it did here."""
    window: Window = op.window
    rounded = set()
    for a in (0, 1):
        room = window.image[a] + 2 * window.pad[a] - span(window.kernel[a], window.dilation[a])
        down, stride = room // window.stride[a] + 1, window.stride[a]
        if room % stride:
            rounded.add(window.out[a] > down)
        if window.out[a] not in (down, down + bool(room % stride)):
            return None
    up = rounded == {True}
    if len(rounded) > 1:
        return None
    kernel, strides, pad = window.kernel, window.stride, window.pad
    if op.name == "max_pool2d":
        return nn.MaxPool2d(kernel, strides, pad, window.dilation, ceil_mode=up)
    if window.pad != (0, 0) or op.divisor is not None:
        return None
    return nn.AvgPool2d(kernel, strides, ceil_mode=up)
