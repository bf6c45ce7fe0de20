"""The contract of every operator, driven by the registry: an op that exists is tested here, on
every device.

Values only; test_contract_derivatives.py holds the derivatives. The oracle is `kernels.reference`:
loops that share no code with the kernels they judge.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minifcn import Op, Tensor
from minifcn.checks import Case, cases
from minifcn.core import grad
from minifcn.kernels import reference
from tests.devices import host, kernels_of, native, on, span

every_case = pytest.mark.parametrize("case", cases(), ids=str)
both_precisions = pytest.mark.parametrize("dtype", [np.float64, np.float32])

TOLERANCE = {np.dtype("f8"): 1e-12, np.dtype("f4"): 2e-5}  # of the largest value


def outputs(op: Op, k: Any, arrays: list[Any]) -> tuple[Any, ...]:
    """y and the extras."""
    out = op.forward(k, *arrays)
    return out if type(out) is tuple else (out,)


def run(
    case: Case, device: str, arrays: list[Any], lay: Callable[[Any], Any] = np.asarray
) -> tuple[Any, list[Any]]:
    """y and the gradients of all smooth inputs for a fixed upstream gradient, laid out by `lay`.

    Computed on `device`, and brought back to the host.
    """
    placed = [on(device, a) if isinstance(a, np.ndarray) else a for a in arrays]
    xs = [Tensor(a, requires_grad=d.smooth) for a, d in zip(placed, case.draws, strict=True)]
    y = native(case.op, device)(*xs)
    assert y.device == device
    if not y.requires_grad:
        return host(y.data), []
    gy = np.random.default_rng(5).standard_normal(y.shape).astype(y.dtype)
    smooth = [x for x in xs if x.requires_grad]
    found = grad(y, smooth, Tensor(on(device, lay(gy))), allow_unused=True)
    assert {g.device for g in found} <= {device}
    return host(y.data), [host(g.data) for g in found]


def assert_same(got: Any, expected: Any, what: str) -> None:
    assert got.shape == expected.shape, what
    assert got.dtype == expected.dtype, what
    if got.dtype.kind != "f":
        assert np.array_equal(got, expected), what
        return
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite], equal_nan=True), what
    size = np.abs(expected[finite]).max(initial=1e-30)
    error = np.abs(got[finite] - expected[finite]).max(initial=0)
    assert error <= TOLERANCE[got.dtype] * size, f"{what}: differs by {error:.3g} of {size:.3g}"


# ---- the values --------------------------------------------------------------------------------


@both_precisions
@every_case
def test_shape_and_dtype_are_as_promised(case: Case, dtype: Any, device: str) -> None:
    arrays = case.arrays(dtype=dtype)
    y, gradients = run(case, device, arrays)
    assert type(y) is np.ndarray
    assert y.shape == case.op.shape(*[a.shape for a in arrays])
    if any(a.dtype.kind == "f" for a in arrays) and case.op.name not in CHANGES_DTYPE:
        assert y.dtype.kind != "f" or y.dtype == dtype
    for index, g in zip(case.smooth, gradients, strict=False):
        assert (g.shape, g.dtype) == (arrays[index].shape, arrays[index].dtype)


CHANGES_DTYPE = {"cast": "that is its task"}


@both_precisions
@every_case
def test_the_fast_kernel_equals_the_loops(case: Case, dtype: Any, device: str) -> None:
    arrays = case.arrays(seed=1, dtype=dtype)
    fast = outputs(native(case.op, device), kernels_of(device), [on(device, a) for a in arrays])
    slow = outputs(case.op, reference, arrays)
    assert len(fast) == len(slow) == 1 + len(case.op.extras)
    for name, got, expected in zip(("y", *case.op.extras), fast, slow, strict=True):
        assert_same(np.asarray(host(got)), np.asarray(expected), name)


@every_case
def test_twice_gives_the_same_bits(case: Case, device: str) -> None:
    first, gradients = run(case, device, case.arrays())
    again, once_more = run(case, device, case.arrays())
    assert first.tobytes() == again.tobytes()
    assert [g.tobytes() for g in gradients] == [g.tobytes() for g in once_more]


# ---- the memory --------------------------------------------------------------------------------


@every_case
def test_inputs_stay_untouched(case: Case, device: str) -> None:
    placed = [on(device, a) for a in case.arrays()]
    before = [host(a).tobytes() for a in placed]
    run(case, device, placed)
    assert [host(a).tobytes() for a in placed] == before


@every_case
def test_only_views_share_memory_with_an_input(case: Case, device: str) -> None:
    arrays = [on(device, a) for a in case.arrays()]
    for made in outputs(native(case.op, device), kernels_of(device), arrays):
        sharing = [i for i, a in enumerate(arrays) if overlap(made, a)]
        assert sharing == [] or (case.op.views and sharing == [0])


def overlap(a: Any, b: Any) -> bool:
    """Whether two arrays lie in the same memory."""
    (start, end), (other, other_end) = span(a), span(b)
    return max(start, other) < min(end, other_end)


def reversed_strides(a: Any) -> Any:
    """The same values, every axis walked from its end."""
    every = (slice(None, None, -1),) * a.ndim
    return a[every].copy()[every] if a.ndim else a


def every_other(a: Any) -> Any:
    """The same values with holes between them."""
    if a.ndim == 0:
        return a
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), -7, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def in_memory_as(*order: int) -> Callable[[Any], Any]:
    """The same values; `order` names the axes of a 4-D array from the slowest to the fastest."""

    def lay(a: Any) -> Any:
        if a.ndim != 4:
            return a.T.copy().T
        return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))

    return lay


def read_only(a: Any) -> Any:
    frozen = a.copy()
    frozen.flags.writeable = False
    return frozen


LAYOUTS = {
    "reversed strides": reversed_strides,
    "every other": every_other,
    "N H W C": in_memory_as(0, 2, 3, 1),
    "H W N C": in_memory_as(2, 3, 0, 1),
    "read-only": read_only,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@every_case
def test_any_layout_in_memory_gives_the_same(case: Case, layout: str, device: str) -> None:
    if (layout, device) == ("read-only", "cuda"):
        pytest.skip("CuPy has no read-only arrays")
    plain = case.arrays()
    laid = [LAYOUTS[layout](a) for a in plain]
    for a, b in zip(plain, laid, strict=True):
        assert np.array_equal(a, b)
    y, gradients = run(case, device, plain)
    got, got_gradients = run(case, device, laid, LAYOUTS[layout])
    assert_same(got, y, "y")
    for name, g, expected in zip(case.names, got_gradients, gradients, strict=False):
        assert_same(g, expected, f"the gradient of {name}")


# ---- nothing at all ----------------------------------------------------------------------------


def without_batch(case: Case) -> tuple[Op, list[Any]]:
    """The operator and its inputs with axis 0 of the first input shrunk to nothing.

    Other inputs whose axis 0 is as long shrink with it. Shapes that the operator stores shrink too,
    but for an axis of size 1: to sum nothing, or to repeat it no times, is what is tested then.
    """
    arrays = case.arrays()
    N = arrays[0].shape[0]
    stored = {
        field.name: (0, *getattr(case.op, field.name)[1:])
        for field in dataclasses.fields(case.op)  # type: ignore[arg-type] # every op is a dataclass
        if field.name in ("src", "dst") and getattr(case.op, field.name)[0] != 1
    }
    if "dst" in stored and N == 1:
        return dataclasses.replace(case.op, **stored), arrays  # type: ignore[type-var] # as above
    shrunk = [a[:0] if a.shape[:1] == (N,) else a for a in arrays]
    return dataclasses.replace(case.op, **stored), shrunk  # type: ignore[type-var] # as above


WITHOUT_BATCH: dict[str, str] = {  # op: why axis 0 cannot be empty
    "get_slice": "it stores places, which an empty axis has not",
    "put_slice": "it stores places, which an empty axis has not",
}


shrinkable = [c for c in cases() if c.op.name not in WITHOUT_BATCH and c.draws[0].shape]


@pytest.mark.parametrize("case", shrinkable, ids=str)
def test_no_images_give_no_images(case: Case, device: str) -> None:
    op, arrays = without_batch(case)
    empty = dataclasses.replace(case, op=op)
    y, gradients = run(empty, device, arrays)
    assert y.shape == op.shape(*[a.shape for a in arrays])
    assert_same(y, np.asarray(outputs(op, reference, arrays)[0]), "y")
    for index, g in zip(case.smooth, gradients, strict=False):
        assert g.shape == arrays[index].shape
        assert not g.any(), "nothing flows from nothing"


def test_exceptions_are_not_stale() -> None:
    assert {*WITHOUT_BATCH, *CHANGES_DTYPE} <= {case.op.name for case in cases()} | {"cast"}
