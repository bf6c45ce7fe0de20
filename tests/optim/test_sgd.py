"""SGD: every option against the rule in plain Python, other people's numbers, and laws."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn, optim
from minifcn.kernels import numpy_kernels, reference

THREE: Any = 3  # where something else is expected


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(np.array(values))


def set_gradient(p: nn.Parameter, g) -> None:
    p.grad = mf.tensor(np.asarray(g, p.dtype))


def by_hand(w, gradients, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
            maximize=False):  # fmt: skip
    """One number through the rule of Sutskever et al. as PyTorch has it."""
    v = None
    for g in gradients:
        g = (-g if maximize else g) + weight_decay * w
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        w = w - lr * g
    return w


OPTIONS = [
    dict(zip(("momentum", "dampening", "weight_decay", "nesterov", "maximize"), v, strict=True))
    for v in product((0.0, 0.9), (0.0, 0.3), (0.0, 0.01), (False, True), (False, True))
    if not (v[3] and (v[0] == 0 or v[1] != 0))  # nesterov wants momentum and no dampening
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_rule_written_out(options):
    gradients = [3.0, -1.0, 0.5, 2.0]
    p = parameter(1.0, -2.0)
    sgd = optim.SGD([p], lr=0.1, **options)
    for g in gradients:
        set_gradient(p, [g, 2 * g])
        sgd.step()
    expected = [by_hand(1.0, gradients, 0.1, **options),
                by_hand(-2.0, [2 * g for g in gradients], 0.1, **options)]  # fmt: skip
    assert p.tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("caffe", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_both_kernels_take_the_same_step(options, caffe, first):
    rng = np.random.default_rng(0)
    p, g = rng.standard_normal((2, 3, 4))
    v = rng.standard_normal((3, 4)) if options["momentum"] else None
    states = []
    for k in (numpy_kernels, reference):
        own_p, own_v, own_g = p.copy(), None if v is None else v.copy(), g.copy()
        own_g.flags.writeable = False
        k.sgd_step(own_p, own_g, own_v, 0.1, caffe=caffe, first=first, **options)
        states.append((own_p, own_v))
    assert np.allclose(states[0][0], states[1][0], rtol=1e-13, atol=1e-15)
    velocities = [own_v for _, own_v in states if own_v is not None]
    assert len(velocities) == (0 if v is None else 2)
    if velocities:
        assert np.allclose(velocities[0], velocities[1], rtol=1e-13, atol=1e-15)
    assert not np.array_equal(states[0][0], p)


def test_both_kernels_square_alike():
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for empty in (x, x[:0], x.T):
        fast, slow = numpy_kernels.squared_norm(empty), reference.squared_norm(empty)
        assert fast == pytest.approx(slow, rel=1e-14)


def test_onnx_momentum_formula():
    """ONNX: g' = g + norm x; v' = alpha v + (beta if t > 0 else 1) g'; x' = x - R v'."""
    R, alpha, norm = 0.1, 0.95, 0.001  # attributes and data of ONNX's test_momentum, t = 0
    x, g, v = np.array([1.2, 2.8]), np.array([-0.94, -2.5]), np.array([1.7, 3.6])
    for beta, t in [(0.1, 0), (0.1, 1)]:
        dampening = 1 - (beta if t > 0 else 1)
        p = nn.Parameter(x)
        sgd = optim.SGD([p], R, momentum=alpha, dampening=dampening, weight_decay=norm)
        sgd.load_state_dict({"momentum.0": v}, sgd.state_dict()[1])
        set_gradient(p, g)
        sgd.step()
        if t == 0:
            assert p.tolist() == pytest.approx([1.13238, 2.70772], abs=1e-6)  # ONNX's answer
        v_new = alpha * v + (1 - dampening) * (g + norm * x)
        assert p.tolist() == pytest.approx((x - R * v_new).tolist(), rel=1e-14)


