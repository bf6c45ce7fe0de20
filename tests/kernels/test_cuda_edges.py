"""Arrays that start between two 16-byte addresses, or end there: wide loads and stores must do
without.

A GPU stops at a load that is not aligned; the emulator does so under the address sanitizer, so
`python tests/cuda_emu/sanitize.py address` runs this too.
"""

from typing import Any

import numpy as np
import pytest

from minifcn.checks import Case, cases
from tests.cuda_emu.find import Cuda
from tests.devices import host, kernels_of, native, on


def shifted(array: Any) -> Any:
    """The array on the device, one element behind a 16-byte address, its strides as they are."""
    import cupy

    room = np.zeros(array.nbytes + array.itemsize, np.uint8)
    made = np.ndarray(array.shape, array.dtype, room, array.itemsize, array.strides)
    made[...] = array
    place = cupy.asarray(room).data + array.itemsize
    return cupy.ndarray(array.shape, array.dtype, memptr=place, strides=array.strides)


def channels_last(array: Any) -> Any:
    """The same values, as the kernels want images; other arrays in C order."""
    if array.ndim != 4:
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", cases(), ids=str)
def test_arrays_may_start_anywhere(case: Case, dtype: Any, cuda: Cuda) -> None:
    arrays = [channels_last(a) for a in case.arrays(dtype=dtype)]
    assert results(case, [shifted(a) for a in arrays]) == results(
        case, [on("cuda", a) for a in arrays]
    )


def results(case: Case, arrays: list[Any]) -> list[bytes]:
    out = native(case.op, "cuda").forward(kernels_of("cuda"), *arrays)
    return [host(one).tobytes() for one in (out if type(out) is tuple else (out,))]


ONE = ["absolute", "exp", "relu", "sigmoid", "softplus", "tanh"]
TWO = ["add", "divide", "maximum", "subtract"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int8])
@pytest.mark.parametrize("kernel", ONE + TWO)
def test_lines_may_have_any_length(kernel: str, dtype: Any, cuda: Cuda) -> None:
    """What lies behind the last element stays as it is; the emulator looks."""
    whole = np.issubdtype(dtype, np.integer)
    if whole and kernel not in ("absolute", "relu", "add", "maximum", "subtract"):
        pytest.skip("only for fractions")
    rng = np.random.default_rng(0)
    for length in range(2 * 16 + 2):
        arrays = [(rng.integers(1, 50, length) / (1 if whole else 8)).astype(dtype) for _ in "ab"]
        arrays = arrays[: 1 if kernel in ONE else 2]
        got = getattr(kernels_of("cuda"), kernel)(*(on("cuda", a) for a in arrays)).get()
        expected = getattr(kernels_of("cpu"), kernel)(*arrays)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps if not whole else 0)
