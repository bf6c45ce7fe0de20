"""others: the training step with autograd and with tinygrad on the CPU, hand-written for each.

Both are slow here, so they run on a smaller batch, with minifcn at the same size beside them. Their
losses of the first two steps must be minifcn's. autograd has no fast convolution (its `convolve`
makes all columns): here a convolution is a sum over its taps, one matrix product each. tinygrad
compiles the whole step (TinyJit) with clang, which must be installed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from . import nets
from .jobs import LR, MOMENTUM, Job
from .library import Arrays
from .machine import missing
from .side import Running, Side, running
from .turns import Times, one_turn

SIZE, COUNT = (2, 96, 128), 3
LIMIT = 100.0  # seconds that a side may take in all
LOSS = 1e-4


def parameters(widths: tuple[int, ...], classes: int) -> Arrays:
    """The first weights of nets.fcn, by the same names."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for s, C in enumerate(widths):
        for layer, inputs in ((0, before), (3, C)):
            shapes[f"stages.{s}.{layer}.weight"] = (C, inputs, 3, 3)
            shapes[f"stages.{s}.{layer + 1}.weight"] = (C,)
            shapes[f"stages.{s}.{layer + 1}.bias"] = (C,)
        shapes[f"scores.{s}.weight"] = (classes, C, 1, 1)
        shapes[f"scores.{s}.bias"] = (classes,)
        shapes[f"ups.{s}.weight"] = (classes, classes, 4, 4)
        before = C
    return nets.weights(shapes)


class AutogradTraining(Job):
    """The step in HIPS autograd."""

    def __init__(self, name: str, threads: int = 1, size: tuple[int, int, int] = SIZE) -> None:
        from autograd import value_and_grad

        self.images, self.labels = nets.batch(*size)
        self.values = parameters(nets.WIDTHS, nets.CLASSES)
        self.velocity = {name: np.zeros_like(value) for name, value in self.values.items()}
        self.gradient: Callable[..., Any] = value_and_grad(_autograd_loss)

    def once(self) -> float:
        loss, gradients = self.gradient(self.values, self.images, self.labels)
        for name, value in self.values.items():
            v = self.velocity[name] = MOMENTUM * self.velocity[name] + gradients[name]
            self.values[name] = value - LR * v
        return float(loss)


