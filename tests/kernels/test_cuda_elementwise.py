"""Element-wise kernels on a GPU beyond the contract: every dtype, wild values, odd places.

The oracle is NumPy's twin, since the loops of the reference know neither inf nor whole numbers that
wrap around; in float64 for halves, which are computed in float and rounded once.
"""

from typing import Any

import numpy as np
import pytest

from minifcn.kernels import cupy_kernels, numpy_kernels, reference
from tests.devices import host, on

pytestmark = pytest.mark.usefixtures("cuda")

WHOLE = "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
FLOATS = ("float16", "bfloat16", "float32", "float64")

TWO = ("add", "subtract", "multiply", "maximum", "minimum")
ONE = ("absolute", "sign", "relu", "copy")
FRACTIONS_TWO = ("divide", "relu_grad")
FRACTIONS_ONE = ("exp", "log", "tanh", "sigmoid", "softplus")

WILD = [0.0, -0.0, 1.0, -1.0, 0.5, -3.25, 1e-3, 87.0, -87.0, 1e4, np.inf, -np.inf, np.nan]


def dtype_of(name: str) -> Any:
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def wild(name: str) -> tuple[Any, Any]:
    """Every pair of wild values, as two arrays."""
    a, b = np.meshgrid(WILD, WILD)
    return a.astype(dtype_of(name)), b.astype(dtype_of(name))


def whole(name: str) -> tuple[Any, Any]:
    limits = np.iinfo(name)
    few = [limits.min, limits.min + 1, 0, 1, 2, 3, 7, limits.max - 1, limits.max]
    a, b = np.meshgrid(np.array(few, name), np.array(few, name))
    return a, b


def on_cuda(kernel: str, *arguments: Any) -> Any:
    placed = [on("cuda", a) if isinstance(a, np.ndarray) else a for a in arguments]
    return host(getattr(cupy_kernels, kernel)(*placed))


def check(kernel: str, *arguments: Any) -> None:
    """Equal to NumPy's, to rounding; for halves to that of their last digit."""
    got = on_cuda(kernel, *arguments)
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    dtype = arrays[-1].dtype
    half = dtype.itemsize == 2 and dtype.kind not in "iu"
    exact = [
        a.astype("f8") if half and isinstance(a, np.ndarray) and a.dtype != bool else a
        for a in arguments
    ]
    with np.errstate(all="ignore"):
        expected = getattr(numpy_kernels, kernel)(*exact)
        assert got.shape == expected.shape
        assert got.dtype == (dtype if half else expected.dtype), kernel
        if got.dtype.kind in "iub":
            assert np.array_equal(got, expected), kernel
            return
        rounded = expected.astype(got.dtype).astype("f8")
    error = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2e-6, "float64": 1e-14}[
        got.dtype.name
    ]
    least = {"float16": 2**-24, "bfloat16": 1e-38, "float32": 1e-44, "float64": 0}[got.dtype.name]
    np.testing.assert_allclose(got.astype("f8"), rounded, rtol=error, atol=least, err_msg=kernel)


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLOATS)
def test_wild_fractions(name: str) -> None:
    """nan and inf appear where the formulas give them."""
    a, b = wild(name)
    for kernel in TWO + FRACTIONS_TWO:
        check(kernel, a, b)
    for kernel in ONE + FRACTIONS_ONE:
        check(kernel, a)
    check("larger_grad", np.ones_like(a), a, b)
    check("leaky_relu", a, 0.125)
    check("leaky_relu_grad", b, a, 0.125)
    check("prelu", b, a, np.full_like(a, 0.25))
    check("prelu_weight", b, np.ones_like(a), a)
    for number in (0.0, 2.5, -1.0, float("inf")):
        for kernel in ("scale", "shift"):
            check(kernel, a, number)
    for exponent in (2, -1, 0.5, 3, 0, 1.5):
        check("power", a, exponent)
    check("clamp", a, -1.0, 2.0)
    check("clamp", a, -float("inf"), 0.5)
    check("clamp_grad", b, a, -1.0, 2.0)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name: str) -> None:
    """They wrap around as NumPy's do, and lose no digit."""
    a, b = whole(name)
    for kernel in TWO:
        check(kernel, a, b)
    for kernel in ONE:
        check(kernel, a)
    for number in (3, 1, 100):
        for kernel in ("scale", "shift"):
            check(kernel, a, number)
    check("shift", a, np.iinfo(name).max)
    for exponent in (0, 1, 2, 5):
        check("power", a, exponent)
    check("clamp", a, 1, float("inf"))
    check("clamp", a, -float("inf"), 2)
    check("clamp", a, 2, 3)
    check("divide", a, b)
    check("scale", a, 0.5)


def test_a_negative_power_of_whole_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="power: whole numbers to a negative exponent"):
        on_cuda("power", np.arange(3), -1)


@pytest.mark.parametrize("left", WHOLE)
@pytest.mark.parametrize("right", ["int8", "uint16", "int64", "uint64"])
def test_whole_numbers_of_two_kinds_meet_where_numpy_lets_them(left: str, right: str) -> None:
    a, b = np.array([1, 2, 100], left), np.array([3, 0, 120], right)
    got, expected = on_cuda("add", a, b), a + b
    assert got.dtype == expected.dtype and np.array_equal(got, expected)