def test_caffe_and_pytorch_agree_at_a_constant_rate_only():
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal(6)
    for rates, agree in [([0.1] * 6, True), ([0.1, 0.1, 0.01, 0.01, 0.01, 0.01], False)]:
        ends = []
        for form in ("pytorch", "caffe"):
            p = parameter(1.0)
            sgd = optim.SGD([p], lr=1.0, momentum=0.9, weight_decay=0.1, form=form)
            for g, rate in zip(gradients, rates, strict=True):
                set_gradient(p, [g])
                sgd.step(rate)
            ends.append(p.item())
        assert (ends[0] == pytest.approx(ends[1], rel=1e-12)) == agree


def test_caffes_rule_written_out():
    p, w, v = parameter(1.0), 1.0, 0.0
    sgd = optim.SGD([p], lr=0.1, momentum=0.9, form="caffe")
    for step, g in enumerate([3.0, -1.0, 0.5]):
        set_gradient(p, [g])
        sgd.step(1 / (step + 1))
        v = 0.9 * v + 0.1 / (step + 1) * g
        w -= v
    assert p.item() == pytest.approx(w, rel=1e-14)


def test_groups_have_options_of_their_own():
    a, b, c = parameter(1.0), parameter(1.0), parameter(1.0)
    groups: list[dict[str, Any]] = [
        {"params": [a]},
        {"params": b, "lr": 0.5, "weight_decay": 1.0},
        {"params": [c], "lr_mult": 2},
    ]
    sgd = optim.SGD(groups, lr=0.1)
    for p in (a, b, c):
        set_gradient(p, [1.0])
    sgd.step(factor=0.5)
    assert [p.item() for p in (a, b, c)] == pytest.approx([1 - 0.05, 1 - 0.25 * 2, 1 - 0.1])
    assert sgd.param_groups[1]["lr"] == 0.5


def test_parameters_without_a_gradient_stay():
    a, b = parameter(1.0), parameter(1.0)
    sgd = optim.SGD([a, b], lr=0.1, momentum=0.9, weight_decay=0.5)
    set_gradient(a, [1.0])
    sgd.step()
    assert b.item() == 1
    assert list(sgd.state_dict()[0]) == ["momentum.0"]
    sgd.zero_grad()
    assert a.grad is None


def test_steps_are_in_place_and_leave_gradients_alone():
    p = parameter(1.0, 2.0)
    memory = p.data
    sgd = optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
    set_gradient(p, [1.0, 1.0])
    sgd.step()
    sgd.step()
    assert p.data is memory
    assert p.grad is not None
    assert p.grad.tolist() == [1, 1]


def test_parameters_may_share_a_gradient():
    a, b = parameter(1.0), parameter(1.0)
    sgd = optim.SGD([a, b], lr=0.1, weight_decay=0.1, momentum=0.9)
    (a + b).sum().backward()
    sgd.step()
    assert a.item() == b.item() == pytest.approx(1 - 0.1 * 1.1)


def test_a_graph_older_than_the_step_refuses_to_go_backward():
    p = parameter(3.0)
    loss = (p * p).sum()
    loss.backward()
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(mf.VersionError, match=r"SGD\.step"):
        loss.backward()


def test_float32_stays_float32():
    p = nn.Parameter(np.ones(3, np.float32))
    sgd = optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.1)
    set_gradient(p, [1, 2, 3])
    sgd.step()
    assert p.dtype == np.float32
    assert sgd.state_dict()[0]["momentum.0"].dtype == np.float32
    a, b = (nn.Parameter(np.ones(3, np.float32)) for _ in range(2))
    wide: Any = np.float64  # a NumPy number must not lift the arithmetic to its own precision
    for p, number in ((a, float), (b, wide)):
        sgd = optim.SGD([p], number(0.1), number(0.9), weight_decay=number(0.3))
        set_gradient(p, [1, 2, 3])
        sgd.step(number(0.7))
        json.dumps(sgd.state_dict()[1])
    assert np.array_equal(a.numpy(), b.numpy())


def test_it_finds_the_minimum_of_a_bowl():
    p = parameter(5.0, -3.0)
    sgd = optim.SGD([p], lr=0.05, momentum=0.8, nesterov=True)
    scale = mf.tensor(np.array([1.0, 4.0]))
    for _ in range(200):
        sgd.zero_grad()
        (scale * p * p).sum().backward()
        sgd.step()
    assert np.abs(p.numpy()).max() < 1e-6


