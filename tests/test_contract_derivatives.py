"""The contract of every operator, second half: derivatives of order 1, 2 and 3, and adjoints.

The oracle is the central difference below. It shares nothing with `mf.gradcheck`, so that only one
of the two can be wrong at a time. The last parts plant errors in every vjp and judge the samples.

On device "cuda" the derivative is that of its kernels. The difference is taken on the host, as
launches are slow in the emulator and test_contract.py holds both twins against the same loops; and
along directions of signs, also for the first order: no sign hides a wrong element. What is planted
in a vjp, and what is said of the samples, has no device.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from minifcn import Op, Tensor, Window
from minifcn.checks import Case, cases
from minifcn.core import grad
from minifcn.kernels import numpy_kernels
from tests.devices import host, kernels_of, native, on

Arrays = list[Any]

STEP = 1e-5  # central differences err by STEP^2 f''' / 6 and by 1e-16 f / STEP: about 1e-10 both
CLOSE = 3e-7  # of the largest derivative, or of 1; a factor of 1.001 is 3000 times as much

ALL = cases()
every_case = pytest.mark.parametrize("case", ALL, ids=str)
every_smooth_case = pytest.mark.parametrize("case", [c for c in ALL if c.smooth], ids=str)


def inner(a: Sequence[Any], b: Sequence[Any]) -> float:
    """sum_k <a_k, b_k>."""
    return float(sum(np.vdot(x, y) for x, y in zip(a, b, strict=True)))


def forward(case: Case, variables: Arrays) -> Any:
    """y for new values of the smooth inputs, by the kernel alone: no tensor, no node."""
    arrays = case.arrays()
    for index, x in zip(case.smooth, variables, strict=True):
        arrays[index] = x
    out = case.op.forward(numpy_kernels, *case.complete(arrays))
    return out[0] if type(out) is tuple else out


def derivative(
    case: Case, variables: Arrays, gy: Any, directions: list[Arrays], device: str = "cpu"
) -> Arrays:
    """d/dx <gy, y> for no directions; each direction d turns gradients G into d/d(x, gy) <d, G>."""
    case = dataclasses.replace(case, op=native(case.op, device))
    xs = [Tensor(on(device, x), requires_grad=True) for x in variables]
    seed = Tensor(on(device, gy), requires_grad=True)
    y = case.call(xs, [on(device, a) for a in case.arrays()])
    found = grad(y, xs, seed, create_graph=True, allow_unused=True)
    for one in directions:
        weights = [Tensor(on(device, d)) for d in one]
        found = grad(found, [*xs, seed], weights, create_graph=True, allow_unused=True)
    return [host(g.data) for g in found]


def difference(function: Any, point: Arrays, k: int, direction: Any) -> Any:
    """(f(x + h d) - f(x - h d)) / 2h along a direction in variable k."""
    ahead, behind = list(point), list(point)
    ahead[k] = np.asarray(point[k] + STEP * direction)
    behind[k] = np.asarray(point[k] - STEP * direction)
    return (function(ahead) - function(behind)) / (2 * STEP)


def units(shape: tuple[int, ...]) -> Any:
    """Every element's own direction."""
    for index in np.ndindex(*shape):
        one = np.zeros(shape)
        one[index] = 1
        yield index, one


def wrong_by(got: float, expected: float, scale: float) -> bool:
    return not abs(got - expected) <= CLOSE * max(1.0, scale)


def start(case: Case) -> tuple[Arrays, Any, np.random.Generator]:
    """The smooth inputs, a random upstream gradient, and the generator that made it."""
    arrays = case.arrays()
    variables = [arrays[index] for index in case.smooth]
    rng = np.random.default_rng(11)
    return variables, rng.standard_normal(forward(case, variables).shape), rng


def first_order(case: Case) -> list[str]:
    """What is wrong with the gradient, element by element."""
    variables, gy, _ = start(case)
    found = []
    for k, g in enumerate(derivative(case, variables, gy, [])):
        scale = np.abs(g).max(initial=0)
        for index, one in units(g.shape):
            change = difference(lambda xs: forward(case, xs), variables, k, one)
            expected = float(np.vdot(gy, change))
            if wrong_by(g[index], expected, scale):
                found.append(f"input {case.smooth[k]} at {index}: {g[index]} for {expected}")
    return found


