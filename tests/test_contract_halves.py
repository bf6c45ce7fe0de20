"""The contract of every operator in half precision, which only the device "cuda" computes in.

Halves are storage: kernels widen them to float, and round once, when they store. So a result is off
by half a unit of its last digit, 2^-11 of float16 and 2^-8 of bfloat16, of the largest value: times
two, as some operators round between two steps; a derivative of several operators rounds more often.
The oracle are the loops, in float64, on the same rounded inputs.
"""

from typing import Any

import numpy as np
import pytest

from minifcn import Tensor
from minifcn.checks import Case, cases
from minifcn.core import grad
from minifcn.device import by_name, is_floating
from minifcn.kernels import reference
from tests.devices import host, kernels_of, native, on

ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
VALUES, DERIVATIVES = 2.0, 4.0  # roundings, of the largest value

pytestmark = [pytest.mark.usefixtures("cuda"), pytest.mark.parametrize("half", ROUNDING)]
every_case = pytest.mark.parametrize("case", cases(), ids=str)


def dtype_of(half: str) -> Any:
    if half == "bfloat16":
        pytest.importorskip("ml_dtypes")
    return np.dtype(by_name(half))


def exactly(array: Any) -> Any:
    """The same numbers in float64; what is no number with a fraction stays as it is."""
    return array.astype(np.float64) if is_floating(array.dtype) else array


def close(got: Any, expected: Any, roundings: float, half: str, what: str) -> None:
    assert got.shape == expected.shape, what
    if not is_floating(got.dtype):
        assert np.array_equal(got, expected), what
        return
    size = np.abs(expected).max(initial=1e-30)
    off = np.abs(exactly(got) - expected).max(initial=0) / size / ROUNDING[half]
    assert off <= roundings, f"{what} ({got.dtype}): off by {off:.3g} roundings of the largest"


@every_case
def test_values_are_rounded_where_they_are_stored(case: Case, half: str) -> None:
    arrays = case.arrays(seed=1, dtype=dtype_of(half))
    made = native(case.op, "cuda").forward(kernels_of("cuda"), *[on("cuda", a) for a in arrays])
    loops = case.op.forward(reference, *map(exactly, arrays))
    fast, slow = (out if type(out) is tuple else (out,) for out in (made, loops))
    for name, got, expected in zip(("y", *case.op.extras), fast, slow, strict=True):
        close(host(got), np.asarray(expected), VALUES, half, name)


@pytest.mark.parametrize("case", [c for c in cases() if c.smooth], ids=str)
def test_derivatives_are_too(case: Case, half: str) -> None:
    """Each gradient is of its input's dtype."""
    arrays = case.arrays(seed=1, dtype=dtype_of(half))

    def gradients(device: str, inputs: list[Any], gy: Any = None) -> tuple[Any, list[Any]]:
        xs = [Tensor(on(device, a)) for a in inputs]
        smooth = [xs[k] for k in case.smooth]
        for x in smooth:
            x.requires_grad = True
        y = native(case.op, device)(*xs)
        if gy is None:
            gy = np.random.default_rng(5).standard_normal(y.shape).astype(y.dtype)
        found = grad(y, smooth, Tensor(on(device, gy)), allow_unused=True)
        assert [g.dtype for g in found] == [x.dtype for x in smooth]
        return gy, [host(g.data) for g in found]

    gy, fast = gradients("cuda", arrays)
    _, slow = gradients("cpu", [exactly(a) for a in arrays], exactly(gy))
    for k, got, expected in zip(case.smooth, fast, slow, strict=True):
        close(got, expected, DERIVATIVES, half, f"the gradient of {case.names[k]}")


@every_case
def test_twice_gives_the_same_bits(case: Case, half: str) -> None:
    arrays = case.arrays(dtype=dtype_of(half))

    def bits() -> list[bytes]:
        out = native(case.op, "cuda").forward(kernels_of("cuda"), *[on("cuda", a) for a in arrays])
        return [host(y).tobytes() for y in (out if type(out) is tuple else (out,))]

    assert bits() == bits()
