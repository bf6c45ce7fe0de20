"""Momentum begins with the first step that is made: v = g', without dampening.

A step may be left out on the device, where nobody waits to hear of it. The oracle is an optimizer
that never sees the steps which the other one leaves out.
"""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn, optim

DAMPED: dict[str, Any] = {"lr": 0.5, "momentum": 0.9, "dampening": 0.75, "weight_decay": 0.125}
OVERFLOW = np.inf


class Run:
    """Two parameters and their steps: a gradient each, or None."""

    def __init__(self, device: str, **options: Any) -> None:
        self.params = [nn.Parameter(np.arange(n) + 1.0) for n in (3, 2)]
        for p in self.params:
            p.replace(p.to(device).data)
        self.sgd = optim.SGD(self.params, **{**DAMPED, **options})

    def gradients(self, *values: float | None) -> None:
        for p, value in zip(self.params, values, strict=True):
            p.grad = None
            if value is not None:
                p.grad = mf.tensor(np.full(p.shape, value), device=p.device)

    def step(self, *values: float | None, skip: int | None = None) -> None:
        self.gradients(*values)
        self.sgd.step(skip=None if skip is None else flag(skip, self.params[0].device))

    def values(self) -> list[Any]:
        return [p.tolist() for p in self.params]

    def set(self, values: list[Any]) -> None:
        with mf.no_grad():
            for p, value in zip(self.params, values, strict=True):
                p[...] = mf.tensor(value, device=p.device)


def flag(value: int, device: str) -> Any:
    return mf.tensor(np.array([value], np.int32), device=device).data


def test_the_scaler_leaves_out_the_first_step(device: str) -> None:
    run, plain = Run(device), Run(device)
    scaler = optim.GradScaler(init_scale=4.0, backoff_factor=1.0)
    for value in (OVERFLOW, OVERFLOW, 1.0, 3.0):
        scaler.scale(mf.tensor(1.0, device=device))
        run.gradients(4 * value, 4.0)
        scaler.step(run.sgd)
        scaler.update()
        if value != OVERFLOW:
            plain.step(value, 1.0)
    assert run.values() == plain.values()


@pytest.mark.parametrize("later", [None, 0])
def test_a_flag_leaves_out_the_first_step(device: str, later: int | None) -> None:
    """Later steps may come with a flag or without one."""
    run, plain = Run(device), Run(device)
    run.step(7.0, 7.0, skip=1)
    for value in (1.0, 3.0, 5.0):
        run.step(value, -value, skip=later)
        plain.step(value, -value)
    assert run.values() == plain.values()


def test_each_parameter_begins_by_itself(device: str) -> None:
    run, plain = Run(device), Run(device)
    steps: list[tuple[Any, Any, int]] = [
        (9.0, 9.0, 1), (1.0, None, 0), (9.0, 9.0, 1), (2.0, None, 0), (3.0, 4.0, 0), (5.0, 6.0, 0)
    ]  # fmt: skip
    for first, second, skip in steps:
        run.step(first, second, skip=skip)
        if not skip:
            plain.step(first, second)
    assert run.values() == plain.values()


def test_a_parameter_that_never_moved_has_no_state(device: str) -> None:
    run, plain = Run(device), Run(device)
    run.step(9.0, 9.0, skip=1)
    run.step(1.0, None, skip=0)
    arrays, numbers = run.sgd.state_dict()
    assert list(arrays) == ["momentum.0"]
    resumed = optim.SGD(run.params, lr=3.0)
    resumed.load_state_dict(arrays, numbers)
    for sgd in (run.sgd, resumed):  # one goes on, the other takes over
        values = [p.numpy().copy() for p in run.params]
        run.sgd = sgd
        run.step(2.0, 3.0, skip=0)
        run.step(4.0, 5.0, skip=0)
        if sgd is not resumed:
            seen = run.values()
            run.set(values)
    plain.step(1.0, None)
    plain.step(2.0, 3.0)
    plain.step(4.0, 5.0)
    assert run.values() == seen == plain.values()


def test_a_state_of_another_run_begins_nothing_anew(device: str) -> None:
    """Loading replaces what an earlier step has left behind."""
    run, plain = Run(device), Run(device)
    run.step(9.0, 9.0, skip=1)
    plain.step(1.0, 1.0)
    run.set([p.numpy() for p in plain.params])
    run.sgd.load_state_dict(*plain.sgd.state_dict())
    for one in (run, plain):
        one.step(2.0, 3.0, skip=0)
    assert run.values() == plain.values()


def test_the_model_moves_after_a_step_that_was_left_out(device: str) -> None:
    run, plain = Run("cpu"), Run("cpu")
    for home, value in ((device, 9.0), ("cpu", 1.0), (device, 2.0), ("cpu", 3.0)):
        for p in run.params:
            p.replace(p.to(home).data)
        run.step(value, value, skip=int(value == 9))
        if value != 9:
            plain.step(value, value)
    for got, wanted in zip(run.params, plain.params, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-15)


def test_a_replayed_step_knows_whether_it_is_the_first(cuda: Any) -> None:
    from minifcn.kernels.cupy_kernels.capture import Recorded, own_stream

    run, plain = Run("cuda"), Run("cuda")
    skip, gradient = flag(1, "cuda"), mf.zeros(1, dtype="float64", device="cuda")

    def step() -> None:
        for p in run.params:
            p.grad = mf.ones_like(p) * gradient
        run.sgd.step(skip=skip)

    with own_stream() as stream:
        step()  # left out
        recorded = Recorded(step, stream)
        for value, left_out in ((9.0, 1), (1.0, 0), (9.0, 1), (2.0, 0), (3.0, 0)):
            gradient[...] = value
            mf.Tensor(skip)[...] = left_out
            recorded()
            if not left_out:
                plain.step(value, value)
            assert run.values() == plain.values()


def test_every_kernel_begins_once(device: str) -> None:
    from minifcn.kernels import cupy_kernels, numpy_kernels, reference

    for k in (cupy_kernels,) if device == "cuda" else (numpy_kernels, reference):
        p, g, v, begun = (
            mf.tensor(np.asarray(a), device=device).data
            for a in ([8.0], [2.0], [0.0], np.zeros(1, np.int32))
        )
        seen = []
        for skip in (1, 0, 0):
            k.sgd_steps([p], [g], [v], 1.0, momentum=0.5, dampening=0.75,
                        skip=flag(skip, device), begun=[begun])  # fmt: skip
            seen.append((int(begun[0]), float(v[0])))
        assert seen == [(0, 0.0), (1, 2.0), (1, 0.5 * 2 + 0.25 * 2)]
