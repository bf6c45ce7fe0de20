"""Every way to convolve on a GPU gives what the loops give: plain, depthwise, im2col.

The oracle is kernels.reference for small windows, and the readable way of the NumPy twin in float64
for what spans several tiles. What holds for all operators (odd layouts, alignment, vast arrays, the
order of threads) is in the contract and in test_cuda_edges, test_cuda_far and test_cuda_orders.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minifcn import Window
from minifcn.kernels import cupy_kernels as k
from minifcn.kernels import numpy_kernels
from minifcn.kernels import reference as loops
from minifcn.kernels.cupy_kernels import tiles
from minifcn.kernels.cupy_kernels.conv import plain
from minifcn.kernels.cupy_kernels.conv.choose import WAYS
from minifcn.kernels.cupy_kernels.conv.problem import Problem
from tests.devices import host

pytestmark = pytest.mark.parametrize("device", ["cuda"])

TRIAD = ("conv2d", "conv_transpose2d", "conv2d_weight")
OURS = ("plain", "depthwise", "im2col")  # tensor has a file of its own

# Largest error, relative to the largest result.
ERROR = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3}

every_direction = pytest.mark.parametrize("direction", TRIAD)


class Sizes:
    """A window and what stands around it."""

    def __init__(self, window: Window, N: int, C: int, O: int) -> None:
        self.window, self.N, self.C, self.O = window, N, C, O

    def __repr__(self) -> str:
        return f"N={self.N} C={self.C} O={self.O} {self.window}"

    def arrays(self, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
        """x: N C H W, w: O C/G KH KW, g: N O P Q."""
        rng = np.random.default_rng(0)
        shapes = (
            (self.N, self.C, *self.window.image),
            (self.O, self.C // self.window.groups, *self.window.kernel),
            (self.N, self.O, *self.window.out),
        )
        x, w, g = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        return x, w, g

    def problem(self, direction: str, dtype: str) -> Problem:
        return Problem(direction, self.N, self.C, self.O, self.window, np.dtype(dtype))


def inputs(direction: str, x: Any, w: Any, g: Any) -> tuple[Any, Any]:
    return {"conv2d": (x, w), "conv_transpose2d": (g, w), "conv2d_weight": (x, g)}[direction]


def run(way: Any, direction: str, arrays: Any, window: Window, **options: Any) -> Any:
    """What `way` computes on the device, on the host and exact."""
    import cupy

    given = [cupy.asarray(a) for a in inputs(direction, *arrays)]
    y = getattr(way, direction)(*given, window, **options)
    assert y.dtype == arrays[0].dtype
    return y.get().astype(np.float64)


def judge(k: Any, direction: str, arrays: Any, window: Window) -> Any:
    exact = [a.astype(np.float64) for a in inputs(direction, *arrays)]
    return getattr(k, direction)(*exact, window)


def error(got: Any, expected: Any) -> float:
    """Largest difference, relative to the largest number."""
    assert got.shape == expected.shape
    assert np.isfinite(got).all()
    scale = np.abs(expected).max(initial=0) or 1.0
    return float(np.abs(got - expected).max(initial=0) / scale)


def two(axes: list[int]) -> tuple[int, int]:
    return axes[0], axes[1]


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Kernels 1 to 5, strides, dilations, lopsided and negative pads, groups, 0 to 3 images."""
    kernel, stride, dilation = (
        [draw(st.integers(1, most)), draw(st.integers(1, most))] for most in (5, 4, 3)
    )
    groups = draw(st.integers(1, 3))
    C, O = (groups * draw(st.sampled_from([1, 2, 3, 4, 8])) for _ in range(2))
    image, out, near = [0, 0], [0, 0], [0, 0]
    for axis in (0, 1):
        span = dilation[axis] * (kernel[axis] - 1) + 1
        near[axis] = draw(st.integers(0, 3))
        out[axis] = draw(st.integers(1, 5))
        reach = stride[axis] * (out[axis] - 1) + span
        far = draw(st.integers(-max(stride[axis], dilation[axis]), 3))  # < 0: pixels never read
        image[axis] = max(reach - near[axis] - far, 1)
    window = Window(
        two(image), two(out), two(kernel), two(stride), two(dilation), two(near), groups
    )
    return Sizes(window, draw(st.integers(0, 3)), C, O)


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERROR)
@pytest.mark.parametrize("way", OURS)
@given(case=sizes())
@settings(max_examples=25, deadline=None)
def test_every_way_is_the_loops(way: str, dtype: str, case: Sizes, device: str) -> None:
    arrays = case.arrays(dtype)
    for direction in TRIAD:
        if WAYS[way].takes(case.problem(direction, dtype)):
            got = run(WAYS[way], direction, arrays, case.window)
            expected = judge(numpy_kernels, direction, arrays, case.window)
            assert error(got, expected) <= ERROR[dtype], direction