def run(sgd, p, gradients):
    for g in gradients:
        set_gradient(p, g)
        sgd.step()


def test_a_resumed_run_goes_on_bit_for_bit():
    gradients = np.random.default_rng(0).standard_normal((6, 4))
    options: Any = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    whole = parameter(1.0, 2.0, 3.0, 4.0)
    run(optim.SGD([whole], **options), whole, gradients)
    first = parameter(1.0, 2.0, 3.0, 4.0)
    sgd = optim.SGD([first], **options)
    run(sgd, first, gradients[:3])
    arrays, numbers = sgd.state_dict()
    numbers = json.loads(json.dumps(numbers))
    second = nn.Parameter(first.numpy())
    resumed = optim.SGD([second], lr=7.0)
    resumed.load_state_dict(arrays, numbers)
    run(sgd, first, gradients[3:])  # the snapshot is a copy
    run(resumed, second, gradients[3:])
    assert np.array_equal(second.numpy(), whole.numpy())
    assert np.array_equal(first.numpy(), whole.numpy())


def test_momentum_goes_where_the_model_goes(device):
    still, moving = (nn.Linear(3, 2, generator=np.random.default_rng(0)).double() for _ in "ab")
    steps = [optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (still, moving)]
    for home in ("cpu", device, device, "cpu"):
        moving.to(home)
        for net, sgd in zip((still, moving), steps, strict=True):
            sgd.zero_grad()
            x = mf.tensor(np.ones((4, 3)), device=next(net.parameters()).device)
            (net(x) ** 2).sum().backward()
            sgd.step()
    for p, q in zip(still.parameters(), moving.parameters(), strict=True):
        assert np.allclose(p.numpy(), q.numpy(), rtol=1e-12, atol=0)


def test_a_model_in_another_precision_than_its_momentum_is_named():
    net = nn.Linear(3, 2)
    sgd = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step():
        sgd.zero_grad()
        net(mf.ones(4, 3, dtype=net.weight.dtype)).sum().backward()
        sgd.step()

    step()
    net.double()
    with pytest.raises(TypeError, match="SGD.step: dtype of momentum is float32, but"):
        step()


@pytest.mark.parametrize(
    ("make", "facts"),
    [
        (lambda p: optim.SGD([]), ["SGD", "params is empty"]),
        (lambda p: optim.SGD([THREE]), ["params[0]", "int", "Tensor"]),
        (lambda p: optim.SGD([p * 2]), ["params[0]", "scale", "leaf"]),
        (lambda p: optim.SGD([p, p]), ["params[1]", "twice"]),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), ["params[0]", "twice"]),
        (lambda p: optim.SGD([{"params": [p], "rate": 3}]), ["rate", "lr_mult"]),
        (lambda p: optim.SGD([{"parameters": [p]}]), ["'params'"]),
        (lambda p: optim.SGD([p], lr=-1), ["lr is -1", "at least 0"]),
        (lambda p: optim.SGD([p], momentum=float("nan")), ["momentum is nan"]),
        (lambda p: optim.SGD([p], nesterov=True), ["nesterov", "momentum 0"]),
        (lambda p: optim.SGD([p], form="keras"), ["form is 'keras'", "'caffe'"]),
        (
            lambda p: optim.SGD([p], momentum=0.9, nesterov=True, form="caffe"),
            ["'caffe'", "nesterov"],
        ),
        (
            lambda p: optim.SGD([p]).load_state_dict({"momentum.0": np.zeros(5)}, numbers(1)),
            ["momentum.0", "(5,)"],
        ),
        (lambda p: optim.SGD([p]).load_state_dict({}, numbers(2)), ["[2]", "[1]"]),
    ],
)
def test_mistakes(make, facts):
    with pytest.raises((ValueError, TypeError)) as error:
        make(parameter(1.0, 2.0))
    assert all(fact in str(error.value) for fact in facts), str(error.value)


def numbers(count: int) -> dict:
    """The numbers of an optimizer of `count` parameters."""
    return optim.SGD([parameter(1.0) for _ in range(count)]).state_dict()[1]
