"""memory: how many bytes a network needs, derived from the lifetimes of its arrays.

The network runs on shapes (sketch.py), and every array that it would make is counted from when it
is made until Python lets it go, which is when a real run would free it:

    inference   weights + max over time of (image + arrays alive)
    training    weights + momentum + max over time of (image + kept arrays + gradients)

Not counted: the kernels' own scratch memory, which mf.limit_workspace bounds, borders around images
in memory, and Python itself; `measured` counts all that, by a real run. Training is one step of SGD
with momentum on one batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..device import to_device
from ..graph import reachable, walk
from ..infer.memory import peak_of
from ..models.walk import image_shape, listed
from ..modes import enable_grad, no_grad
from ..sketch import Meter, emptied, sketching, stand_in


@dataclass(frozen=True)
class Memory:
    """Bytes: of the weights; of arrays at the peak of a forward; of arrays at that of a step."""

    weights: int
    forward: int
    step: int

    @property
    def inference(self) -> int:
        """All that inference needs."""
        return self.weights + self.forward

    @property
    def training(self) -> int:
        """All that a step needs: weights, as much momentum, and what lies in memory meanwhile."""
        return 2 * self.weights + self.step


def memory(model: nn.Module, image: Sequence[int]) -> Memory:
    """What a model needs for an image of C H W, or a batch N C H W; derived, not measured.

    >>> found = memory(nn.Conv2d(3, 8, 3, padding=1), (3, 100, 100))
    >>> found.weights == 4 * (8 * 3 * 9 + 8), found.forward == 4 * (3 + 8) * 100 * 100
    (True, True)
    """
    shape = image_shape("memory", image)
    weights = sum(p.data.nbytes for p in model.parameters())
    return Memory(weights, _forward(model, shape), _step(model, shape))


def measured(model: nn.Module, image: Sequence[int]) -> tuple[float, int]:
    """(seconds, bytes) of inference on an image of zeros: a real second run, where the model lives.

    Bytes are those of the weights and of all that the run takes at its peak.
    """
    shape = image_shape("measured", image)
    first = next(iter(model.parameters()), None)
    device = "cpu" if first is None else first.device
    x = Tensor(to_device(np.zeros(shape, np.float32 if first is None else first.dtype), device))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            model(x)
            start = time.perf_counter()
            for y in listed(model(x)):
                y.numpy()  # on a GPU this waits for the end
            seconds = time.perf_counter() - start
            peak = peak_of(lambda: model(x), device)
    finally:
        for module, was in modes:
            module.training = was
    weights = sum(p.data.nbytes for p in model.parameters())
    return seconds, weights + x.data.nbytes + round(peak)


def _image(model: nn.Module, shape: Sequence[int], meter: Meter) -> Tensor:
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    x = Tensor(stand_in(tuple(shape), dtype))
    meter.made(x.data)
    return x


def _forward(model: nn.Module, shape: Sequence[int]) -> int:
    meter = Meter()
    with emptied(model), sketching(meter=meter), no_grad():
        model(_image(model, shape, meter))
    return meter.peak


def _step(model: nn.Module, shape: Sequence[int]) -> int:
    """The peak of a forward and a backward pass, with the gradients of all parameters."""
    meter = Meter()
    with emptied(model, training=True), sketching(meter=meter), enable_grad():
        results: Any = model(_image(model, shape, meter))
        ends = [y._node for y in listed(results) if y._node is not None]
        seeds = [(node, Tensor(stand_in(node.shape, node.dtype))) for node in ends]
        del results
        for _, seed in seeds:
            meter.made(seed.data)
        graph = reachable(ends)
        ends.clear()
        leaves = {node for node in graph if node.op is None}
        gradients = walk(graph, seeds, leaves, False, release=True)
        del gradients
    return meter.peak
