"""Batch normalisation on the device, beyond the contract: many runs of rows, exactness, halves."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minifcn.kernels import cupy_kernels, numpy_kernels, reference
from minifcn.kernels.cupy_kernels import columns
from tests.cuda_emu.find import Cuda
from tests.devices import host, on

K: Any = cupy_kernels
NUMPY: Any = numpy_kernels
LOOPS: Any = reference

EPS = 1e-3

SHAPES = [  # every number of channels per thread, rows that remain, 3 and 5 axes
    (2, 1, 5, 3), (3, 3, 7, 5), (2, 21, 3, 4), (2, 64, 4, 3), (1, 512, 2, 3), (2, 1100, 1, 2),
    (37, 12), (3, 8, 11), (2, 4, 3, 2, 2),
]  # fmt: skip


@pytest.fixture(params=[1, 3, 528])
def runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """At most so many runs of rows: with few, a thread has rows for many chunks."""
    monkeypatch.setattr(columns, "RUNS", request.param)
    monkeypatch.setattr(columns, "BLOCKS", request.param)
    columns.plan.cache_clear()
    yield request.param
    columns.plan.cache_clear()


def there(*arrays: Any) -> list[Any]:
    return [on("cuda", a) for a in arrays]


def draw(shape: tuple[int, ...], dtype: Any = np.float64) -> tuple[Any, ...]:
    """(gy, x, weight, bias)"""
    rng, C = np.random.default_rng(0), shape[1]
    drawn = [rng.standard_normal(s) for s in (shape, shape, (C,), (C,))]
    return tuple(one.astype(dtype) for one in drawn)


def assert_near(got: Any, expected: Any, tolerance: float) -> None:
    got = host(got)
    assert got.shape == expected.shape
    assert np.isfinite(got.astype(np.float64)).all()
    size = np.abs(expected).max(initial=1e-30)
    assert np.abs(got.astype(np.float64) - expected).max(initial=0) <= tolerance * size


# ---- sums over many rows -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [*SHAPES, (4, 3, 40, 37), (3, 32, 21, 19)], ids=str)
def test_sums_of_any_number_of_runs_equal_the_formulas(
    cuda: Cuda, runs: int, shape: tuple[int, ...]
) -> None:
    gy, x, weight, bias = draw(shape)
    axes, M = (0, *range(2, x.ndim)), x.size // x.shape[1]
    mean, var = K.moments(on("cuda", x))
    assert_near(mean, x.mean(axes), 1e-13)
    assert_near(var, x.var(axes), 1e-13)
    stats = x.mean(axes), x.var(axes)
    y = NUMPY.batch_norm_relu(x, weight, bias, *stats, EPS)
    arrays = there(gy, y, x, weight, *stats)
    fast = K.batch_norm_relu_grad(*arrays, EPS, M, lambda *sums: sums)
    column = (1, -1, *(1,) * (x.ndim - 2))
    g, r = np.where(y > 0, gy, 0), 1 / np.sqrt(stats[1] + EPS)
    n = (x - stats[0].reshape(column)) * r.reshape(column)
    gw, gb = (g * n).sum(axes), g.sum(axes)
    gx = g - gb.reshape(column) / M - n * gw.reshape(column) / M
    for got, expected in zip(fast, (gx * (weight * r).reshape(column), gw, gb), strict=True):
        assert_near(got, expected, 1e-12)


@pytest.mark.parametrize("level", [0.0, 1e2, 1e4, 1e6])
def test_moments_are_exact_where_the_mean_is_large(cuda: Cuda, runs: int, level: float) -> None:
    x = (np.random.default_rng(1).standard_normal((2, 5, 30, 31)) + level).astype(np.float32)
    exact = x.astype(np.float64)
    mean, var = map(host, K.moments(on("cuda", x)))
    assert np.allclose(mean, exact.mean((0, 2, 3)), rtol=2e-7, atol=1e-6)
    assert np.allclose(var, exact.var((0, 2, 3)), rtol=2e-6)


def test_moments_are_exact_where_the_first_value_lies_far_off(cuda: Cuda, runs: int) -> None:
    x = np.random.default_rng(2).standard_normal((2, 4, 30, 31)).astype(np.float32)
    x[0, :, 0, 0] = 1e5  # what all values are measured from
    exact = x.astype(np.float64)
    mean, var = map(host, K.moments(on("cuda", x)))
    away = np.abs(mean - exact.mean((0, 2, 3))) / exact.std((0, 2, 3))
    assert away.max() < 1e-5  # deviations: what the error amounts to in a normalised value
    assert np.allclose(var, exact.var((0, 2, 3)), rtol=1e-5)


def test_moments_of_infinite_values_are_those_of_numpy(cuda: Cuda) -> None:
    wild = np.array(
        [[1, np.inf, np.inf, -np.inf, 7e20], [np.nan, 3e38, -np.inf, 1, 7e20]], np.float32
    )
    for got, expected in zip(K.moments(on("cuda", wild)), NUMPY.moments(wild), strict=True):
        assert np.array_equal(host(got), expected, equal_nan=True)


# ---- halves with numbers in float32 --------------------------------------------------------------


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_halves_are_computed_in_float32(cuda: Cuda, shape: tuple[int, ...], half: str) -> None:
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if half == "bfloat16" else half)
    gy, x, weight, bias = draw(shape)
    gy, x = gy.astype(dtype), x.astype(dtype)
    weight, bias = weight.astype(np.float32), bias.astype(np.float32)
    M, exact = x.size // x.shape[1], x.astype(np.float64)
    mean, var = NUMPY.moments(exact)
    wide = [one.astype(np.float64) for one in (weight, bias, mean, var)]
    stats = [one.astype(np.float32) for one in (mean, var)]
    rounding = 2 * float(np.ldexp(1, -8 if half == "bfloat16" else -11))

    got_mean, got_var = K.moments(on("cuda", x))
    assert got_mean.dtype == got_var.dtype == np.float32
    assert_near(got_mean, mean, 1e-5)
    assert_near(got_var, var, 1e-5)

    y = K.batch_norm_relu(*there(x, weight, bias, *stats), EPS)
    assert y.dtype == dtype
    assert_near(y, NUMPY.batch_norm_relu(exact, *wide, EPS), rounding)

    given = host(y).astype(np.float64)
    gx, gw, gb = K.batch_norm_relu_grad(
        on("cuda", gy), y, *there(x, weight, *stats), EPS, M, lambda *sums: sums
    )
    expected = NUMPY.batch_norm_relu_grad(
        gy.astype(np.float64), given, exact, wide[0], mean, var, EPS, M, lambda *sums: sums
    )
    assert gx.dtype == dtype
    assert gw.dtype == gb.dtype == np.float32
    assert_near(gx, expected[0], rounding)
    assert_near(gw, expected[1], 1e-5)
    assert_near(gb, expected[2], 1e-5)


# ---- how it is called ----------------------------------------------------------------------------


def test_totals_adds_up_on_the_device_between_the_walks(cuda: Cuda) -> None:
    gy, x, weight, bias = draw((2, 3, 4, 5))
    stats = NUMPY.moments(x)
    y = NUMPY.batch_norm_relu(x, weight, bias, *stats, EPS)
    made = {}
    for twin, device in ((K, "cuda"), (LOOPS, "cpu")):

        def totals(gw: Any, gb: Any, twin: Any = twin) -> list[Any]:
            return [twin.scale(gw, 3.0), twin.scale(gb, 3.0)]

        arrays = [on(device, a) for a in (gy, y, x, weight, *stats)]
        made[device] = twin.batch_norm_relu_grad(*arrays, EPS, 120, totals)
    for got, expected in zip(made["cuda"], made["cpu"], strict=True):
        assert_near(got, expected, 1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_rows_that_do_not_begin_at_16_bytes(cuda: Cuda, dtype: Any) -> None:
    """A view from the second element on, in the order of images: whole packs, but at odd places."""
    import cupy

    N, H, W, C = 2, 3, 4, 16
    room = on("cuda", np.arange(N * H * W * C + 1).astype(dtype) % 7)
    x = cupy.ndarray((N, H, W, C), dtype, memptr=room.data + room.itemsize).transpose(0, 3, 1, 2)
    assert x.data.ptr % 16
    zero, one = there(np.zeros(C, dtype), np.ones(C, dtype))
    assert np.array_equal(host(K.channel_affine(x, zero, one, one)), host(x) + 1)
    assert np.array_equal(host(K.channel_affine(x, one, one, zero)), host(x) - 1)
    assert_near(K.moments(x)[0], host(x).astype(np.float64).mean((0, 2, 3)), 1e-6)


def test_a_running_statistic_moves_in_place_wherever_it_lies(cuda: Cuda) -> None:
    running, mean, var = np.arange(6.0), np.array([5.0, 7.0, 9.0]), np.array([1.0, 2.0, 3.0])
    there_ = on("cuda", running)
    K.move_running((there_[::2], there_[1::2]), on("cuda", mean), on("cuda", var), 0.25, 1.5)
    running[::2] = 0.75 * running[::2] + 0.25 * mean
    running[1::2] = 0.75 * running[1::2] + 0.25 * 1.5 * var
    assert np.allclose(host(there_), running, rtol=1e-15)


@pytest.mark.parametrize("dtypes", [("float16", "float64"), ("float32", None), (None, "float16")])
def test_running_statistics_may_be_of_two_types_or_missing(cuda: Cuda, dtypes: Any) -> None:
    given = [None if one is None else np.arange(4.0).astype(one) for one in dtypes]
    there_ = [None if one is None else on("cuda", one) for one in given]
    stats = [np.array([5.0, 7.0, 9.0, 11.0], np.float32), np.full(4, 3.0, np.float32)]
    K.move_running(tuple(there_), *there(*stats), 0.25, 2.0)
    for before, after, to in zip(given, there_, (stats[0], 2 * stats[1]), strict=True):
        if before is not None:
            moved = host(after)
            assert moved.dtype == before.dtype
            assert_near(moved, 0.75 * before.astype(np.float64) + 0.25 * to, 1e-3)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (2, 16, 3, 3), (1, 3), (0, 3, 2, 2), (3, 0, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("kind", ["its own", "float16", "float64", "strided", "mean", "none"])
def test_what_moves_with_the_moments_is_what_moves_by_itself(
    cuda: Cuda, shape: Any, dtype: Any, kind: str
) -> None:
    """In one launch or in three: the same bits, and those of the loops within their rounding."""
    rng, C = np.random.default_rng(0), shape[1]
    x = rng.standard_normal(shape).astype(dtype)
    stat = np.dtype(kind if kind.startswith("float") else np.promote_types(dtype, np.float32))
    start = rng.uniform(1, 2, (2, 2 * C)).astype(stat)

    def arrays(device: str) -> tuple[Any, Any]:
        room = [on(device, one.copy()) for one in start]
        first = room[0][::2] if kind == "strided" else room[0][:C]
        second = None if kind == "mean" else room[1][:C]
        return ((None, None) if kind == "none" else (first, second)), room

    count_dtype = np.int32 if kind == "strided" else np.int64
    results = []
    for k, device, at_once in (
        (K, "cuda", True), (K, "cuda", False), (NUMPY, "cpu", True), (LOOPS, "cpu", True)
    ):  # fmt: skip
        running, room = arrays(device)
        count = on(device, np.asarray(5, count_dtype))
        if at_once:
            stats = k.moments(on(device, x), running, 0.25, count)
        else:
            stats = k.moments(on(device, x))
            M = x.size // max(C, 1)
            if M > 1:
                k.move_running(running, *stats, 0.25, M / (M - 1))
            k.count_up(count)
        assert int(host(count)) == 6
        results.append([host(one) for one in (*stats, *room)])
    for got, same in zip(*results[:2], strict=True):
        if cuda.kind == "emulator":  # a compiler may join products and sums as it likes
            assert got.tobytes() == same.tobytes()
        np.testing.assert_allclose(got, same, rtol=1e-3 if got.dtype == np.float16 else 1e-6)
    for other in results[2:]:
        for got, expected in zip(results[0], other, strict=True):
            limit = 1e-3 if np.float16 in (stat, x.dtype) else 1e-5
            np.testing.assert_allclose(got, expected, rtol=limit, atol=limit)