@given(case=sizes())
@settings(max_examples=25, deadline=None)
def test_what_is_chosen_is_the_loops(case: Sizes, device: str) -> None:
    arrays = case.arrays()
    for direction in TRIAD:
        got = run(k, direction, arrays, case.window)
        assert error(got, judge(loops, direction, arrays, case.window)) <= 1e-12, direction


@given(case=sizes())
@settings(max_examples=25, deadline=None)
def test_unfold_and_fold_are_the_loops(case: Sizes, device: str) -> None:
    import cupy

    x = case.arrays()[0]
    col = loops.unfold(x, case.window)
    assert np.array_equal(host(k.unfold(cupy.asarray(x), case.window)), col)
    col = np.random.default_rng(1).standard_normal(col.shape)
    got = host(k.fold(cupy.asarray(col), case.window))
    assert error(got, loops.fold(col, case.window)) <= 1e-12


@given(case=sizes())
@settings(max_examples=25, deadline=None)
def test_the_triad_is_one_trilinear_form(case: Sizes, device: str) -> None:
    x, w, g = arrays = case.arrays()
    by_y = np.vdot(run(k, "conv2d", arrays, case.window), g)
    by_x = np.vdot(run(k, "conv_transpose2d", arrays, case.window), x)
    by_w = np.vdot(run(k, "conv2d_weight", arrays, case.window), w)
    assert np.allclose([by_x, by_w], by_y, rtol=1e-10, atol=1e-9)


# ---- tiles ---------------------------------------------------------------------------------------


@pytest.fixture(params=tiles.EVERY, ids=lambda t: f"{t.ROWS}x{t.COLS} of {t.THREADS}")
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tiles.Tile]:
    """Whatever the shapes, this tile."""
    made: tiles.Tile = request.param
    monkeypatch.setattr(plain, "tile_for", lambda *_: made)
    caches: list[Any] = [plain._forward, plain._weight]
    for cache in caches:
        cache.cache_clear()
    yield made
    for cache in caches:
        cache.cache_clear()


@every_direction
def test_a_product_spans_several_ragged_tiles(
    direction: str, tile: tiles.Tile, device: str
) -> None:
    """More rows, columns and steps than one tile has, by numbers that no tile divides."""
    # A run of 4 channels is one load, any other number is read one by one.
    C, O = (36, 132) if tile not in tiles.SINGLE else (35, 67)
    window = Window.for_conv("test", (19, 21), (3, 2), (2, 1), ((1, 0), (1, 1)), (1, 2))
    case = Sizes(window, 2, C, O)
    arrays = case.arrays(np.float32)
    got = run(plain, direction, arrays, window)
    assert error(got, judge(numpy_kernels, direction, arrays, window)) <= 2e-6


@pytest.mark.parametrize(("C", "O"), [(8, 3), (3, 8)])
@every_direction
def test_one_operand_in_fours_and_the_other_one_by_one(
    direction: str, C: int, O: int, device: str
) -> None:
    case = Sizes(Window.for_conv("test", (9, 8), (3, 3), (2, 2), 1), 2, C, O)
    arrays = case.arrays(np.float32)
    got = run(plain, direction, arrays, case.window)
    assert error(got, judge(loops, direction, arrays, case.window)) <= 2e-6