def along_signs(case: Case, order: int, device: str = "cpu") -> list[str]:
    """What is wrong with the derivative of that order, along directions of +1 and -1.

    The upstream gradient is a variable like the others: its derivative is the adjoint's adjoint.
    """
    variables, gy, rng = start(case)
    n = len(variables)
    directions = []
    for lower_order in range(1, order):
        inputs = variables if lower_order == 1 else [*variables, gy]
        directions.append([rng.standard_normal(x.shape) for x in inputs])

    def lower(point: Arrays) -> float:
        if not directions:
            return inner([forward(case, point[:n])], [gy])
        below = derivative(case, point[:n], point[n], directions[:-1])
        return inner(below, directions[-1])

    found = []
    point = [*variables, gy]
    for k, g in enumerate(derivative(case, variables, gy, directions, device)):
        for _ in range(3):
            signs = rng.choice([-1.0, 1.0], g.shape)
            got, expected = float(np.vdot(g, signs)), difference(lower, point, k, signs)
            if wrong_by(got, expected, float(np.abs(g).sum())):
                what = f"input {case.smooth[k]}" if k < n else "the upstream gradient"
                found.append(f"order {order} in {what}: {got} for {expected}")
    return found


@every_smooth_case
def test_first_derivative(case: Case, device: str) -> None:
    wrong = first_order(case) if device == "cpu" else along_signs(case, 1, device)
    assert wrong == []


@every_smooth_case
def test_second_derivative(case: Case, device: str) -> None:
    assert along_signs(case, 2, device) == []


@every_smooth_case
def test_third_derivative(case: Case, device: str) -> None:
    assert along_signs(case, 3, device) == []


@every_smooth_case
def test_single_precision_stays_single_to_the_second_order(case: Case, device: str) -> None:
    """The core refuses a gradient of another dtype, so a drift in any vjp raises here."""
    case = dataclasses.replace(case, op=native(case.op, device))
    arrays = [on(device, a) for a in case.arrays(dtype=np.float32)]
    xs = [Tensor(arrays[index], requires_grad=True) for index in case.smooth]
    y = case.call(xs, arrays)
    ones = on(device, np.ones(y.shape, y.dtype))  # a cast has another dtype
    gy = Tensor(ones, requires_grad=True)
    first = grad(y, xs, gy, create_graph=True, allow_unused=True)
    second = grad(first, [*xs, gy], [Tensor(x.data) for x in xs], allow_unused=True)
    assert {g.dtype for g in (*first, *second[:-1])} == {np.dtype(np.float32)}
    assert second[-1].dtype == y.dtype


# ---- linear operators --------------------------------------------------------------------------


def is_linear(case: Case, device: str) -> bool:
    """f(2 a + 3 b) = 2 f(a) + 3 f(b) in the first input for any a and b, the others fixed."""
    if 0 not in case.smooth:
        return False
    fixed, op, k = case.arrays(), native(case.op, device), kernels_of(device)

    def f(x: Any) -> Any:
        inputs = case.complete([np.asarray(x), *fixed[1:]])
        out = op.forward(k, *[on(device, a) for a in inputs])
        return host(out[0] if type(out) is tuple else out)

    for seed in range(3):
        a, b = case.arrays(seed=10 + seed)[0], case.arrays(seed=20 + seed)[0]
        left, right = f(2 * a + 3 * b), 2 * f(a) + 3 * f(b)
        if not np.allclose(left, right, rtol=1e-10, atol=1e-12 * np.abs(right).max(initial=1)):
            return False
    return True


@every_case
def test_linear_operators_say_so_and_no_others(case: Case, device: str) -> None:
    assert case.op.linear == is_linear(case, device)


@pytest.mark.parametrize("case", [c for c in ALL if c.op.linear], ids=str)
def test_adjoint_identity(case: Case, device: str) -> None:
    """<A x, y> = <x, A* y>, where A* is the gradient, taken at another point than x."""
    op = native(case.op, device)
    arrays, elsewhere = case.arrays(seed=1), case.arrays(seed=2)[0]
    placed = [on(device, a) for a in arrays]
    out = op.forward(kernels_of(device), *placed)
    ax = host(out[0] if type(out) is tuple else out)
    y = np.random.default_rng(4).standard_normal(ax.shape)
    x0 = Tensor(on(device, elsewhere), requires_grad=True)
    (back,) = grad(op(x0, *[Tensor(a) for a in placed[1:]]), x0, Tensor(on(device, y)))
    size = np.linalg.norm(ax) * np.linalg.norm(y)
    assert abs(np.vdot(ax, y) - np.vdot(arrays[0], host(back.data))) <= 1e-13 * size


# ---- who checks the checker --------------------------------------------------------------------

