"""The launcher refuses what CuPy would pass on as garbage, and says which argument does not fit."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifcn.kernels.cupy_kernels import launch
from minifcn.kernels.cupy_kernels.launch import Parameter, blocks, declarations, fitted, program
from minifcn.kernels.cupy_kernels.structs import view_struct, window_struct
from minifcn.window import Window

SOURCE = """// trial.cu: kernels to launch rightly and wrongly.
// Builds  REAL=floating|integer WORD=uint8|uint16|uint32|uint64
#include "common.cuh"

extern "C" __global__ void scaled(const REAL* x, float factor, int32 shift, bool on,
                                  REAL* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = on ? narrow<REAL>(wide(x[i]) * factor + shift) : x[i];
}
extern "C" __global__ void __launch_bounds__(32 * (1 + 1), 2)
moved(const WORD* x,
      WORD* y, const View from, const __grid_constant__ Window w, int64 n) {
  int64 i = line();
  if (i < n) y[i] = x[place(from, i)] + (w.H - w.H);
}
extern "C" __global__ void marked(int32* y) { y[blockIdx.x] = (int32)gridDim.x; }
extern "C" __global__ void roomy(int32* y, int64 n) {
  extern __shared__ __align__(16) char room[];
  int32* own = (int32*)room;
  for (int64 i = threadIdx.x; i < n; i += blockDim.x) own[i] = (int32)i;
  __syncthreads();
  if (threadIdx.x == 0) y[0] = own[n - 1];
}
"""


@pytest.fixture(autouse=True)
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> Iterator[None]:
    """The kernels above as cuda/trial.cu, beside the package's own headers."""
    for header in launch.FOLDER.glob("*.cuh"):
        (tmp_path / header.name).write_text(header.read_text("utf-8"), "utf-8")
    (tmp_path / "trial.cu").write_text(SOURCE, "utf-8")
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    monkeypatch.setattr(launch, "source", launch.source.__wrapped__)
    monkeypatch.setattr(launch, "_program", launch._program.__wrapped__)
    yield


pytestmark = pytest.mark.parametrize("device", ["cuda"])


def trial_of(dtype: Any = "f4") -> launch.Program:
    return program("trial", REAL=np.dtype(dtype), WORD=launch.word(dtype))


def on_device(array: Any) -> Any:
    import cupy

    return cupy.asarray(array)


# ---- what fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1"])
def test_arguments_are_cast_as_the_kernel_declares(dtype: str) -> None:
    """A Python float for a `float`, an int for an `int32`, NumPy's numbers of any width."""
    x, y = on_device(np.arange(5, dtype=dtype)), on_device(np.zeros(5, dtype))
    for factor, shift, n in ((2.0, 1, 5), (np.float64(2), np.int8(1), np.uint64(5)), (2, True, 5)):
        trial_of(dtype)("scaled", 1, 32, x, factor, shift, True, y, n)
        assert y.get().tolist() == [1, 3, 5, 7, 9]
    trial_of(dtype)("scaled", 1, 32, x, 2.0, 1, np.False_, y, 5)
    assert y.get().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", ["i1", "f2", "?", "f4", "i8", "f8"])
def test_movers_take_any_type_of_their_width(dtype: str) -> None:
    x, y = on_device(np.array([0, 1, 1, 0], dtype)), on_device(np.zeros(2, dtype))
    every_other = view_struct([2], [2])
    window = window_struct(Window.for_conv("test", (4, 4), (1, 1)))
    trial_of(dtype)("moved", 1, 32, x, y, every_other, window, 2)
    assert y.get().tolist() == [0, 1]


def test_a_grid_without_blocks_is_no_launch() -> None:
    """CuPy would launch one block."""
    y = on_device(np.zeros(3, np.int32))
    trial_of()("marked", 0, 1, y)
    trial_of()("marked", (2, 0), 1, y)
    assert y.get().tolist() == [0, 0, 0]
    trial_of()("marked", (2, 1, 1), (1, 1), y)
    assert y.get().tolist() == [2, 2, 0]


def test_as_many_blocks_as_elements_need() -> None:
    assert [blocks(n, 4) for n in (0, 1, 4, 5, 2**40)] == [0, 1, 1, 2, 2**38]


def test_shared_memory_beyond_48_kb_is_asked_for() -> None:
    y = on_device(np.zeros(1, np.int32))
    for size in (16, 20_000, 10):
        trial_of()("roomy", 1, 32, y, size, shared=4 * size)
        assert y.get().tolist() == [size - 1]


def test_a_program_is_compiled_once_per_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_program", lru_cache(launch._program))
    assert trial_of("f4") is program("trial", WORD="uint32", REAL="float") is not trial_of("f8")
    assert program("trial", N=3, ON=True).defines == {"N": "3", "ON": "1"}


# ---- what does not -------------------------------------------------------------------------------


def refused(error: type[Exception], said: str, kernel: str, *arguments: Any, grid: Any = 1) -> None:
    with pytest.raises(error) as caught:
        trial_of()(kernel, grid, 32, *arguments)
    assert str(caught.value) == f"trial.cu {kernel}: {said}"


def good() -> list[Any]:
    return [on_device(np.zeros(5, np.float32)), 1.0, 1, True, on_device(np.zeros(5, np.float32)), 5]


