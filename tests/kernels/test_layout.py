"""One training step of an FCN: every image lies by pixels, and no memory is fresh twice."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn import nn, optim
from minifcn.kernels.numpy_kernels import memory
from minifcn.models import FCN, SmallEncoder
from minifcn.modes import mode

NO_IMAGES = {  # what has four axes all the same
    "conv2d_weight": "a weight, O C KH KW",
    "get_slice": "a view of an image",
}


def stepper(H: int = 60, W: int = 70, dtype: Any = np.float32) -> Callable[[], float]:
    rng = np.random.default_rng(0)
    net = FCN(SmallEncoder(width=16, depth=3, generator=rng), classes=5, generator=rng)
    x = mf.tensor(rng.standard_normal((4, 3, H, W)).astype(dtype))
    target = rng.integers(0, 5, (4, H, W))
    net.astype(dtype).train()
    sgd = optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        sgd.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward(retain_graph=False)
        sgd.step()
        return loss.item()

    return step


@pytest.fixture
def made() -> Any:
    """(name of the operator, array) for every image that an operator made while it is listed."""
    seen: list[tuple[str, Any]] = []

    def trace(op: Any, inputs: Any, y: Any) -> None:
        if y.ndim == 4 and y.nbytes >= memory.SMALL and 0 not in y.strides:
            seen.append((op.name, y))

    mode.trace = trace
    yield seen
    mode.trace = None


def test_every_image_of_a_step_lies_by_pixels(made: Any) -> None:
    step = stepper()
    step()
    assert len(made) > 50
    foreign = {name for name, y in made if not memory.lies_by_pixels(y) and name not in NO_IMAGES}
    assert foreign == set()


def test_after_the_first_layer_no_image_is_converted() -> None:
    step = stepper()
    step()
    before = mf.memory_counts()["converted"]
    step()
    # The photo arrives N C H W: the first layer reads it as it is, forward and for its weight.
    assert mf.memory_counts()["converted"] - before <= 2


class Net(nn.Module):
    """A small FCN, with something of every kernel."""

    def __init__(self) -> None:
        self.stages, self.scores = nn.ModuleList(), nn.ModuleList()
        for before, channels in ((3, 16), (16, 32)):
            self.stages.append(nn.Sequential(
                nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
                nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            ))  # fmt: skip
            self.scores.append(nn.Conv2d(channels, 8, 1))
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)

    def forward(self, x: Any) -> Any:
        fine = self.stages[0](x)
        coarse = self.stages[1](fine)
        y = self.scores[0](fine) + self.up(self.scores[1](coarse))
        y = F.cat([y, y * 0.5], 1)[:, 4:12]
        y = F.interpolate(y, scale_factor=2, mode="bilinear")
        return F.pad(y, (1, 1, 1, 1))[:, :, 1:-1, 1:-1]


def test_in_steady_state_no_large_memory_is_fresh() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 96, 128)).astype(np.float32)
    target = rng.integers(0, 8, (2, 96, 128))
    target[:, :4] = 255
    net = Net()
    sgd = mf.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        sgd.zero_grad()
        F.cross_entropy(net(mf.tensor(x)), mf.tensor(target), ignore_index=255).backward()
        sgd.step()

    for _ in range(3):
        step()
    before = mf.memory_counts()
    for _ in range(3):
        step()
    after = mf.memory_counts()
    assert after["fresh"] == before["fresh"]
    assert after["reused"] > before["reused"], "the step does use the memory that is counted"
    assert after["converted"] == before["converted"], "no image changes its layout on the way"
    tracemalloc.start()  # it sees NumPy's own arrays, and those of the pool when they are fresh
    try:
        image = mf.tensor(x)
        tracemalloc.reset_peak()
        held = tracemalloc.get_traced_memory()[0]
        sgd.zero_grad()
        F.cross_entropy(net(image), mf.tensor(target), ignore_index=255).backward()
        sgd.step()
        peak = tracemalloc.get_traced_memory()[1] - held
    finally:
        tracemalloc.stop()
    labels, activation = target.nbytes, 2 * 16 * 96 * 128 * 4
    # Arrays below LARGE bytes are NumPy's own; none of half an image is.
    assert peak <= labels + activation // 2, "a temporary as large as an image"


def test_the_memory_of_a_step_comes_back() -> None:
    step = stepper()
    step()
    gc.collect()
    live = mf.memory_counts()["live"]
    for _ in range(3):
        step()
    # What stays on loan are the gradients, in pieces a little larger than they need.
    assert mf.memory_counts()["live"] <= memory.LOOSE * live
