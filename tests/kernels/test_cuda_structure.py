"""Sums, extremes and scattered additions on the GPU: long axes, odd orders, many types.

The contract test has small arrays. Here they are long enough to be cut into segments, and lie in
memory in ways that no kernel made.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.devices import on

TYPES = ["f8", "f4", "f2", "i4", "u1", "?"]
TOLERANCE = {"f8": 1e-14, "f4": 1e-6, "f2": 1e-3}  # of the sum of the sizes

# shape and axes: one long line, many lines, wide columns, short lines, runs with gaps between them
SUMS = [
    ((5000,), (0,)), ((2, 3000), (1,)), ((3000, 2), (0,)), ((700, 40), (0,)), ((40, 7), (1,)),
    ((3, 5, 20, 33), (0, 2, 3)), ((3, 40, 6, 7), (2, 3)), ((2, 3, 4, 5), (1,)),
    ((4, 3, 9, 5), (0, 1)), ((4, 3, 9, 5), (1, 3)), ((2, 3, 4, 5, 6), (0, 2, 4)), ((1, 1), (0, 1)),
    ((0, 3), (0,)), ((0, 3), (1,)), ((2, 0, 3), (1,)), ((), ()),
]  # fmt: skip


@pytest.fixture
def k(cuda: Any) -> Any:
    from minifcn.kernels import cupy_kernels

    return cupy_kernels


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).standard_normal(shape) * 5
    return np.asarray(np.abs(drawn) if dtype[0] == "u" else drawn).astype(dtype)


def turned(a: Any) -> Any:
    """The same array, its memory in another order of axes."""
    axes = np.random.default_rng(a.ndim).permutation(np.arange(a.ndim))
    return a.transpose(axes).copy().transpose(np.argsort(axes))


LAYOUTS: list[Callable[[Any], Any]] = [np.asarray, turned, lambda a: a[::-1] if a.ndim else a]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), SUMS)
def test_sums_over_any_axes_in_any_order(k: Any, shape: Any, axes: Any, dtype: str) -> None:
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    for lay in LAYOUTS:
        a = lay(numbers(shape, dtype))
        got = k.sum_to(on("cuda", a), kept).get()
        if kept == shape:
            expected = a
        elif dtype in TOLERANCE:
            expected = a.astype("f8").sum(axes, keepdims=True).astype(dtype)
        else:
            expected = a.sum(axes, keepdims=True)
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        if dtype in TOLERANCE:
            size = np.abs(a.astype("f8")).sum(axes, keepdims=True)
            assert (np.abs(got.astype("f8") - expected) <= TOLERANCE[dtype] * size).all()
        else:
            assert np.array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_long_sums_do_not_stall(k: Any, dtype: str) -> None:
    """One by one, halves stop at 2048 and floats lose a digit for every ten terms."""
    n = 60_000
    a = np.full((n, 1), 1 if dtype == "f2" else 0.1, dtype)
    found = float(k.sum_to(on("cuda", a), (1, 1)).get()[0, 0])
    exact = n * float(a[0, 0])
    assert found == np.float16(n) if dtype == "f2" else abs(found / exact - 1) < 5e-7


def test_sums_go_on_through_infinities(k: Any) -> None:
    a = np.ones((3, 4000), np.float32)
    a[0, 17], a[1, 5], a[1, 3000], a[2, 3999] = np.inf, np.inf, -np.inf, np.nan
    found = k.sum_to(on("cuda", a), (3, 1)).get()
    assert found[0] == np.inf
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), [one for one in SUMS if 0 not in one[0]])
def test_extremes_over_any_axes_in_any_order(k: Any, shape: Any, axes: Any, dtype: str) -> None:
    """With ties, and with nans where there are such."""
    a = numbers(shape, dtype)
    a = np.asarray(np.round(a)) if dtype in TOLERANCE else a
    if dtype in TOLERANCE and a.size > 8:
        a.reshape(-1)[[3, a.size // 2, a.size - 2]] = np.nan
    x = on("cuda", turned(a))
    assert np.array_equal(
        k.amax(x, axes).get(), a.max(axes, keepdims=True), equal_nan=dtype[0] == "f"
    )
    assert np.array_equal(
        k.amin(x, axes).get(), a.min(axes, keepdims=True), equal_nan=dtype[0] == "f"
    )
    for axis in axes:
        assert np.array_equal(k.argmax(x, axis).get(), a.argmax(axis, keepdims=True))
        assert np.array_equal(k.argmin(x, axis).get(), a.argmin(axis, keepdims=True))


def test_of_many_equals_the_first_is_named_also_across_segments(k: Any) -> None:
    a = np.zeros((2, 30_000), np.float32)
    a[0, [11_111, 11_112, 29_999]] = 1
    a[1, [20_000, 25_000]] = np.nan
    assert k.argmax(on("cuda", a), 1).get().tolist() == [[11_111], [20_000]]
    assert k.argmin(on("cuda", a), 1).get().tolist() == [[0], [20_000]]


# ---- places ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 16, 17, 300, 3000])  # up to 16 are compared, more sorted
@pytest.mark.parametrize("shape", [(5,), (3, 4, 2), (2, 6, 3, 2)])
@pytest.mark.parametrize("index", ["i8", "i4", "u1"])
def test_additions_to_one_place_are_made_in_order(
    k: Any, shape: tuple[int, ...], count: int, index: str
) -> None:
    """Small whole numbers add up exactly, so equality is exact."""
    rng = np.random.default_rng(count)
    axis, size = len(shape) // 2, shape[len(shape) // 2]
    own = rng.integers(0, size, count).astype(index)
    g = rng.integers(-9, 9, (*shape[:axis], count, *shape[axis + 1 :])).astype("f4")
    expected = np.zeros(shape, "f4")
    np.add.at(np.moveaxis(expected, axis, 0), own, np.moveaxis(g, axis, 0))
    assert np.array_equal(
        k.scatter_add(on("cuda", turned(g)), on("cuda", own), axis, size).get(), expected
    )
    along = rng.integers(0, size, g.shape).astype(index)
    where = [*np.ogrid[tuple(slice(n) for n in g.shape)]]
    where[axis] = along
    expected = np.zeros(shape, "f4")
    np.add.at(expected, tuple(where), g)
    assert np.array_equal(
        k.scatter_along(on("cuda", g), on("cuda", turned(along)), axis, size).get(), expected
    )


@pytest.mark.parametrize("count", [5, 500])
def test_negative_places_count_from_the_end(k: Any, count: int) -> None:
    rng = np.random.default_rng(0)
    own, g = rng.integers(-4, 4, count), rng.integers(0, 9, (count, 3)).astype("f8")
    x, index = on("cuda", g[:4]), on("cuda", own)
    assert np.array_equal(k.take(x, index, 0).get(), g[:4][own])
    added = k.scatter_add(on("cuda", g), index, 0, 4).get()
    assert np.array_equal(added, k.scatter_add(on("cuda", g), on("cuda", own % 4), 0, 4).get())
    assert added.sum() == g.sum()


def test_planes_add_up_and_the_last_write_stays(k: Any) -> None:
    rng = np.random.default_rng(3)
    g = rng.integers(1, 9, (2, 3, 7, 8)).astype("f4")
    index = rng.integers(0, 12, g.shape)
    added, last = np.zeros((2, 3, 12), "f4"), np.zeros((2, 3, 12), "f4")
    for n, c, i, j in np.ndindex(g.shape):
        added[n, c, index[n, c, i, j]] += g[n, c, i, j]
        last[n, c, index[n, c, i, j]] = g[n, c, i, j]
    given = on("cuda", g), on("cuda", index), (3, 4)
    assert np.array_equal(k.plane_put(*given).get(), added.reshape(2, 3, 3, 4))
    assert np.array_equal(k.max_unpool2d(*given).get(), last.reshape(2, 3, 3, 4))


@pytest.mark.parametrize("bits", range(14))  # below, at and above one tile
def test_keys_are_sorted(k: Any, bits: int) -> None:
    from minifcn.kernels.cupy_kernels.scatter import sort

    keys = np.random.default_rng(bits).permutation(1 << bits).astype("u8") << np.uint64(50)
    given = on("cuda", keys)
    sort(given)
    assert np.array_equal(given.get(), np.sort(keys))


@pytest.mark.parametrize(
    "shape", [(0,), (1,), (1023,), (32, 32), (5, 205), (2, 3, 4, 50), (300_000,)]
)
@pytest.mark.parametrize("part", [0, 0.1, 1])
def test_true_places_come_in_row_order(k: Any, shape: tuple[int, ...], part: float) -> None:
    mask = np.random.default_rng(1).random(shape) < part
    found = k.nonzero(on("cuda", turned(mask)))
    assert len(found) == mask.ndim
    for got, expected in zip(found, np.nonzero(mask), strict=True):
        assert np.array_equal(got.get(), expected)
