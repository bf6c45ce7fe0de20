"""Matrix products on tensor cores: in rows or turned, odd sizes, a batch of rows, nothing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn.kernels import cupy_kernels
from minifcn.kernels.cupy_kernels.conv import tensor
from minifcn.kernels.cupy_kernels.conv.problem import Problem
from tests.kernels.triad import on_device, tf32_numbers

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.fixture(autouse=True)
def tf32_is_allowed() -> Iterator[None]:
    mf.set_float32_matmul_precision("high")
    yield
    mf.set_float32_matmul_precision("highest")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the tensor cores answered to every product."""
    answers: list[bool] = []
    takes = tensor.takes

    def heard(problem: Problem) -> bool:
        answers.append(takes(problem))
        return answers[-1]

    monkeypatch.setattr(tensor, "takes", heard)
    return answers


def matrix(rows: int, columns: int, turned: bool, dtype: str, seed: int) -> Any:
    shape = (columns, rows) if turned else (rows, columns)
    x = tf32_numbers(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
    return on_device(x.astype(dtype)).T if turned else on_device(x.astype(dtype))


def check(a: Any, b: Any) -> None:
    expected = a.get().astype(np.float64) @ b.get().astype(np.float64)
    size = np.abs(a.get().astype(np.float64)) @ np.abs(b.get().astype(np.float64))
    y: Any = cupy_kernels.matmul(a, b)
    assert y.dtype == a.dtype and y.flags.c_contiguous
    error = np.abs(y.get().astype(np.float64) - expected)
    assert np.all(error <= (2.0**-10 if a.dtype == np.float16 else 2.0**-20) * size)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
@pytest.mark.parametrize(
    ("M", "K", "N"), [(5, 8, 3), (66, 13, 9), (1, 40, 1), (3, 0, 2), (0, 4, 4)]
)
def test_two_matrices(
    M: int, K: int, N: int, a_turned: bool, b_turned: bool, dtype: str, asked: list[bool]
) -> None:
    check(matrix(M, K, a_turned, dtype, 0), matrix(K, N, b_turned, dtype, 1))
    assert asked == [True]


def test_many_rows_and_one_matrix(asked: list[bool]) -> None:
    a = matrix(6, 8, False, "float16", 0).reshape(2, 3, 8)
    check(a, matrix(8, 5, True, "float16", 1))
    assert asked == [True]


def test_a_batch_of_products_and_exact_ones_go_elsewhere(asked: list[bool]) -> None:
    a, b = matrix(6, 8, False, "float16", 0), matrix(16, 5, False, "float16", 1)
    check(a.reshape(2, 3, 8), b.reshape(2, 8, 5))
    assert asked == []
    mf.set_float32_matmul_precision("highest")
    check(matrix(3, 4, False, "float32", 0), matrix(4, 5, False, "float32", 1))
    assert asked == []
