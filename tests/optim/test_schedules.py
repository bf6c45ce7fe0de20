"""Schedules are functions of the step; clipping and groups by name."""

import math
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn, optim
from minifcn.optim import Constant, Cosine, OneCycle, Poly, Step, Warmup, clip_grad_norm

TOTAL = 40


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (Constant(0.5), lambda t: 0.5),
        (Step(10, 0.1), lambda t: [1, 0.1, 0.01, 0.001, 0.0001][int(t // 10)]),
        (Poly(TOTAL, 0.9), lambda t: (1 - t / TOTAL) ** 0.9),
        (Cosine(TOTAL, 0.1), lambda t: 0.1 + 0.9 * math.cos(math.pi * t / TOTAL / 2) ** 2),
        (Warmup(5, Poly(35)), lambda t: (t + 1) / 6 if t < 5 else (1 - (t - 5) / 35) ** 0.9),
    ],
)
def test_formulas(schedule, formula):
    for step in range(TOTAL + 1):
        assert schedule(step) == pytest.approx(formula(step), abs=1e-12)


@pytest.mark.parametrize("schedule", [Poly(TOTAL), Cosine(TOTAL), Step(7)])
def test_falling_schedules_start_at_one_and_fall(schedule):
    rates = [schedule(step) for step in range(TOTAL + 1)]
    assert rates[0] == 1
    assert rates == sorted(rates, reverse=True)
    assert schedule(10 * TOTAL) <= rates[-1], "beyond the end it stays low"


def test_one_cycle_rises_falls_and_ends_low():
    cycle = OneCycle(TOTAL, warm=0.25, first=0.1, last=0.001)
    rates = [cycle(step) for step in range(TOTAL)]
    peak = rates.index(max(rates))
    assert (rates[0], rates[peak], rates[-1]) == pytest.approx((0.1, 1, 0.001))
    assert peak == 9  # as in PyTorch: warm total - 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_warmup_never_stands_still_and_meets_what_follows():
    warm = Warmup(4, Cosine(10))
    rates = [warm(step) for step in range(6)]
    assert rates[0] > 0
    assert rates[4] == 1
    assert Warmup(0, Poly(10))(3) == Poly(10)(3)
    assert Warmup(2)(100) == 1


@pytest.mark.parametrize("make", [Poly, Cosine, OneCycle, Step])
def test_schedules_of_no_steps_are_refused(make):
    with pytest.raises(ValueError, match=f"{make.__name__}: .* is 0, expected at least 1"):
        make(0)


def with_gradients(*gradients) -> list[Any]:
    parameters = []
    for g in gradients:
        p = nn.Parameter(np.zeros(np.shape(g)))
        p.grad = mf.tensor(np.asarray(g, np.float64))
        parameters.append(p)
    return parameters


def test_clipping_shortens_all_gradients_as_one_vector():
    parameters = with_gradients([3.0, 0.0], [[4.0]], [12.0])
    unused = nn.Parameter([1.0])
    assert clip_grad_norm([*parameters, unused], 6.5) == pytest.approx(13)
    clipped = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    assert clipped == pytest.approx(np.array([1.5, 0, 2, 6]), rel=1e-6)
    assert unused.grad is None


def test_short_gradients_are_not_touched():
    (p,) = with_gradients([0.3, 0.4])
    before = p.grad
    assert clip_grad_norm(p, 0.51) == pytest.approx(0.5)
    assert clip_grad_norm(iter([p]), 1) == pytest.approx(0.5)
    assert p.grad is before
    assert clip_grad_norm(with_gradients([0.0]), 1) == 0


def test_a_gradient_shared_by_two_parameters_is_clipped_once():
    a, b = with_gradients([0.0], [0.0])
    a.grad = b.grad = mf.tensor(np.ones(1))
    clip_grad_norm([a, b], 0.5)
    assert a.grad.item() == b.grad.item() == pytest.approx(0.5 / math.sqrt(2))


def test_a_norm_that_is_not_finite_shows():
    parameters = with_gradients([1.0], [float("nan")])
    assert math.isnan(clip_grad_norm(parameters, 1))
    assert all(math.isnan(p.grad.item()) for p in parameters)
    with pytest.raises(ValueError, match="max_norm is -1"):
        clip_grad_norm(parameters, -1)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))


def test_groups_by_name_follow_the_first_pattern():
    model = net()
    made = optim.groups(model, {"2.*": {"lr": 0.5}, "*.bias": {"lr_mult": 2, "weight_decay": 0}})
    names = {id(p): name for name, p in model.named_parameters()}
    found = [[names[id(p)] for p in group["params"]] for group in made]
    assert found == [["2.weight", "2.bias"], ["0.bias", "1.bias"], ["0.weight", "1.weight"]]
    sgd = optim.SGD(made, lr=0.1, weight_decay=5e-4)
    told = [(g["lr"], g["lr_mult"], g["weight_decay"]) for g in sgd.param_groups]
    assert told == [(0.5, 1, 5e-4), (0.1, 2, 0), (0.1, 1, 5e-4)]


def test_a_pattern_that_matches_nothing_is_a_mistake():
    with pytest.raises(ValueError) as error:
        optim.groups(net(), {"*.bais": {"lr_mult": 2}})
    assert "'*.bais'" in str(error.value)
    assert "2.bias" in str(error.value)
    assert len(optim.groups(net(), {"*": {}})) == 1
