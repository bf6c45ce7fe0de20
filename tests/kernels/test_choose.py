"""The choice of an algorithm: by shapes alone, forced on request, never inexact in float64."""

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn import Window
from minifcn.kernels.forced import forced
from minifcn.kernels.numpy_kernels import conv, memory
from minifcn.kernels.numpy_kernels.conv.choose import (
    ALGORITHMS,
    Choice,
    Problem,
    choose,
    fits,
)

DIRECTIONS = ("conv2d", "conv_transpose2d", "conv2d_weight")


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    sizes = st.sampled_from([1, 2, 3, 8, 16, 64, 512])
    small = st.sampled_from([1, 2, 3])
    C, O = draw(sizes), draw(sizes)
    groups = draw(st.sampled_from([1, C])) if C == O else 1
    kernel, stride, dilation = ((draw(small), draw(small)) for _ in range(3))
    image = draw(st.sampled_from([8, 9, 61, 224])), draw(st.sampled_from([8, 33, 256]))
    window = Window.for_conv("test", image, kernel, stride, 1, dilation, groups)
    direction = draw(st.sampled_from(DIRECTIONS))
    return Problem(direction, draw(st.integers(0, 8)), C, O, window, draw(st.sampled_from("fd")))


@given(problems(), st.sampled_from([None, *ALGORITHMS]))
def test_what_is_chosen_fits_and_says_why(problem: Problem, wish: str | None) -> None:
    choice = choose(problem, wish)
    assert fits(choice.algorithm, problem)
    assert choice.reason and "\n" not in choice.reason
    if wish is not None and fits(wish, problem):
        assert choice.algorithm == wish
    elif wish is not None:
        assert choice == choose(problem)


@given(problems(), st.sampled_from([None, *ALGORITHMS]))
def test_float64_never_takes_winograd(problem: Problem, wish: str | None) -> None:
    assert "winograd" not in choose(problem._replace(dtype="d"), wish).algorithm


@pytest.mark.parametrize(
    "K, fitting", [(32, True), (31, True), (29, True), (27, False), (16, True)]
)
def test_almost_whole_blocks_will_do_on_the_way_up(K: int, fitting: bool) -> None:
    window = Window((48, 48), (3, 3), (K, K), (16, 16))
    assert fits("blocks", Problem("conv_transpose2d", 1, 4, 4, window, "f")) == fitting
    assert fits("blocks", Problem("conv2d", 1, 4, 4, window, "f")) == (K % 16 == 0)


def test_im2col_fits_everything() -> None:
    for groups, stride in ((1, 1), (2, 3)):
        window = Window.for_conv("test", (9, 9), (2, 3), stride, 1, 2, groups)
        assert all(fits("im2col", Problem(d, 1, 4, 4, window, "d")) for d in DIRECTIONS)


