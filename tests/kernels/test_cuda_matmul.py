"""The matrix product of a GPU: operands that lie in rows, in columns or otherwise, any sizes."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minifcn.kernels.cupy_kernels import tiles
from minifcn.kernels.cupy_kernels.matmul import matmul
from minifcn.kernels.cupy_kernels.memory import Copies

pytestmark = pytest.mark.parametrize("device", ["cuda"])

ERROR = {"float64": 1e-13, "float32": 1e-6, "float16": 1e-3}


def lying(rng: Any, shape: tuple[int, ...], order: str, dtype: str) -> tuple[Any, Any]:
    """(on the host, on the device) random numbers, the last two axes in this order in memory."""
    import cupy

    if order == "columns":
        x = rng.standard_normal((*shape[:-2], shape[-1], shape[-2])).astype(dtype)
        return x.swapaxes(-1, -2), cupy.asarray(x).swapaxes(-1, -2)
    if order == "steps":
        x = rng.standard_normal((*shape[:-1], 2 * shape[-1])).astype(dtype)
        return x[..., ::2], cupy.asarray(x)[..., ::2]
    x = rng.standard_normal(shape).astype(dtype)
    return x, cupy.asarray(x)


def error(got: Any, a: Any, b: Any) -> float:
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert (got.shape, got.dtype) == (expected.shape, a.dtype)
    scale = np.abs(expected).max(initial=0) or 1.0
    return float(np.abs(got.get().astype(np.float64) - expected).max(initial=0) / scale)


ORDERS = st.sampled_from(["rows", "columns", "steps"])
SIZES = st.sampled_from([0, 1, 2, 3, 4, 8, 13, 70])


@given(
    M=SIZES, N=SIZES, K=SIZES, batch=st.sampled_from([(), (1,), (3,), (2, 3), (0,), (2, 1, 2)]),
    orders=st.tuples(ORDERS, ORDERS), dtype=st.sampled_from(list(ERROR)),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sums_of_products(
    device: str, M: int, N: int, K: int, batch: Any, orders: Any, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    a, on_a = lying(rng, (*batch, M, K), orders[0], dtype)
    b, on_b = lying(rng, (*batch, K, N), orders[1], dtype)
    assert error(matmul(on_a, on_b), a, b) <= ERROR[dtype]


@pytest.mark.parametrize("order", ["rows", "columns"])
@pytest.mark.parametrize(
    "tile",
    tiles.EVERY,
    ids=lambda t: f"{t.ROWS}x{t.COLS} of {t.THREADS}",
)
def test_products_span_several_ragged_tiles(
    tile: tiles.Tile, order: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = import_module(matmul.__module__)
    monkeypatch.setattr(family, "tile_for", lambda *_: tile)
    rng = np.random.default_rng(0)
    M, K, N = (260, 20, 132) if tile not in tiles.SINGLE else (261, 21, 133)
    a, on_a = lying(rng, (2, M, K), order, "float32")
    b, on_b = lying(rng, (2, K, N), order, "float32")
    assert error(matmul(on_a, on_b), a, b) <= ERROR["float32"]


def test_one_matrix_for_a_whole_batch(device: str) -> None:
    rng = np.random.default_rng(0)
    one, on_one = lying(rng, (1, 3, 5), "rows", "float64")
    many, on_many = lying(rng, (4, 5, 2), "rows", "float64")
    assert error(matmul(on_one, on_many), one, many) <= 1e-13
    few, on_few = lying(rng, (1, 2, 3, 5), "rows", "float64")
    all_, on_all = lying(rng, (4, 2, 5, 3), "columns", "float64")
    assert error(matmul(on_few, on_all), few, all_) <= 1e-13


def test_a_transposed_matrix_is_read_as_it_lies(device: str) -> None:
    rng = np.random.default_rng(0)
    on_a, on_b = (lying(rng, (2, 8, 8), "columns", "float32")[1] for _ in "ab")
    before = Copies.count
    matmul(on_a, on_b)
    assert Copies.count == before


@pytest.mark.parametrize("dtypes", [("int64", "int64"), ("int8", "int32"), ("uint8", "uint8")])
def test_whole_numbers_are_exact_and_wrap_around(device: str, dtypes: tuple[str, str]) -> None:
    import cupy

    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 100, (2, 5, 5)).astype(dtype) for dtype in dtypes)
    got: Any = matmul(cupy.asarray(a), cupy.asarray(b))
    expected = np.matmul(a, b)
    assert got.dtype == expected.dtype
    assert np.array_equal(got.get(), expected)