def test_the_count_of_arguments() -> None:
    names = "expected 6: x, factor, shift, on, y, n"
    refused(TypeError, f"5 arguments, {names}", "scaled", *good()[:5])
    refused(TypeError, f"7 arguments, {names}", "scaled", *good(), 1)


@pytest.mark.parametrize(
    ("place", "value", "error", "said"),
    [
        (0, np.zeros(5, np.float32), TypeError, "x is a ndarray, expected a device array of float"),
        (0, 1.0, TypeError, "x is a float, expected a device array of float"),
        (1, "2", TypeError, "factor is a str, expected a float"),
        (1, None, TypeError, "factor is a NoneType, expected a float"),
        (2, 1.5, ValueError, "shift is 1.5, which is no int32"),
        (2, 2**31, ValueError, "shift is 2147483648, which is no int32"),
        (2, -(2**31) - 1, ValueError, "shift is -2147483649, which is no int32"),
        (2, float("nan"), ValueError, "shift is nan, which is no int32"),
        (5, float("inf"), ValueError, "n is inf, which is no int64"),
        (5, 2**63, ValueError, "n is 9223372036854775808, which is no int64"),
    ],
)
def test_values_that_do_not_fit(place: int, value: Any, error: Any, said: str) -> None:
    arguments = good()
    arguments[place] = value
    refused(error, said, "scaled", *arguments)


def test_arrays_that_do_not_fit() -> None:
    doubles = on_device(np.zeros(5))
    refused(TypeError, "x has dtype float64, expected float", "scaled", doubles, *good()[1:])
    whole = on_device(np.zeros(5, np.int32))  # as wide as a float
    refused(TypeError, "x has dtype int32, expected float", "scaled", whole, *good()[1:])
    singles, _, *others = good()
    said = "factor is a ndarray, expected a float"
    refused(TypeError, said, "scaled", singles, singles, *others)
    square = on_device(np.zeros((5, 5), np.float32))
    said = "x (5, 5) with strides (4, 20) is not contiguous"
    refused(ValueError, said, "scaled", square.transpose(1, 0), *good()[1:])
    refused(
        ValueError,
        "x (5,) with strides (20,) is not contiguous",
        "scaled",
        square[:, 0],
        *good()[1:],
    )


def test_words_must_be_as_wide() -> None:
    x, y = on_device(np.zeros(4, np.float32)), on_device(np.zeros(4))
    view, window = view_struct([4], [1]), window_struct(Window.for_conv("test", (4, 4), (1, 1)))
    refused(TypeError, "y has dtype float64, expected uint32", "moved", x, y, view, window, 4)


def test_structs_are_those_declared() -> None:
    x = on_device(np.zeros(4, np.float32))
    view, window = view_struct([4], [1]), window_struct(Window.for_conv("test", (4, 4), (1, 1)))
    said = "from is a struct Window, expected a struct View"
    refused(TypeError, said, "moved", x, x, window, window, 4)
    refused(TypeError, "w is a int, expected a struct Window", "moved", x, x, view, 3, 4)


def test_the_grid_has_limits() -> None:
    refused(ValueError, "axis x of the grid is -1, most 2147483647", "marked", None, grid=-1)
    refused(
        ValueError, "axis x of the grid is 2147483648, most 2147483647", "marked", None, grid=2**31
    )
    refused(ValueError, "axis y of the grid is 65536, most 65535", "marked", None, grid=(1, 65536))
    refused(
        ValueError, "axis z of the grid is 65536, most 65535", "marked", None, grid=(1, 1, 65536)
    )


def test_types_that_no_kernel_has() -> None:
    with pytest.raises(TypeError, match="cuda: dtype complex64 has no kernels"):
        program("trial", REAL=np.complex64)


def test_a_view_has_at_most_six_axes() -> None:
    with pytest.raises(ValueError, match="cuda: an array of 7 axes, expected at most 6"):
        view_struct([2] * 7, [1] * 7)


# ---- reading declarations ------------------------------------------------------------------------


def test_declarations_are_read() -> None:
    found = declarations(SOURCE, {"REAL": "half16", "WORD": "uint16"})
    assert list(found) == ["scaled", "moved", "marked", "roomy"]
    assert found["scaled"][:3] == (
        Parameter("x", "half16", True), Parameter("factor", "float", False),
        Parameter("shift", "int32", False),
    )  # fmt: skip
    assert found["moved"] == (
        Parameter("x", "uint16", True, True), Parameter("y", "uint16", True, True),
        Parameter("from", "View", False), Parameter("w", "Window", False),
        Parameter("n", "int64", False),
    )  # fmt: skip


def test_headers_are_put_in_once_and_lines_keep_their_numbers() -> None:
    text = launch.source("trial")
    assert text.count("struct Window {") == 1 and '#include "common.cuh"' not in text
    assert "#pragma once" not in text
    _, _, own = text.rpartition("#line ")
    number, _, rest = own.partition("\n")
    assert number.split() == ["4", '"trial.cu"']
    assert rest.splitlines() == SOURCE.splitlines()[3:]


def test_an_array_that_is_not_there_is_the_pointer_to_nothing() -> None:
    """None itself would be no argument at all for CuPy."""
    null = fitted("here", Parameter("bias", "float", True), None)
    assert type(null) is np.uint64 and null == 0
