"""A plan gives what its network gives, whatever that is made of, in any number of threads."""

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.infer.plan import Plan, PlanError
from minifcn.infer.plan.lanes import Lanes, cut
from minifcn.infer.plan.passes import Other, Pool
from minifcn.infer.plan.products import Wide
from minifcn.models import build
from minifcn.shapes import ShapeError

MODELS = {
    "espnet": {"name": "espnet", "classes": 5, "p": 1, "q": 2},
    "unet": {"name": "unet", "classes": 3, "width": 3, "depth": 3, "norm": True},
    "unet, resized": {"name": "unet", "classes": 3, "width": 3, "depth": 2, "up": "resize"},
    "unet, valid": {"name": "unet", "classes": 3, "width": 3, "depth": 2, "padding": "valid"},
    "fcn": {"name": "fcn", "encoder": {"name": "small", "width": 4, "depth": 4}, "classes": 3},
    "squeezenet": {"name": "squeezenet1_1", "classes": 7},
}


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stirred(net, seed=0):
    """Norms and slopes that have something to do, some of them beyond what is usual."""
    rng = np.random.default_rng(seed)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for t, low, high in (
                (part.running_mean, -1, 1), (part.running_var, 0.5, 2),
                (part.weight, -1.5, 1.5), (part.bias, -1, 1),
            ):  # fmt: skip
                assert t is not None
                t.data[...] = rng.uniform(low, high, t.shape)
        if isinstance(part, nn.PReLU):
            part.weight.data[...] = rng.uniform(-0.5, 1.5, part.weight.shape)
    return net.eval()


def agree(net, size, seed=1):
    """The plan, after a photo that it has not seen."""
    plan = Plan(net, size)
    for one in (seed, seed + 1):
        x = numbers((1, *size), one)
        with mf.no_grad():
            wanted = net(mf.tensor(x)).numpy()
        got = plan(x)
        np.testing.assert_allclose(got, wanted, atol=3e-5 * np.abs(wanted).max(), rtol=0)
    return plan


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(41, 30), (32, 48)])
def test_the_models_come_out(name, size):
    net = stirred(build(MODELS[name], np.random.default_rng(0)))
    plan = agree(net, (3, *size))
    x = numbers((1, 3, *size), 5)
    alone = plan(x).copy()
    plan.lanes.seconds = [[1.0] * len(wave) for wave in plan.lanes.waves]  # all are worth it
    for count in (2, 3):
        with mf.num_threads(count):
            np.testing.assert_array_equal(plan(x), alone)  # to the bit


def test_nothing_of_espnet_is_left_to_the_network_s_own_kernels():
    net = stirred(build(MODELS["espnet"], np.random.default_rng(0)))
    assert not any(isinstance(step, Other) for step in Plan(net, (3, 24, 32)).steps)


@settings(max_examples=40)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    channels=st.sampled_from([(1, 3, 1), (2, 2, 2), (9, 2, 1), (4, 6, 2)]),
    bias=st.booleans(),
    follow=st.sampled_from(["", "norm", "norm relu", "norm prelu", "prelu", "relu"]),
)
def test_convolutions_of_any_kind(kernel, stride, dilation, padding, channels, bias, follow):
    C, O, groups = channels
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = [
        nn.Conv2d(C, O, kernel, stride, padding, dilation, groups, bias, generator=rng)
    ]
    layers += [nn.BatchNorm2d(O)] if "norm" in follow else []
    layers += [nn.ReLU()] if follow.endswith(" relu") or follow == "relu" else []
    layers += [nn.PReLU(O)] if "prelu" in follow else []
    agree(stirred(nn.Sequential(*layers)), (C, 14, 13))


def test_wide_convolutions_are_left_to_the_kernels_that_know_better():
    rng = np.random.default_rng(0)
    layers = [
        nn.Conv2d(64, 64, 3, padding=1, bias=False, generator=rng), nn.BatchNorm2d(64),
        nn.PReLU(64), nn.Conv2d(64, 64, 3, padding=((0, 2), (1, 0)), generator=rng), nn.ReLU(),
    ]  # fmt: skip
    plan = agree(stirred(nn.Sequential(*layers)), (64, 40, 36))
    assert [type(step) for step in plan.steps] == [Wide, Wide]


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), ((3, 2), (3, 2), 0), (4, 2, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolutions(kernel, stride, padding, bias):
    layer = nn.ConvTranspose2d(4, 3, kernel, stride, padding, bias=bias)
    agree(stirred(nn.Sequential(layer, nn.BatchNorm2d(3), nn.PReLU(3))), (4, 6, 5))


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, divisor_override=3),
        nn.AvgPool2d((2, 3), (3, 2)), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True),
    ],
)  # fmt: skip
def test_pooling(pool):
    agree(nn.Sequential(pool, nn.PReLU()).eval(), (3, 10, 11))


