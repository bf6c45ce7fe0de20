"""The loss scale: it cancels out, it follows overflows, and nothing of it waits for the device."""

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn, optim

SCALER: dict[str, Any] = {
    "init_scale": 1024.0,
    "growth_factor": 4.0,
    "backoff_factor": 0.25,
    "growth_interval": 3,
}


def problem(device: str, count: int = 3) -> tuple[list[nn.Parameter], optim.SGD]:
    rng = np.random.default_rng(0)
    params = [nn.Parameter(rng.standard_normal((n, 2)).astype("f4")) for n in range(1, count + 1)]
    for p in params:
        p.replace(p.to(device).data)
    return params, optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=1e-2)


def loss_of(params: list[nn.Parameter], weight: float = 1.0) -> mf.Tensor:
    return reduce(add, [(p * p * p).sum() for p in params]) * weight


def overflow(params: list[nn.Parameter]) -> None:
    """Gradients of which a single element is infinite."""
    loss_of(params).backward()
    gradient = params[1].grad
    assert gradient is not None
    gradient[0, 1] = np.inf


def values(params: list[nn.Parameter]) -> list[Any]:
    return [p.numpy().copy() for p in params]


def test_a_power_of_two_cancels_to_the_bit(device: str) -> None:
    plain, sgd = problem(device)
    scaled, scaled_sgd = problem(device)
    scaler = optim.GradScaler(init_scale=2.0**10)
    for _ in range(4):
        sgd.zero_grad()
        loss_of(plain).backward()
        sgd.step()
        scaled_sgd.zero_grad()
        loss = loss_of(scaled)
        assert scaler.scale(loss).item() == 1024 * loss.item()
        scaler.scale(loss).backward()
        scaler.step(scaled_sgd)
        scaler.update()
        for p, q in zip(plain, scaled, strict=True):
            assert q.grad is not None and p.grad is not None
            assert np.array_equal(q.grad.numpy(), 1024 * p.grad.numpy())
            assert np.array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_an_overflow_leaves_everything_as_it_was_and_backs_the_scale_off(
    bad: float, device: str
) -> None:
    params, sgd = problem(device)
    scaler = optim.GradScaler(**SCALER)
    scaler.scale(loss_of(params)).backward()
    scaler.step(sgd)
    scaler.update()
    before, momentum = values(params), [v.copy() for v in sgd.state_dict()[0].values()]
    sgd.zero_grad()
    loss_of(params).backward()
    gradient = params[2].grad
    assert gradient is not None
    gradient[2, 0] = bad
    scaler.step(sgd)
    scaler.update()
    assert all(np.array_equal(a, b) for a, b in zip(values(params), before, strict=True))
    after = sgd.state_dict()[0].values()
    assert all(np.array_equal(a, b) for a, b in zip(after, momentum, strict=True))
    assert scaler.get_scale() == 1024 * 0.25


def test_the_scale_grows_after_enough_good_steps_in_a_row(device: str) -> None:
    params, sgd = problem(device)
    scaler, scales = optim.GradScaler(**SCALER), []
    for step in range(9):
        sgd.zero_grad()
        if step == 1:
            overflow(params)
        else:
            scaler.scale(loss_of(params, 1e-3)).backward()
        scaler.step(sgd)
        scaler.update()
        scales.append(scaler.get_scale() / 1024)
    # a good step, an overflow, then three in a row let it grow: steps 2-4 and 5-7
    assert scales == [1, 0.25, 0.25, 0.25, 1, 1, 1, 4, 4]


def test_a_scale_never_grows_to_infinity(device: str) -> None:
    params, sgd = problem(device)
    scaler = optim.GradScaler(init_scale=3e38, growth_interval=1)
    for _ in range(2):
        sgd.zero_grad()
        loss_of(params).backward()
        scaler.scale(mf.tensor(0.0, device=device))
        scaler.step(sgd)
        scaler.update()
    assert scaler.get_scale() == np.float32(3e38)


def test_one_overflow_of_two_optimizers_counts(device: str) -> None:
    params, _ = problem(device)
    first, second = optim.SGD(params[:1], lr=0.1), optim.SGD(params[1:], lr=0.1)
    for order in ((first, second), (second, first)):
        scaler, before = optim.GradScaler(**SCALER), values(params)
        for sgd in order:
            sgd.zero_grad()
        overflow(params)
        for sgd in order:
            scaler.scale(mf.tensor(0.0, device=device))
            scaler.step(sgd)
        scaler.update()
        assert scaler.get_scale() == 256
        assert not np.array_equal(values(params)[0], before[0]), "its own gradients were sound"
        assert np.array_equal(values(params)[1], before[1])