def _autograd_loss(p: Any, x: Any, labels: Any) -> Any:
    """Cross-entropy of the net's scores, every operator from autograd.numpy."""
    import autograd.numpy as anp

    def taps(x: Any, w: Any, pairs: Any, H: int, W: int) -> Any:
        """The sum over ((i, j), (u, v)): x shifted by (i, j), times w at (u, v)."""
        pixels = sum(
            anp.tensordot(x[:, :, i : i + H, j : j + W], w[:, :, u, v], ([1], [1]))
            for (i, j), (u, v) in pairs
        )  # N H W O
        return anp.transpose(pixels, (0, 3, 1, 2))

    def conv(x: Any, w: Any, pad: int) -> Any:
        H, W = x.shape[2:]
        x = anp.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant")
        places = list(np.ndindex(w.shape[2:]))
        return taps(x, w, zip(places, places, strict=True), H, W)

    def norm(x: Any, weight: Any, bias: Any) -> Any:
        mean = anp.mean(x, axis=(0, 2, 3), keepdims=True)
        var = anp.mean((x - mean) ** 2, axis=(0, 2, 3), keepdims=True)
        shape = (1, -1, 1, 1)
        return (x - mean) / anp.sqrt(var + 1e-5) * weight.reshape(shape) + bias.reshape(shape)

    def up(x: Any, w: Any) -> Any:
        """Kernel 4, stride 2: every phase of the result is a sum over four taps."""
        N, _, H, W = x.shape
        w = anp.transpose(w, (1, 0, 2, 3))  # O C KH KW
        x = anp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "constant")
        rows = {0: ((0, 3), (1, 1)), 1: ((1, 2), (2, 0))}  # phase -> (row of padded x, row of w)
        halves = []
        for a in (0, 1):
            phases = [
                taps(x, w, [((i, j), (u, v)) for i, u in rows[a] for j, v in rows[b]], H, W)
                for b in (0, 1)
            ]
            halves.append(anp.stack(phases, axis=-1).reshape(N, len(w), H, 2 * W))
        return anp.stack(halves, axis=3).reshape(N, len(w), 2 * H, 2 * W)

    scores = []
    stages = len(nets.WIDTHS)
    for s in range(stages):
        for layer in (0, 3):
            x = conv(x, p[f"stages.{s}.{layer}.weight"], 1)
            name = f"stages.{s}.{layer + 1}"
            x = anp.maximum(norm(x, p[name + ".weight"], p[name + ".bias"]), 0)
        N, C, H, W = x.shape
        x = anp.max(x.reshape(N, C, H // 2, 2, W // 2, 2), axis=(3, 5))
        score = conv(x, p[f"scores.{s}.weight"], 0)
        scores.append(score + p[f"scores.{s}.bias"].reshape((1, -1, 1, 1)))
    y = up(scores[-1], p[f"ups.{stages - 1}.weight"])
    for s in range(stages - 2, -1, -1):
        y = up(y + scores[s], p[f"ups.{s}.weight"])
    y = y - anp.max(y, axis=1, keepdims=True)
    n, h, w = np.indices(labels.shape)
    return anp.mean(anp.log(anp.sum(anp.exp(y), axis=1)) - y[n, labels, h, w])


class TinygradTraining(Job):
    """The step in tinygrad, compiled by its TinyJit; `once` compiles in its first calls."""

    def __init__(self, name: str, threads: int = 1, size: tuple[int, int, int] = SIZE) -> None:
        from tinygrad import Tensor, TinyJit, nn

        self.images, self.labels = nets.batch(*size)
        self.labels = self.labels.astype(np.int32)
        self.net = _tiny_net(nn)
        state = nn.state.get_state_dict(self.net)
        for name, value in parameters(nets.WIDTHS, nets.CLASSES).items():
            state[name].assign(Tensor(value)).realize()
        params = nn.state.get_parameters(self.net)
        self.optimizer = nn.optim.SGD(params, lr=LR, momentum=MOMENTUM)
        self.jitted = TinyJit(self._step)

    def _step(self, x: Any, target: Any) -> Any:
        self.optimizer.zero_grad()
        y = _tiny_scores(self.net, x)
        loss = y.permute(0, 2, 3, 1).sparse_categorical_crossentropy(target)
        loss.backward()
        return loss.realize(*self.optimizer.schedule_step())  # before the weights change

    def once(self) -> float:
        from tinygrad import Context, Tensor

        with Context(TRAINING=1):
            x, target = Tensor(self.images).realize(), Tensor(self.labels).realize()
            return float(self.jitted(x, target).item())


def _tiny_net(nn: Any) -> Any:
    """Layers under the names of nets.fcn."""

    class Net:
        def __init__(self) -> None:
            classes, before = nets.CLASSES, 3
            self.stages: list[list[Any]] = []
            self.scores, self.ups = [], []
            for C in nets.WIDTHS:
                layers: list[Any] = []
                for inputs in (before, C):
                    conv = nn.Conv2d(inputs, C, 3, padding=1, bias=False)
                    layers += [conv, nn.BatchNorm(C), None]
                self.stages.append(layers)
                self.scores.append(nn.Conv2d(C, classes, 1))
                up = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
                self.ups.append(up)
                before = C

    return Net()


def _tiny_scores(net: Any, x: Any) -> Any:
    scores = []
    for layers, score in zip(net.stages, net.scores, strict=True):
        for layer in layers:
            x = x.relu() if layer is None else layer(x)
        x = x.max_pool2d((2, 2))
        scores.append(score(x))
    y = net.ups[-1](scores[-1])
    for score, up in zip(scores[-2::-1], net.ups[-2::-1], strict=True):
        y = up(y + score)
    return y


JOBS: dict[str, type[Job]] = {"autograd": AutogradTraining, "tinygrad": TinygradTraining}


def other_rows(size: tuple[int, int, int] = SIZE) -> dict[str, dict[str, Any]]:
    """For each library: its times beside minifcn's at the same size, or why there are none."""
    found: dict[str, dict[str, Any]] = {}
    with running([Side("minifcn")], "training", size=size) as (ours,):
        losses = [ours.ask("once") for _ in range(2)]
        reference = _timed(ours)
    for name in ("autograd", "tinygrad"):
        if missing(name):
            found[name] = {"why not": f"{name} is not installed"}
            continue
        try:
            took = _measured(name, size, losses)
        except (RuntimeError, OSError) as error:  # it cannot, or it was ended
            found[name] = {"why not": str(error).strip().splitlines()[-1]}
            continue
        found[name] = {
            "size N H W": size,
            **took.summary(),
            "minifcn": reference.summary(),
            "minifcn / it": reference.median / took.median,
        }
    return found


def _measured(name: str, size: tuple[int, int, int], losses: list[float]) -> Times:
    """One library's times; it is ended when it takes too long."""
    side = Side(name, name, processes=1)
    child = Running(side, name, size=size)
    watch = threading.Timer(LIMIT, child.kill)
    watch.start()
    try:
        for want in losses:
            got = child.ask("once")
            if not abs(got - want) <= LOSS * abs(want):
                raise RuntimeError(f"loss {got}, minifcn's is {want}: not the same computation")
        return _timed(child)
    finally:
        watch.cancel()
        child.close()


def _timed(child: Running) -> Times:
    return Times([one_turn(child, [child.pid], COUNT, warm=1)])