@pytest.mark.parametrize(
    "pool, there",
    [
        (nn.MaxPool2d(2), True), (nn.MaxPool2d((3, 2), 1), True), (nn.MaxPool2d(3, 2, 1), False),
        (nn.MaxPool2d(2, dilation=2), False),
    ],
)  # fmt: skip
def test_the_largest_is_found_in_place_where_no_zeros_are_needed(pool, there):
    plan = agree(nn.Sequential(pool).eval(), (70, 40, 31))
    assert isinstance(plan.steps[-1], Pool) == there


class Tangle(nn.Module):
    """What is read twice, what is joined twice, what is added to itself."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.a = nn.Conv2d(3, 4, 3, padding=1, generator=rng)
        self.b = nn.Conv2d(4, 4, 3, padding=2, dilation=2, generator=rng)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.PReLU(4)

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        n = self.norm(b)  # b is read again
        inner = F.cat([b, n], 1)
        twice = F.cat([a, a], 1)
        both = F.cat([inner, x, twice, b], 1)  # inner is read again
        s = self.act(a + n)
        return F.cat([both + both, s + s, self.act(s), inner], 1)


def test_values_that_are_read_again_are_still_there():
    agree(stirred(Tangle()), (3, 9, 8))


class Plain(nn.Module):
    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=False),
        lambda x: F.pad(x, (1, 2, 0, 1), mode="replicate")[:, :, 1:, :-1],
        lambda x: F.softmax(x * 2 - 1, 1),
        lambda x: F.sigmoid(F.leaky_relu(x)),
        lambda x: x + mf.tensor(numbers((1, 3, 1, 1))),
        lambda x: F.relu(x.detach()),
        lambda x: F.flatten(F.adaptive_avg_pool2d(x, 1), 1),
    ],
)
def test_other_operators_stay_what_they_are(function):
    agree(Plain(function).eval(), (3, 5, 6))


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda x: mf.tensor(numbers((1, 2, 5, 6))), "does not depend on the photo"),
        (lambda x: F.relu(x) + mf.tensor(x.numpy().mean()), "away from the network"),
        (lambda x: x * 2 if x.numpy()[0, 0, 0, 0] > 0 else x * 3, "away from the network"),
        (lambda x: F.sum(x), "gives float32 of shape ()"),
        (lambda x: F.cast(F.cast(x, np.float64) / 3, np.float32), "gives float64 of shape"),
    ],
)
def test_a_network_that_cannot_be_planned_is_refused(function, words):
    with pytest.raises(PlanError, match=words.replace("()", r"\(\)")):
        Plan(Plain(function).eval(), (2, 5, 6))


@pytest.mark.parametrize(
    "x", [np.zeros((1, 3, 8, 9), np.float32), np.zeros((2, 3, 8, 8), np.float32),
          np.zeros((1, 3, 8, 8))],
)  # fmt: skip
def test_another_size_is_refused(x):
    plan = Plan(nn.Conv2d(3, 2, 3).eval(), (3, 8, 8))
    with pytest.raises(ShapeError, match=r"Plan: x is float.* expected float32 \(1, 3, 8, 8\)"):
        plan(x)


def test_a_photo_needs_no_new_memory():
    plan = Plan(stirred(build(MODELS["espnet"])), (3, 96, 128))
    x = numbers((1, 3, 96, 128))
    plan(x)
    tracemalloc.start()
    try:
        plan(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000 < plan.result.nbytes * 2


def test_an_error_in_a_helper_is_raised_and_no_thread_stays():
    ran = []

    def fine(room):
        ran.append(threading.current_thread())

    def wrong(room):
        raise MemoryError("of a job")

    lanes = Lanes([[fine, wrong], [fine]])
    lanes.seconds = [[1.0, 1.0], [1.0]]
    with pytest.raises(MemoryError, match="of a job"):
        lanes.run(2)
    assert ran == [threading.main_thread()]  # the second wave never began
    assert not [t for t in threading.enumerate() if t not in (threading.main_thread(),) and
                t.name.startswith("plan")]  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12), st.integers(1, 4))
def test_a_wave_is_cut_into_shares_of_about_equal_time(seconds, count):
    jobs: list[Any] = list(range(len(seconds)))
    shares = cut(jobs, seconds, count)
    assert len(shares) == count and [job for share in shares for job in share] == jobs
    longest = max(sum(seconds[k] for k in share) for share in shares)
    if sum(seconds) >= 1e-4 and len(jobs) > 1:
        assert longest <= sum(seconds) / count + max(seconds) + 1e-9