def test_a_step_left_out_for_another_reason_says_nothing_about_the_scale(device: str) -> None:
    params, sgd = problem(device)
    scaler, before = optim.GradScaler(**SCALER), values(params)
    scaler.scale(mf.tensor(0.0, device=device))
    overflow(params)
    scaler.step(sgd, skip=mf.tensor(np.ones(1, np.int32), device=device).data)
    scaler.update()
    assert all(np.array_equal(a, b) for a, b in zip(values(params), before, strict=True))
    assert scaler.get_scale() == 1024
    scaler.step(sgd, skip=mf.tensor(np.zeros(1, np.int32), device=device).data)
    scaler.update()
    assert scaler.get_scale() == 256


def test_gradients_below_float16_survive() -> None:
    """1e-9 is 0 in float16; times the scale it is not."""
    x = mf.tensor([1.0], requires_grad=True)
    scaler = optim.GradScaler()
    for scale, survives in ((lambda loss: loss, False), (scaler.scale, True)):
        half = x.astype("float16")
        (g,) = mf.grad(scale(half.astype("float32").sum() * 1e-9), x)
        assert (g.item() != 0) == survives
    assert g.item() / scaler.get_scale() == pytest.approx(1e-9, rel=1e-3)


def test_a_loss_in_half_precision_is_scaled_in_float32() -> None:
    scaled = optim.GradScaler().scale(mf.tensor([3.0], dtype="float16").sum())
    assert scaled.dtype == np.float32
    assert scaled.item() == 3 * 2.0**16
    assert optim.GradScaler().scale(mf.tensor(3.0, dtype="float64")).dtype == np.float64


def test_a_graph_older_than_the_update_refuses_to_go_backward(device: str) -> None:
    (p, *_), sgd = problem(device)
    other, scaler = mf.tensor([1.0], requires_grad=True, device=device), optim.GradScaler()
    late = scaler.scale(other.sum())
    scaler.scale((p * p).sum()).backward()
    scaler.step(sgd)
    scaler.update()
    with pytest.raises(RuntimeError, match="which GradScaler.update at .* has changed since"):
        late.backward()


def test_it_continues_from_its_state(device: str) -> None:
    def run(scaler: optim.GradScaler, params: Any, sgd: optim.SGD, steps: range) -> None:
        for step in steps:
            sgd.zero_grad()
            scaler.scale(loss_of(params, 1e-3)).backward()
            if step == 2:
                overflow(params)
            scaler.step(sgd)
            scaler.update()

    whole, half = optim.GradScaler(**SCALER), optim.GradScaler(**SCALER)
    run(whole, *problem(device), range(7))
    params, sgd = problem(device)
    run(half, params, sgd, range(4))
    resumed = optim.GradScaler()
    resumed.load_state_dict(half.state_dict())
    run(resumed, params, sgd, range(4, 7))
    assert resumed.state_dict() == whole.state_dict()
    assert whole.state_dict() == {"scale": 1024.0, "good_steps": 1, "growth_factor": 4.0,
                                  "backoff_factor": 0.25, "growth_interval": 3}  # fmt: skip


def test_step_and_update_are_captured_and_replayed(cuda: Any) -> None:
    """Nothing waits for the device; a replay decides anew."""
    import cupy

    params, sgd = problem("cuda")
    scaler = optim.GradScaler(init_scale=1024.0, growth_interval=2)
    poison = mf.zeros(1, device="cuda")

    def step() -> None:
        sgd.zero_grad()
        scaler.scale(loss_of(params, 1e-3) + (poison * params[0]).sum()).backward()
        scaler.step(sgd)
        scaler.update()

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        step()
        stream.begin_capture()
        step()
        graph = stream.end_capture()
        seen = []
        for bad in (0.0, np.inf, 0.0, 0.0):
            poison[...] = bad
            before = values(params)
            graph.launch(stream)
            stream.synchronize()
            moved = not np.array_equal(values(params)[1], before[1])
            seen.append((moved, scaler.get_scale()))
    assert seen == [(True, 2048.0), (False, 1024.0), (True, 1024.0), (True, 2048.0)]


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"init_scale": 0}, ["init_scale is 0", "above 0"]),
        ({"init_scale": np.inf}, ["init_scale is inf", "finite"]),
        ({"growth_factor": 0.5}, ["growth_factor is 0.5", "at least 1"]),
        ({"backoff_factor": 2}, ["backoff_factor is 2", "0 to 1"]),
        ({"growth_interval": 0}, ["growth_interval is 0", "at least 1"]),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], facts: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        optim.GradScaler(**options)
    for fact in ("GradScaler", *facts):
        assert fact in str(caught.value)


def test_out_of_order_is_refused() -> None:
    params, sgd = problem("cpu")
    scaler = optim.GradScaler()
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        scaler.step(sgd)
    with pytest.raises(ValueError, match="no step since the last update"):
        scaler.update()
    loss = scaler.scale(loss_of(params))
    loss.backward()
    scaler.step(sgd)
    scaler.update()
    with pytest.raises(mf.VersionError, match=r"GradScaler.update|SGD.step"):
        loss.backward()
    with pytest.raises(ValueError, match="the state has scale, expected"):
        scaler.load_state_dict({"scale": 1.0})