def test_bools_count() -> None:
    mask = np.array([True, False, True])
    check("scale", mask, 3)
    check("shift", mask, 2)
    check("scale", mask, 0.5)


CASTS = {(name, to) for name in ("bool", *WHOLE, *FLOATS) for to in ("float32", "int64")}
CASTS |= {(to, name) for name, to in CASTS} | {("float16", "bfloat16"), ("bfloat16", "float16")}


@pytest.mark.parametrize(("name", "to"), sorted(CASTS))
def test_casts(name: str, to: str) -> None:
    """Small numbers go everywhere and back; fractions are cut off."""
    x = np.array([0.0, 1.0, 2.75, 100.5]).astype(dtype_of(name))
    got = on_cuda("cast", x, to)
    assert got.dtype == dtype_of(to) and np.array_equal(got, x.astype(dtype_of(to)))


def test_what_is_too_large_for_a_half_is_infinite() -> None:
    x = np.array([65504, 65519, 65520, -1e6, 1e-9, np.nan], np.float32)
    with np.errstate(over="ignore"):
        assert np.array_equal(on_cuda("cast", x, "float16"), x.astype("f2"), equal_nan=True)


@pytest.mark.parametrize("name", ["bool", *WHOLE, *FLOATS])
def test_full_is_of_the_dtype_of_like(name: str) -> None:
    like = np.zeros(3, dtype_of(name))
    got = on_cuda("full", (2, 3, 1, 2), 1, like)
    assert got.dtype == like.dtype and got.shape == (2, 3, 1, 2) and (got == 1).all()
    if name == "int64":
        assert on_cuda("full", (1,), 2**60 + 1, like).tolist() == [2**60 + 1]


@pytest.mark.parametrize("name", ["bool", "int8", "int64", *FLOATS])
def test_masks_choose_bit_by_bit(name: str) -> None:
    """inf and nan that are not chosen leave no trace; a mask of numbers counts what is not 0."""
    a, b = (
        np.array(v).astype(dtype_of(name)) for v in ([1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0])
    )
    if name in FLOATS:
        a[2], b[3] = np.inf, np.nan
    for mask in (np.array([True, False, True, True]), np.array([2, 0, -1, 1], "i4")):
        chosen = mask != 0
        assert np.array_equal(on_cuda("select", mask, a, b), np.where(chosen, a, b))
        for keep in (True, False):
            expected = np.where(chosen == keep, b, b.dtype.type(0))
            got = on_cuda("masked", b, mask, keep)
            assert np.array_equal(got.astype("f8"), expected.astype("f8"), equal_nan=True)


# ---- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 255, 256, 257, 1023, 1024, 4097])
@pytest.mark.parametrize("name", ["float16", "float32", "float64", "int8"])
def test_every_size_around_blocks_and_packs(size: int, name: str) -> None:
    rng = np.random.default_rng(size)
    a, b = (rng.integers(-9, 9, size).astype(name) for _ in range(2))
    check("add", a, b)
    check("maximum", a, b)
    check("relu", a)


@pytest.mark.parametrize("first", range(9))
@pytest.mark.parametrize("name", ["float16", "float32", "float64", "uint8"])
def test_arrays_that_start_anywhere(first: int, name: str) -> None:
    """Not every array starts at a multiple of 16 bytes."""
    a, b = np.arange(60).astype(name), np.arange(60)[::-1].astype(name)
    x, y = on("cuda", a), on("cuda", b)
    got = host(cupy_kernels.subtract(x[first : first + 41], y[8 - first : 49 - first]))
    assert np.array_equal(got, a[first : first + 41] - b[8 - first : 49 - first])


@pytest.mark.parametrize(
    "shape", [(), (0,), (1, 1, 1, 1), (2, 3, 4, 5), (3, 1, 2, 1), (2, 3), (2, 1, 3, 2, 2)]
)
def test_shapes_and_orders(shape: tuple[int, ...]) -> None:
    """Each input in an order of its own: as it is, axes reversed, from the end, repeated."""
    rng = np.random.default_rng(0)
    plain = np.asarray(rng.standard_normal(shape))
    turned = np.asarray(rng.standard_normal(shape[::-1])).transpose()
    mirrored = plain.copy()[(slice(None, None, -1),) * len(shape)]
    repeated = np.broadcast_to(np.asarray(rng.standard_normal(shape[-1:])), shape)
    for a, b in ((plain, turned), (turned, mirrored), (repeated, plain), (mirrored, repeated)):
        a, b = np.asarray(a), np.asarray(b)
        got = on_cuda("multiply", a, b)
        assert got.shape == shape and np.array_equal(got, a * b)
        check("larger_grad", a, b, plain)
    assert np.array_equal(on_cuda("copy", turned), turned)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_counting_up_is_in_place_wherever_it_lies(dtype: Any) -> None:
    for shape, every in (((), ...), ((5,), slice(None, None, 2)), ((2, 3, 4, 5), ...)):
        start = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
        there, slow = on("cuda", start), start.copy()
        cupy_kernels.count_up(there[every])
        reference.count_up(slow[every])
        np.testing.assert_array_equal(host(there), slow)
        fast = start.copy()
        numpy_kernels.count_up(fast[every])
        np.testing.assert_array_equal(fast, slow)
