"""Kernels that work by rows: the contract on pieces of a few numbers, and exact large sums.

The contract's samples are small and would never be cut; here everything is.
"""

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.checks import Case, cases
from minifcn.kernels import numpy_kernels, reference
from minifcn.kernels.numpy_kernels import memory, rows

HOME = "minifcn.kernels.numpy_kernels"
MODULES = (
    "conv.bias", "elementwise", "loss", "memory", "norm", "optim", "pool", "rows", "structure",
)  # fmt: skip
TOLERANCE = {np.dtype("f8"): 1e-12, np.dtype("f4"): 2e-5}  # of the largest value


@pytest.fixture
def cut_small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every array is large, every image has room, pieces and runs are short."""
    for name in MODULES:
        module = importlib.import_module(f"{HOME}.{name}")
        for constant, value in (("LEAST", 0), ("PIECE", 14), ("RUN", 6), ("SUMMED", 5), ("FEW", 0)):
            if hasattr(module, constant):
                monkeypatch.setattr(module, constant, value)
        if hasattr(module, "SMALL"):
            monkeypatch.setattr(module, "SMALL", 0)
    forget()
    yield
    forget()


def forget() -> None:
    """What was computed with other constants."""
    rows._run.cache_clear()
    rows._short.cache_clear()
    rows.pieces.cache_clear()


def channels_last(a: Any) -> Any:
    """The same values, H W N C in memory."""
    if a.ndim != 4:
        return a
    return np.ascontiguousarray(a.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)


@pytest.mark.usefixtures("cut_small")
@pytest.mark.parametrize("lay", [np.asarray, channels_last])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_contract_holds_on_short_pieces(case: Case, dtype: Any, lay: Any) -> None:
    arrays = [lay(a) for a in case.arrays(seed=3, dtype=dtype)]
    before = [a.tobytes() for a in arrays]
    fast = case.op.forward(numpy_kernels, *arrays)
    slow = case.op.forward(reference, *arrays)
    assert [a.tobytes() for a in arrays] == before
    for got, wanted in zip(listed(fast), listed(slow), strict=True):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        size = np.abs(wanted).max(initial=1e-30) if wanted.dtype.kind == "f" else 0
        limit = TOLERANCE.get(got.dtype, 0) * size
        np.testing.assert_allclose(got, wanted, rtol=0, atol=limit)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("origin", [0.0, 20.0])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 2), (2, 2, 7), (0, 3, 2, 2)])
def test_the_gradient_in_two_walks_equals_the_loops(
    shape: Any, origin: float, cut: bool, request: pytest.FixtureRequest
) -> None:
    """The one kernel that no operator calls by itself, see BatchNormRelu."""
    if cut:
        request.getfixturevalue("cut_small")
    rng = np.random.default_rng(0)
    gy, y, x = rng.standard_normal((3, *shape))
    x += origin
    weight, mean, var = rng.standard_normal(shape[1]), *reference.moments(x)
    M = x.size // shape[1] + 3  # others have three more values

    def totals(gw: Any, gb: Any) -> Any:
        return gw + 0.5, gb - 0.25

    options = (gy, y, x, weight, mean, var, 0.1, M, totals)
    fast, slow = (k.batch_norm_relu_grad(*options) for k in (numpy_kernels, reference))
    for got, wanted in zip(fast, slow, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_both_kernels_move_running_statistics_alike() -> None:
    mean, var = np.array([1.0, -2.0, 0.5]), np.array([10.0, 0.0, 5.0])
    moved = [(np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0])) for _ in range(2)]
    for k, running in zip((numpy_kernels, reference), moved, strict=True):
        k.move_running(running, mean, var, 0.3, 1.5)
        k.move_running((None, None), mean, var, 0.3, 1.5)
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-15)
    np.testing.assert_allclose(moved[0][0], [3.1, 2.9, 4.35], rtol=1e-14)
    np.testing.assert_allclose(moved[0][1], [5.2, 1.4, 4.35], rtol=1e-14)


def listed(out: Any) -> tuple[Any, ...]:
    return tuple(map(np.asarray, out)) if type(out) is tuple else (np.asarray(out),)


def test_the_fixture_does_cut(cut_small: None) -> None:
    x = memory.empty((2, 3, 4, 5), np.float32)
    assert len(rows.pieces(rows.lines(x).shape)) == 4 * -(-30 // 14)
    assert rows.grid(x).shape == (4, 5, 6)
    assert rows.grid(np.zeros((2, 3, 4, 4))).shape == (4, 2, 12)


sizes = st.integers(0, 6)


@given(sizes, sizes, sizes, sizes)
def test_pieces_cover_every_number_once(H: int, K: int, L: int, piece: int) -> None:
    wide = rows.PIECE
    try:
        rows.PIECE = piece + 1
        rows.pieces.cache_clear()
        count = np.zeros((H, K, L), int)
        for key in rows.pieces((H, K, L)):
            count[key] += 1
            assert count[key].size <= max(rows.PIECE, L)
    finally:
        rows.PIECE = wide
        rows.pieces.cache_clear()
    assert (count == 1).all()


@given(*[st.integers(1, 9)] * 4)
def test_a_grid_and_its_tiles_fit_each_other(N: int, C: int, H: int, W: int) -> None:
    x = memory.empty((N, C, H, W), np.float64)
    x[...] = np.random.default_rng(0).standard_normal(x.shape)
    c = np.arange(C) + 1.0
    grid = rows.grid(x)
    assert np.shares_memory(grid, x) and grid.size == x.size
    grid += rows.tiled(c, x)
    plain = np.random.default_rng(0).standard_normal(x.shape) + c[:, None, None]
    np.testing.assert_array_equal(x, plain)
    np.testing.assert_allclose(rows.pixel_sums(x).by_channel(), plain.sum((0, 2, 3)), atol=1e-12)


# ---- accuracy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.0, 1.0, 30.0, 10_000.0])
@pytest.mark.parametrize("first", [0.0, 1.0, -40.0])
def test_moments_are_exact_wherever_the_values_lie(mean: float, first: float) -> None:
    """Also where the first row, from which the origin is taken, is unlike the others."""
    x = np.random.default_rng(0).standard_normal((4, 5, 40, 60)) + mean
    x[:, :, 0] = mean + first + 0.01 * x[:, :, 0]
    x = x.astype(np.float32)
    exact = x.astype(np.float64)
    got_mean, got_var = numpy_kernels.moments(x)
    wanted_var = exact.var((0, 2, 3))
    np.testing.assert_allclose(got_var, wanted_var, rtol=5e-6)
    error = np.abs(got_mean - exact.mean((0, 2, 3)))
    assert (error <= 1e-6 * np.sqrt(wanted_var) + np.spacing(np.float32(mean))).all()


def test_sums_over_pixels_are_better_than_plain_float32() -> None:
    x = np.random.default_rng(0).uniform(0.5, 1.5, (2, 3, 200, 300)).astype(np.float32)
    exact = x.astype(np.float64)
    for axes, shape in (((0, 2, 3), (1, 3, 1, 1)), ((2, 3), (2, 3, 1, 1))):
        wanted = exact.sum(axes).reshape(shape)
        np.testing.assert_allclose(numpy_kernels.sum_to(channels_last(x), shape), wanted, rtol=3e-7)
