"""Pooling on the device, beyond the contract: any window, wide taps, whole numbers, nan."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minifcn.kernels import cupy_kernels, numpy_kernels, reference
from minifcn.shapes import ShapeError
from minifcn.window import Window
from tests.cuda_emu.find import Cuda
from tests.devices import host, on

K: Any = cupy_kernels
NUMPY: Any = numpy_kernels
LOOPS: Any = reference

size, small = st.integers(1, 9), st.integers(1, 3)
pads = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def windows(draw: Any) -> Window:
    def two(one: Any) -> Any:
        return draw(st.tuples(one, one))

    image, kernel, stride, dilation = two(size), two(small), two(small), two(small)
    try:
        return Window.for_conv(
            "test", image, kernel, stride, two(pads), dilation, round_up=draw(st.booleans())
        )
    except ShapeError:
        assume(False)
        raise


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(window=windows(), C=st.sampled_from([1, 3, 4, 8]), step=st.sampled_from([1, 3]))
@pytest.mark.parametrize("device", ["cuda"])
def test_any_window_gives_what_the_loops_give(
    device: str, window: Window, C: int, step: int
) -> None:
    """Values of few sizes, so that there are equals; taps as they come, not only those that win."""
    rng = np.random.default_rng(C)
    x = rng.integers(0, 5, (2, C, *window.image)).astype(np.float64)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = -np.inf
    y, tap = K.max_pool2d(on(device, x), window)
    expected, taps = LOOPS.max_pool2d(x, window)
    assert np.array_equal(host(y), expected, equal_nan=True)
    assert np.array_equal(host(tap), taps)
    index = K.max_pool_indices(on(device, x), window)
    assert np.array_equal(host(index), LOOPS.max_pool_indices(x, window))

    KH, KW = window.kernel
    g, x = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    taps = rng.integers(0, KH * KW + 1, y.shape)
    (H, W), counts = window.image, ((-1, window.image[0] + step), (0, window.image[1]))
    for kernel, arrays, options in (
        ("max_pool_grad", (g, taps), ()),
        ("max_pool_take", (x, taps), ()),
        ("avg_pool2d", (x,), (counts, None)),
        ("avg_pool_grad", (g,), (counts, None)),
        ("avg_pool_grad", (g,), (((0, H), (0, W)), -step)),
    ):
        got = getattr(K, kernel)(*(on(device, a) for a in arrays), window, *options)
        loops = getattr(LOOPS, kernel)(*arrays, window, *options)
        assert np.allclose(host(got), loops, rtol=1e-12, atol=1e-12), kernel


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "int64"])
def test_whole_numbers_have_a_largest_too(cuda: Cuda, dtype: str, rng: np.random.Generator) -> None:
    window = Window.for_conv("test", (5, 6), (2, 3), 2, ((1, 0), (0, 1)), round_up=True)
    x = rng.integers(0, 100, (1, 16, 5, 6)).astype(dtype)
    if np.iinfo(dtype).min < 0:
        x[:, ::2] = np.iinfo(dtype).min  # as low as an empty window
    y, tap = K.max_pool2d(on("cuda", x), window)
    expected, taps = LOOPS.max_pool2d(x, window)
    assert y.dtype == x.dtype
    assert np.array_equal(host(y), expected)
    assert np.array_equal(host(tap), taps)


def test_taps_that_do_not_fit_a_byte(cuda: Cuda, rng: np.random.Generator) -> None:
    window = Window.for_conv("test", (18, 40), (15, 18), (2, 9), 3)
    x = rng.standard_normal((1, 4, 18, 40))
    x[..., -1] += 9  # winners at the end of a window
    y, tap = K.max_pool2d(on("cuda", x), window)
    expected, taps = NUMPY.max_pool2d(x, window)
    assert tap.dtype == taps.dtype == np.uint16
    assert host(tap).max() > 255
    assert np.array_equal(host(tap), taps)
    assert np.array_equal(host(y), expected)
    g = rng.standard_normal(y.shape)
    got = K.max_pool_grad(on("cuda", g), tap, window)
    assert np.allclose(host(got), NUMPY.max_pool_grad(g, taps, window), atol=1e-12)


def test_without_taps_the_same_values(cuda: Cuda, rng: np.random.Generator) -> None:
    window = Window.for_conv("test", (7, 6), (3, 3), 2, 1)
    x = on("cuda", rng.standard_normal((2, 5, 7, 6)).astype(np.float32))
    y, tap = K.max_pool2d(x, window, False)
    assert tap is None
    assert np.array_equal(host(y), host(K.max_pool2d(x, window)[0]))


def test_a_mean_over_the_whole_image(cuda: Cuda, rng: np.random.Generator) -> None:
    x = (rng.standard_normal((2, 8, 33, 31)) + 100).astype(np.float32)
    window = Window((33, 31), (1, 1), (33, 31), (33, 31))
    y = K.avg_pool2d(on("cuda", x), window, ((0, 33), (0, 31)), None)
    assert np.allclose(host(y)[..., 0, 0], x.astype(np.float64).mean((2, 3)), rtol=1e-6)
