"""The optimizer's kernels: many parameters in one launch, on the device as on the host."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from minifcn import nn, optim
from minifcn.kernels import cupy_kernels, numpy_kernels, reference
from minifcn.kernels.cupy_kernels import launch
from minifcn.kernels.cupy_kernels.numbers import Table, kept_in
from tests.cuda_emu.find import Cuda
from tests.devices import host, on

TWINS: Any = {"numpy": (numpy_kernels, "cpu"), "cuda": (cupy_kernels, "cuda")}
K: Any = cupy_kernels
NUMPY: Any = numpy_kernels
LOOPS: Any = reference

SHAPES = [(3,), (), (2, 3, 3, 2), (0,), (17, 3), (5, 4, 1, 1), (1,)]
RULES = [
    {"momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x, "caffe": c}
    for m, d, w, n, x, c in product((0.0, 0.9), (0.0, 0.3), (0.0, 0.1), *((False, True),) * 3)
    if not (n or c) or (m and not d and not (n and c))
]


def lay(order: int, a: Any) -> Any:
    """The same values: in C order, as images lie on a GPU, reversed, or not at 16 bytes."""
    if order == 1 and a.ndim == 4:
        return a.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    if order == 2 and a.ndim:
        every = (slice(None, None, -1),) * a.ndim
        return a[every].copy()[every]
    if order == 3:
        room = np.empty(a.size + 1, a.dtype)
        room[1:] = a.reshape(-1)
        return room[1:].reshape(a.shape)
    return a.copy()


def draw(shapes: Any, dtype: Any, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


# ---- one step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("rule", RULES, ids=lambda r: "-".join(k for k, v in r.items() if v))
@pytest.mark.parametrize("first", [False, True])
def test_all_parameters_step_as_one_by_one(
    cuda: Cuda, twin: str, rule: dict[str, Any], first: bool
) -> None:
    k, device = TWINS[twin]
    rng = np.random.default_rng(7)
    slow = [draw(SHAPES, np.float64, seed) for seed in range(3)]
    fast = [[on(device, lay(int(rng.integers(0, 4)), a)) for a in some] for some in slow]
    none: list[None] = [None] * len(SHAPES)
    speeds = (slow[2], fast[2]) if rule["momentum"] else (none, none)
    scale = np.array([8.0], np.float32)
    LOOPS.sgd_steps(*slow[:2], speeds[0], 0.1, **rule, first=first, scale=scale)
    k.sgd_steps(*fast[:2], speeds[1], 0.1, **rule, first=first, scale=on(device, scale))
    for some, others in zip(fast, slow, strict=True):
        for got, expected in zip(some, others, strict=True):
            assert np.allclose(host(got), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_more_parameters_than_one_launch_takes(cuda: Cuda, dtype: Any) -> None:
    """150 of them, and of two dtypes; some of many blocks."""
    shapes = [(k % 7, 3) for k in range(148)] + [(9000,), (4096,)]
    p, g, v = (draw(shapes, dtype, seed) for seed in range(3))
    p[5], g[5], v[5] = (one[5].astype(np.float64) for one in (p, g, v))
    wide: Any = [[one.astype(np.float64) for one in some] for some in (p, g, v)]
    there = [[on("cuda", one) for one in some] for some in (p, g, v)]
    K.sgd_steps(*there, 0.1, momentum=0.9, weight_decay=0.1)
    NUMPY.sgd_steps(*wide, 0.1, momentum=0.9, weight_decay=0.1)
    for got, expected in zip(there[0] + there[2], wide[0] + wide[2], strict=True):
        assert np.allclose(host(got), expected, rtol=3 * np.finfo(dtype).eps, atol=1e-3)


def test_one_launch_takes_64_parameters(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    launches: list[str] = []
    call = launch.Program.__call__

    def counted(self: Any, kernel: str, *arguments: Any, **options: Any) -> None:
        launches.append(kernel)
        call(self, kernel, *arguments, **options)

    monkeypatch.setattr(launch.Program, "__call__", counted)
    arrays = [on("cuda", one) for one in draw([(5, 3)] * 64, np.float32)]
    K.sgd_steps(arrays, arrays, [None] * 64, 0.1)
    assert launches == ["sgd_steps"]


@pytest.mark.parametrize("twin", TWINS)
def test_a_flag_on_the_device_leaves_everything_as_it_is(cuda: Cuda, twin: str) -> None:
    k, device = TWINS[twin]
    p, g, v = ([on(device, one) for one in draw(SHAPES, np.float32, seed)] for seed in range(3))
    before = [host(one).tobytes() for one in p + v]
    k.sgd_steps(p, g, v, 0.1, momentum=0.9, skip=on(device, np.array([1], np.int32)))
    assert [host(one).tobytes() for one in p + v] == before
    k.sgd_steps(p, g, v, 0.1, momentum=0.9, skip=on(device, np.array([0], np.int32)))
    assert [host(one).tobytes() for one in p + v] != before


@pytest.mark.parametrize("twin", TWINS)
def test_the_learning_rate_may_be_a_number_an_array_or_a_function(cuda: Cuda, twin: str) -> None:
    k, device = TWINS[twin]
    made = []
    for lr in (0.25, on(device, np.array([0.25])), lambda: 0.25):
        p = [on(device, np.ones(3))]
        k.sgd_steps(p, [on(device, np.ones(3))], [None], lr)
        made.append(host(p[0]).tolist())
    assert made == [[0.75] * 3] * 3


def test_a_captured_step_asks_for_the_learning_rate_at_every_replay(cuda: Cuda) -> None:
    table, rates = Table(), [0.5]
    p = [on("cuda", np.zeros(2))]
    with kept_in(table):
        K.sgd_steps(p, [on("cuda", np.ones(2))], [None], lambda: rates[-1])
    assert [make() for make, _, _ in table.makes] == [0.5]
    rates.append(0.25)
    assert [make() for make, _, _ in table.makes] == [0.25]


# ---- what decides about a step -------------------------------------------------------------------


@pytest.mark.parametrize("twin", [*TWINS, "loops"])
@pytest.mark.parametrize("wild", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_not_finite_finds_the_one_in_any_array(
    cuda: Cuda, twin: str, wild: float, dtype: Any
) -> None:
    k, device = TWINS.get(twin, (LOOPS, "cpu"))
    arrays = draw([*SHAPES, (4099,) if twin != "loops" else (5,)], dtype)
    arrays[0][0] = np.finfo(dtype).max

    def flag() -> Any:
        return k.not_finite([on(device, lay(n % 4, a)) for n, a in enumerate(arrays)])

    assert (flag().dtype, host(flag()).tolist()) == (np.int32, [0])
    for number, a in enumerate(arrays):
        if a.size:
            kept, a.flat[-1] = a.flat[-1], wild
            assert host(flag()).tolist() == [1], number
            a.flat[-1] = kept


@pytest.mark.parametrize("twin", [*TWINS, "loops"])
def test_the_loss_scale_follows_the_overflows(cuda: Cuda, twin: str) -> None:
    k, device = TWINS.get(twin, (LOOPS, "cpu"))
    scale, good = on(device, np.array([64.0], np.float32)), on(device, np.zeros(1, np.int32))
    seen = []
    for flag in (0, 0, 0, 1, 0, 0, 1, 1, 0):
        k.update_loss_scale(scale, good, on(device, np.array([flag], np.int32)), 2.0, 0.25, 3)
        seen.append((float(scale[0]), int(good[0])))
    assert seen == [
        (64, 1), (64, 2), (128, 0), (32, 0), (32, 1), (32, 2), (8, 0), (2, 0), (2, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("twin", [*TWINS, "loops"])
def test_a_loss_scale_never_becomes_infinite(cuda: Cuda, twin: str) -> None:
    k, device = TWINS.get(twin, (LOOPS, "cpu"))
    scale, good = on(device, np.array([3e38], np.float32)), on(device, np.zeros(1, np.int32))
    k.update_loss_scale(scale, good, on(device, np.zeros(1, np.int32)), 2.0, 0.5, 1)
    assert (float(scale[0]), int(good[0])) == (float(np.float32(3e38)), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_the_squared_norm_is_added_up_in_double(cuda: Cuda, dtype: Any) -> None:
    x = draw([(300, 1001)], dtype)[0]
    exact = float(np.square(x.astype(np.float64)).sum())
    assert abs(K.squared_norm(on("cuda", x.T)) - exact) <= 1e-12 * exact
    assert K.squared_norm(on("cuda", x[:0])) == 0


# ---- SGD -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "maximize": True},
        {"momentum": 0.9, "form": "caffe"},
    ],
    ids=str,
)
def test_sgd_on_the_device_equals_sgd_on_the_host(cuda: Cuda, options: dict[str, Any]) -> None:
    """A parameter without a gradient at first, groups, a factor, a state saved and loaded."""
    made = []
    for device in ("cpu", "cuda"):
        params = [nn.Parameter(a) for a in draw(SHAPES, np.float64)]
        for p in params:
            p.replace(on(device, p.data))
        groups: list[Any] = [{"params": params[:4]}, {"params": params[4:], "lr_mult": 2.0}]
        sgd = optim.SGD(groups, lr=0.1, **options)
        for step in range(4):
            if step == 2:
                arrays, numbers = sgd.state_dict()
                assert all(type(a) is np.ndarray for a in arrays.values())
                sgd = optim.SGD(groups, lr=0.1, **options)
                sgd.load_state_dict(arrays, numbers)
            sgd.zero_grad()
            for number, p in enumerate(params):
                if step or number != 2:
                    (p * p * (0.5 + number)).sum().backward()
            sgd.step(1 - 0.1 * step)
        made.append([p.numpy() for p in params])
        assert {m.shape for m in sgd.momentum_arrays()} <= {p.shape for p in params}
    for got, expected in zip(made[1], made[0], strict=True):
        assert np.allclose(got, expected, rtol=1e-13)


# ---- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_copies_hold_the_values_and_share_no_memory(cuda: Cuda, dtype: Any) -> None:
    """More than a launch takes, in every order in memory, two of them the same array."""
    some = [lay(k % 4, a) for k, a in enumerate(draw(SHAPES * 12, dtype))]
    there = [on("cuda", a) for a in some]
    there.append(there[2])
    made = K.copies(there)
    for x in there:
        K.write(x, ..., 0)
    for got, slow, wanted in zip(made, LOOPS.copies(some), [*some, some[2]], strict=False):
        assert got.dtype == dtype
        np.testing.assert_array_equal(host(got), wanted)
        np.testing.assert_array_equal(slow, wanted)
    assert len({x.data.ptr for x in made if x.size}) == sum(x.size > 0 for x in made)


def test_copies_of_two_types_in_turns(cuda: Cuda) -> None:
    some = [a.astype(("f4", "f8")[k % 2]) for k, a in enumerate(draw(SHAPES, np.float64))]
    for got, wanted in zip(K.copies([on("cuda", a) for a in some]), some, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(host(got), wanted)