# fmt: off
EXPECTED = [  # x, weight, stride, dilation, groups -> what the layers of real networks should take
    ((8, 64, 96, 128), (64, 64, 3, 3), 1, 1, 1, "winograd2"),
    ((8, 128, 48, 64), (128, 128, 3, 3), 1, 2, 1, "winograd2"),
    ((1, 512, 30, 40), (512, 512, 3, 3), 1, 4, 1, "winograd2"),
    ((1, 512, 14, 14), (512, 512, 3, 3), 1, 1, 1, "winograd2"),
    ((1, 512, 7, 7), (512, 512, 3, 3), 1, 1, 1, "im2col"),
    ((8, 3, 192, 256), (32, 3, 3, 3), 1, 1, 1, "planes"),
    ((8, 512, 12, 16), (12, 512, 1, 1), 1, 1, 1, "pointwise"),
    ((8, 64, 96, 128), (64, 1, 3, 3), 1, 1, 64, "depthwise"),
    ((8, 64, 96, 128), (32, 64, 2, 2), 2, 1, 1, "blocks"),
    ((8, 64, 96, 128), (64, 64, 7, 7), 1, 1, 1, "taps"),
    ((8, 64, 96, 128), (128, 64, 3, 3), 2, 1, 1, "im2col"),
    ((1, 8, 8, 8), (8, 8, 3, 3), 1, 1, 1, "im2col"),
]
# fmt: on


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: f"{case[-1]}-{case[1]}")
def test_explain_choice_tells_what_the_kernels_take(
    case: tuple[tuple[int, ...], tuple[int, ...], int, int, int, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight, stride, dilation, groups, algorithm = case
    told = mf.explain_choice(x, weight, stride, 1, dilation, groups)
    assert told["conv2d"].algorithm == algorithm
    assert algorithm in str(told) and told["conv2d"].reason in str(told)
    asked: list[Problem] = []

    def noted(problem: Problem, wish: str | None) -> Choice:
        asked.append(problem)
        return choose(problem, wish)

    monkeypatch.setattr(conv, "choose", noted)
    conv._plan.cache_clear()
    window = Window.for_conv("test", x[2:], weight[2:], stride, 1, dilation, groups)  # type: ignore[arg-type] # two numbers each
    for direction in DIRECTIONS:
        conv._plan(direction, x[0], x[1], weight[0], window, "f", None)
    assert [choose(p).algorithm for p in asked] == [row.algorithm for row in told.rows]


def test_the_rows_of_a_transposed_convolution() -> None:
    told = mf.explain_choice((8, 12, 24, 32), (12, 12, 4, 4), 2, 1, transposed=True)
    assert [row.role for row in told.rows] == ["forward", "gradient of x", "gradient of weight"]
    assert [row.direction for row in told.rows] == ["conv_transpose2d", "conv2d", "conv2d_weight"]


def test_multiply_adds_are_those_of_the_algorithm() -> None:
    """36 products for 4 x 4 outputs where there were 144; and N O C KH KW P Q of the plain way."""
    shapes = (8, 64, 96, 128), (32, 64, 3, 3)
    fast = mf.explain_choice(*shapes, padding=1)["conv2d"]
    with mf.conv_algorithm("im2col"):
        plain = mf.explain_choice(*shapes, padding=1)["conv2d"]
    assert plain.multiply_adds == 8 * 32 * 64 * 9 * 96 * 128
    assert fast.multiply_adds * 4 == plain.multiply_adds


# fmt: off
LAYERS = [  # x, weight, stride, padding, dilation, groups
    ((8, 32, 96, 128), (32, 32, 3, 3), 1, 1, 1, 1),    # Winograd
    ((8, 64, 48, 64), (64, 64, 3, 3), 1, 2, 2, 1),     # Winograd on sub-grids
    ((8, 3, 192, 256), (16, 3, 3, 3), 1, 1, 1, 1),     # planes
    ((4, 64, 96, 128), (64, 64, 3, 3), 2, 1, 1, 1),    # im2col
    ((8, 12, 96, 128), (12, 12, 4, 4), 2, 1, 1, 1),    # blocks
    ((8, 64, 48, 64), (64, 1, 5, 5), 1, 2, 1, 64),     # depthwise
    ((8, 64, 48, 64), (32, 64, 5, 5), 1, 2, 1, 1),     # taps
]
# fmt: on


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_scratch_memory_told_is_about_what_is_taken(layer: Any) -> None:
    """Within a factor of 2 and a MiB: the result's room and what lies in the pool count too."""
    x, weight, stride, padding, dilation, groups = layer
    window = Window.for_conv("test", x[2:], weight[2:], stride, padding, dilation, groups)
    image = memory.empty(x, np.float32)
    g = memory.empty((x[0], weight[0], *window.out), np.float32)
    image[...], g[...], w = 1, 1, np.ones(weight, np.float32)
    told = mf.explain_choice(x, weight, stride, padding, dilation, groups)
    for direction, arrays in zip(DIRECTIONS, ((image, w), (g, w), (image, g)), strict=True):
        mf.release_memory()
        tracemalloc.start()
        try:
            result = getattr(conv, direction)(*arrays, window)
            taken = tracemalloc.get_traced_memory()[1] - result.nbytes
        finally:
            tracemalloc.stop()
        scratch, slack = told[direction].scratch, 1 << 20
        assert taken / 2 - slack <= scratch <= 2 * taken + slack, (direction, taken, scratch)


def test_explain_choice_judges_shapes() -> None:
    with pytest.raises(mf.ShapeError, match=r"explain_choice: axis 1 \(C/G\) of weight is 5"):
        mf.explain_choice((1, 4, 8, 8), (2, 5, 3, 3))
    with pytest.raises(mf.ShapeError, match="explain_choice"):
        mf.explain_choice((1, 4, 8), (2, 4, 3, 3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x_shape": 8}, "x_shape is 8, expected four sizes"),
        ({"x_shape": (1, 4, 8.5, 8)}, "x_shape is 8.5, expected a whole number"),
        ({"weight_shape": (2, 4, -3, 3)}, "weight_shape is -3, expected at least 0"),
        ({"dtype": np.int64}, "dtype is int64, expected a floating type"),
        ({"groups": 0}, "groups is 0, expected at least 1"),
    ],
)
def test_explain_choice_names_what_is_wrong(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^explain_choice: {words}$"):
        mf.explain_choice(**{"x_shape": (1, 4, 8, 8), "weight_shape": (2, 4, 3, 3), **arguments})


def test_a_tensor_may_stand_for_its_shape() -> None:
    x, w = np.zeros((1, 4, 8, 8)), mf.tensor(np.zeros((2, 4, 3, 3)))
    assert mf.explain_choice(x, w) == mf.explain_choice(x.shape, w.shape)


def test_forcing_nests_and_ends_with_its_block() -> None:
    assert forced() is None
    with mf.conv_algorithm("taps"):
        with pytest.raises(RuntimeError), mf.conv_algorithm("im2col"):
            assert forced() == "im2col"
            raise RuntimeError
        assert forced() == "taps"
    assert forced() is None


def test_forcing_is_of_one_thread() -> None:
    seen: list[str | None] = []
    with mf.conv_algorithm("taps"):
        thread = threading.Thread(target=lambda: seen.append(forced()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_an_unknown_algorithm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="conv_algorithm: name is 'fft', expected one of im2col"):
        with mf.conv_algorithm("fft"):
            pass


def test_a_forced_algorithm_is_the_one_that_runs() -> None:
    """Winograd rounds otherwise than a sum over columns; the same bits would mean the same way."""
    rng = np.random.default_rng(0)
    x, w = (
        mf.tensor(rng.standard_normal(s).astype("f")) for s in ((2, 16, 16, 16), (16, 16, 3, 3))
    )
    made = {}
    for name in ("im2col", "winograd1", "winograd2"):
        with mf.conv_algorithm(name):
            made[name] = F.conv2d(x, w, padding=1).data
    assert not np.array_equal(made["im2col"], made["winograd1"])
    assert not np.array_equal(made["winograd1"], made["winograd2"])
    assert np.abs(made["im2col"] - made["winograd2"]).max() <= 1e-4 * np.abs(made["im2col"]).max()
