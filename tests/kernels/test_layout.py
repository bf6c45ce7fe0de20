"""One training step of an FCN: every image lies by pixels, and no memory is fresh twice."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn import optim
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


def test_in_steady_state_no_large_memory_is_fresh() -> None:
    step = stepper()
    for _ in range(3):
        step()
    before = mf.memory_counts()
    tracemalloc.start()
    try:
        step()
        tracemalloc.reset_peak()
        low = tracemalloc.get_traced_memory()[0]
        step()
        peak = tracemalloc.get_traced_memory()[1] - low
    finally:
        tracemalloc.stop()
    after = mf.memory_counts()
    assert after["fresh"] == before["fresh"]
    assert after["reused"] > before["reused"]
    # The largest image of the net is 4 x 16 x 60 x 70 floats; not one of that size came from NumPy.
    assert peak < 4 * 16 * 60 * 70 * 4


def test_the_memory_of_a_step_comes_back() -> None:
    step = stepper()
    step()
    gc.collect()
    live = mf.memory_counts()["live"]
    for _ in range(3):
        step()
    # What stays on loan are the gradients, in pieces a little larger than they need.
    assert mf.memory_counts()["live"] <= memory.LOOSE * live
