"""Memory: derived from lifetimes on shapes, held against what real runs are seen to take."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.kernels.numpy_kernels.memory import memory_counts, reset_peak
from minifcn.models import FCN, SmallEncoder, build
from minifcn.study import measured, memory


def peak_of(run: Callable[[], Any]) -> int:
    """Bytes at the peak of a second run: the kernels' large arrays, and all others of NumPy."""
    run()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        live = reset_peak()
        run()
        _, peak = tracemalloc.get_traced_memory()
        return peak - before + memory_counts()["peak"] - live
    finally:
        tracemalloc.stop()


def net_and_shape(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    rng = np.random.default_rng(0)
    if name == "fcn":
        encoder = SmallEncoder(depth=4, generator=rng)
        return FCN(encoder, 2, generator=rng), (2, 3, 120, 160)
    if name == "resnet":
        return build({"name": "resnet18", "width": 16}, rng), (1, 3, 192, 192)
    return build({"name": "unet", "classes": 2, "width": 8}, rng), (1, 3, 128, 128)


@pytest.mark.parametrize("name", ["fcn", "resnet", "unet"])
def test_what_is_derived_is_most_of_what_is_measured(name):
    """The rest is scratch memory of the kernels, borders of images, and small things."""
    net, shape = net_and_shape(name)
    x = np.zeros(shape, np.float32)

    def forward() -> None:
        with mf.no_grad():
            net.eval()(mf.tensor(x))

    def step() -> None:
        y = net.train()(mf.tensor(x))
        y.backward(mf.tensor(np.ones(y.shape, np.float32)), retain_graph=False)
        net.zero_grad()

    found = memory(net, shape)
    assert 0.5 * peak_of(forward) < found.forward < peak_of(forward)
    assert 0.5 * peak_of(step) < found.step < 1.05 * peak_of(step)


def test_a_chain_holds_two_images_at_a_time():
    """10 layers one after another: at the peak one layer's input and its output are alive."""
    net = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(10)))
    one = 4 * 8 * 20 * 30
    assert memory(net, (8, 20, 30)).forward == 3 * one  # the caller holds the image itself


def test_a_training_step_holds_every_image():
    net = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(10)))
    found, one = memory(net, (8, 20, 30)), 4 * 8 * 20 * 30
    gradients = found.weights
    assert 11 * one <= found.step <= 12 * one + gradients
    assert found.training == found.step + 2 * found.weights


def test_a_crop_keeps_what_it_was_cropped_from():
    class Crop(nn.Module):
        def forward(self, x: Any) -> Any:
            y = mf.relu(x)[:, :, :1, :1]
            return mf.relu(y), y

    assert memory(Crop(), (1, 50, 50)).forward == 2 * 4 * 50 * 50 + 4


def test_nothing_is_computed_or_changed():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    before, streams = net.state_dict(), net.random_state()
    memory(net, (3, 9, 9))
    assert all((before[k].numpy() == t.numpy()).all() for k, t in net.state_dict().items())
    assert streams == net.random_state() and net.training
    assert all(p.grad is None for p in net.parameters())


def test_measured_is_what_a_run_takes(device):
    net = FCN(SmallEncoder(width=4, depth=2), 2).to(device)
    net.encoder.eval()
    modes = [m.training for m in net.modules()]
    seconds, peak = measured(net, (3, 60, 70))
    found = memory(net, (3, 60, 70))
    assert seconds > 0 and found.inference <= peak < 4 * found.inference + 200_000
    assert modes == [m.training for m in net.modules()]