@pytest.mark.parametrize("steps", [504, 511, 512, 516, 1024, 1027])
@every_direction
def test_a_long_sum_is_taken_up_again(direction: str, steps: int, device: str) -> None:
    """After every 512 products the sums are put aside; at the end nothing is missing."""
    window = Window.for_conv("test", (1, steps if direction == "conv2d_weight" else 3), (1, 1))
    channels = {"conv2d": (steps, 2), "conv_transpose2d": (2, steps), "conv2d_weight": (2, 2)}
    case = Sizes(window, 1, *channels[direction])
    arrays = case.arrays()
    got = run(plain, direction, arrays, window)
    assert error(got, judge(numpy_kernels, direction, arrays, window)) <= 1e-13


def test_a_long_sum_of_floats_is_as_good_as_on_the_cpu(device: str) -> None:
    """Positive numbers: one plain sum would be off by 2.4e-6."""
    window = Window.for_conv("test", (6, 6), (3, 3), 1, 1)
    x, w, g = (abs(a) for a in Sizes(window, 1, 512, 8).arrays(np.float32))
    got = run(plain, "conv2d", (x, w, g), window)
    assert error(got, judge(numpy_kernels, "conv2d", (x, w, g), window)) <= 6e-7


@pytest.mark.parametrize("way", ["plain", "depthwise"])
def test_the_weight_of_many_pixels_is_added_up_in_parts(way: str, device: str) -> None:
    """Positive numbers: a plain sum of so many would lose three digits more."""
    groups = 2 if way == "depthwise" else 1
    window = Window.for_conv("test", (190, 190), (2, 1), groups=groups)
    rng = np.random.default_rng(0)
    x, g = (rng.random((1, 2, *size), np.float32) for size in (window.image, window.out))
    arrays = x, x, g
    got = run(WAYS[way], "conv2d_weight", arrays, window)
    assert error(got, judge(numpy_kernels, "conv2d_weight", arrays, window)) <= 1e-6


@every_direction
@pytest.mark.parametrize("way", OURS)
def test_twice_the_same_bits(way: str, direction: str, device: str) -> None:
    case = Sizes(Window.for_conv("test", (33, 35), (3, 3), 2, 1, groups=2), 3, 4, 6)
    arrays = case.arrays(np.float32)
    first, second = (run(WAYS[way], direction, arrays, case.window) for _ in range(2))
    assert np.array_equal(first, second)


# ---- what is done on the way ---------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["conv2d", "conv_transpose2d"])
@pytest.mark.parametrize("way", OURS)
def test_bias_and_rectifier_on_the_way(way: str, direction: str, device: str) -> None:
    import cupy

    case = Sizes(Window.for_conv("test", (7, 6), (3, 2), 2, 1, groups=2), 2, 4, 6)
    arrays = case.arrays()
    expected = judge(loops, direction, arrays, case.window)
    bias = np.random.default_rng(1).standard_normal(expected.shape[1])
    expected += bias[:, None, None]
    on_device = cupy.asarray(bias)
    got = run(WAYS[way], direction, arrays, case.window, bias=on_device)
    assert error(got, expected) <= 1e-12
    got = run(WAYS[way], direction, arrays, case.window, bias=on_device, relu=True)
    assert error(got, np.maximum(expected, 0)) <= 1e-12
    got = run(WAYS[way], direction, arrays, case.window, relu=True)
    assert got.min() == 0


@pytest.mark.parametrize("way", OURS)
def test_a_nan_passes_the_rectifier(way: str, device: str) -> None:
    case = Sizes(Window.for_conv("test", (3, 3), (1, 1), groups=2), 1, 2, 2)
    x, w, g = case.arrays()
    x[0, 1, 1, 2] = np.nan
    import cupy

    y = WAYS[way].conv2d(cupy.asarray(x), cupy.asarray(w), case.window, relu=True).get()
    assert np.argwhere(np.isnan(y)).tolist() == [[0, 1, 1, 2]]


@every_direction
@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize(("N", "C", "O"), [(0, 2, 4), (2, 0, 4), (2, 2, 0)])
def test_no_images_or_no_channels(
    way: str, direction: str, N: int, C: int, O: int, device: str
) -> None:
    case = Sizes(Window.for_conv("test", (5, 4), (3, 2), 2, 1, groups=2), N, C, O)
    arrays = case.arrays()
    got = run(WAYS[way], direction, arrays, case.window)
    assert np.array_equal(got, judge(loops, direction, arrays, case.window)), "zeros, or nothing"