MUTANTS = {
    "negated": lambda g: g * -1,
    "1.001 times": lambda g: g * 1.001,
    "without its largest element": lambda g: g * without_largest(g.data),
    "missing": lambda g: None,
    "outside the graph": lambda g: Tensor(g.data),
}


def without_largest(values: Any) -> Tensor:
    mask = np.ones(values.shape, values.dtype)
    mask[np.unravel_index(np.abs(values).argmax(), values.shape)] = 0
    return Tensor(mask)


def planted(vjp: Any, entry: int, mutant: str) -> Any:
    """The vjp with one gradient spoilt."""

    def spoilt(self: Op, gy: Tensor, *kept: Tensor) -> list[Any]:
        entries = list(vjp(self, gy, *kept))
        made = entries[entry]() if callable(entries[entry]) else entries[entry]
        entries[entry] = None if made is None else MUTANTS[mutant](made)
        return entries

    return spoilt


def entries() -> list[Any]:
    """(operator, input, its cases) for every gradient that some vjp gives."""
    by_op: dict[str, list[Case]] = {}
    for case in ALL:
        by_op.setdefault(case.op.name, []).append(case)
    found = []
    for name, own in by_op.items():
        for entry in sorted({index for case in own for index in case.smooth}):
            found.append(pytest.param(own, entry, id=f"{name} input {entry}"))
    return found


def is_constant(case: Case, entry: int) -> bool:
    """Whether this input's gradient is zero everywhere, as that of a step."""
    variables, gy, _ = start(case)
    return not derivative(case, variables, gy, [])[case.smooth.index(entry)].any()


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize(("own", "entry"), entries())
def test_a_planted_error_is_noticed(
    own: list[Case], entry: int, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = [case for case in own if entry in case.smooth and not is_constant(case, entry)]
    op = type(own[0].op)
    monkeypatch.setattr(op, "vjp", planted(op.vjp, entry, mutant))
    for case in live[:2]:  # none for a step: of a zero gradient there is nothing to spoil
        assert first_order(case) or along_signs(case, 2), f"nobody saw that it was {mutant}"


# ---- are the samples worth anything? -----------------------------------------------------------

ONE_VALUE: dict[str, str] = {  # "op.field": why all samples have the same
    "cast.dtype": "a finite difference needs float64",
    "move.home": "not every machine has a second device",
    "move.away": "not every machine has a second device",
}


def values(op: Op) -> dict[str, Any]:
    """Every static parameter; a Window's one by one."""
    found = {}
    for field in dataclasses.fields(op):  # type: ignore[arg-type] # every op is a dataclass
        value = getattr(op, field.name)
        if isinstance(value, Window):
            for part in dataclasses.fields(value):
                found[f"{field.name}.{part.name}"] = getattr(value, part.name)
        else:
            found[field.name] = value
    return found


@pytest.mark.parametrize("name", sorted({case.op.name for case in ALL}))
def test_samples_vary_every_parameter(name: str) -> None:
    seen: dict[str, list[Any]] = {}
    for case in ALL:
        if case.op.name == name:
            for field, value in values(case.op).items():
                seen.setdefault(field, []).append(value)
    poor = [
        field for field, all_values in seen.items() if all(v == all_values[0] for v in all_values)
    ]
    assert [f"{name}.{field}" for field in poor if f"{name}.{field}" not in ONE_VALUE] == []


def windows(name: str) -> list[Window]:
    return [
        value
        for case in ALL
        if case.op.name == name
        for field in dataclasses.fields(case.op)  # type: ignore[arg-type] # every op is a dataclass
        if isinstance(value := getattr(case.op, field.name), Window)
    ]


@pytest.mark.parametrize("name", sorted({case.op.name for case in ALL if windows(case.op.name)}))
def test_windows_are_not_too_regular(name: str) -> None:
    found = windows(name)
    for axis in (0, 1):
        assert any(w.stride[axis] > 1 and w.far_pad[axis] < 0 for w in found), "a stride remainder"
        assert any(w.far_pad[axis] > 0 for w in found), "padding at the far end"
        assert any(w.dilation[axis] > 1 < w.kernel[axis] for w in found), "dilation"
    for part in ("image", "out", "kernel", "stride", "dilation", "pad"):
        assert any(getattr(w, part)[0] != getattr(w, part)[1] for w in found), f"{part} of H and W"


def test_exceptions_are_not_stale() -> None:
    known = {f"{case.op.name}.{field}" for case in ALL for field in values(case.op)}
    assert set(ONE_VALUE) <= known
