"""Every way to compute a convolution gives what the loops give, whatever is asked of it.

The oracle is kernels.reference, plain loops over the formula. Each algorithm is forced on windows
that it fits, drawn by Hypothesis; one that is forced where it does not fit is not taken, and then
the answer is right all the same.
"""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifcn as mf
from minifcn import Window
from minifcn.checks import Case, cases
from minifcn.kernels import numpy_kernels as fast
from minifcn.kernels import reference as loops
from minifcn.kernels.numpy_kernels import memory
from minifcn.kernels.numpy_kernels.conv.choose import ALGORITHMS, Problem, choose, fits
from minifcn.kernels.numpy_kernels.conv.runs import has_runs, matrix

# Largest error in float32, relative to the largest result; sums here have up to 300 terms.
ERROR = {"winograd1": 5e-6, "winograd2": 2e-5}
PLAIN = 2e-6
EXACT = 1e-12  # float64

TRIAD = ("conv2d", "conv_transpose2d", "conv2d_weight")

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
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

    def problem(self, direction: str, dtype: str = "f") -> Problem:
        return Problem(direction, self.N, self.C, self.O, self.window, dtype)


def inputs(direction: str, x: Any, w: Any, g: Any) -> tuple[Any, Any]:
    return {"conv2d": (x, w), "conv_transpose2d": (g, w), "conv2d_weight": (x, g)}[direction]


def run(k: Any, direction: str, arrays: Any, window: Window) -> Any:
    return getattr(k, direction)(*inputs(direction, *arrays), window)


def two(axes: list[int]) -> tuple[int, int]:
    return axes[0], axes[1]


@st.composite
def sizes(draw: st.DrawFn, algorithm: str = "im2col") -> Sizes:
    """Kernels 1 to 5, strides, dilations, lopsided pads, groups; as far as `algorithm` fits."""
    kernel, stride, dilation = (
        [draw(st.integers(1, most)), draw(st.integers(1, most))] for most in (5, 3, 3)
    )
    groups = draw(st.integers(1, 3)) if algorithm == "im2col" else 1
    C, O = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    if algorithm in ("winograd1", "winograd2"):
        kernel, stride = [3, 3], [1, 1]
    elif algorithm == "pointwise":
        kernel, stride, dilation = [1, 1], [1, 1], [1, 1]
    elif algorithm == "taps":
        stride = [1, 1]
    elif algorithm == "blocks":
        stride[0] = max(stride[0], 3 - stride[1])  # one of them at least 2
        kernel = [s * draw(st.integers(1, 3)) for s in stride]
        dilation = [1, 1]
    elif algorithm == "depthwise":
        groups = C = O = draw(st.integers(2, 5))
    image, out, near = [0, 0], [0, 0], [0, 0]
    for axis in (0, 1):
        span = dilation[axis] * (kernel[axis] - 1) + 1
        near[axis] = draw(st.integers(0, 3))
        out[axis] = draw(st.integers(1, 6))
        reach = stride[axis] * (out[axis] - 1) + span
        far = draw(st.integers(-max(stride[axis], dilation[axis]), 3))  # < 0: pixels never read
        image[axis] = max(reach - near[axis] - far, 1)
    N = draw(st.integers(0, 3))
    window = Window(
        two(image), two(out), two(kernel), two(stride), two(dilation), two(near), groups
    )
    return Sizes(window, N, C, O)


def error(got: Any, expected: Any) -> float:
    """Largest difference, relative to the largest number."""
    assert got.shape == expected.shape
    scale = np.abs(expected).max(initial=0) or 1.0
    return float(np.abs(got - expected).max(initial=0) / scale)


# ---- values ------------------------------------------------------------------------------------


@every_algorithm
@given(st.data())
@settings(max_examples=30)
def test_every_algorithm_is_the_loops(algorithm: str, data: st.DataObject) -> None:
    case = data.draw(sizes(algorithm))
    exact, single = case.arrays(), case.arrays(np.float32)
    for direction in TRIAD:
        expected = run(loops, direction, exact, case.window)
        with mf.conv_algorithm(algorithm):
            got = run(fast, direction, exact, case.window)
            small = run(fast, direction, single, case.window)
        assert (got.dtype, small.dtype) == (np.float64, np.float32)
        assert error(got, expected) <= EXACT, direction
        assert error(small, expected) <= ERROR.get(algorithm, PLAIN), direction
        assert choose(case.problem(direction), algorithm).algorithm == algorithm


@given(sizes(), st.sampled_from(ALGORITHMS))
@settings(max_examples=30)
def test_forced_where_it_does_not_fit_the_answer_is_right(case: Sizes, algorithm: str) -> None:
    arrays = case.arrays()
    for direction in TRIAD:
        expected = run(loops, direction, arrays, case.window)
        with mf.conv_algorithm(algorithm):
            assert error(run(fast, direction, arrays, case.window), expected) <= EXACT
        assert error(run(fast, direction, arrays, case.window), expected) <= EXACT


@every_algorithm
@given(st.data())
@settings(max_examples=20)
def test_the_three_are_one_form(algorithm: str, data: st.DataObject) -> None:
    """<conv(x, w), g> = <x, conv_t(g, w)> = <w, conv_w(x, g)>, with each algorithm."""
    case = data.draw(sizes(algorithm))
    x, w, g = case.arrays()
    with mf.conv_algorithm(algorithm):
        y, back, weight = (run(fast, direction, (x, w, g), case.window) for direction in TRIAD)
    form, size = np.vdot(y, g), np.linalg.norm(y) * np.linalg.norm(g) + 1
    assert abs(form - np.vdot(x, back)) <= 1e-13 * size
    assert abs(form - np.vdot(w, weight)) <= 1e-13 * size


@pytest.mark.parametrize("algorithm", ["im2col", "blocks", "planes"])
@pytest.mark.parametrize("kernel, pad, image", [
    (32, 8, (48, 32)), (31, 15, (33, 17)), (31, 0, (63, 47)), (31, 0, (60, 50)), (30, 3, (48, 32)),
])  # fmt: skip
def test_upsampling_16_times(algorithm: str, kernel: int, pad: int, image: Any) -> None:
    """The last layer of FCN-32s and -16s, also on a ResNet and on SqueezeNet."""
    window = Window(image, (3, 2), (kernel,) * 2, (16, 16), (1, 1), (pad,) * 2)
    case = Sizes(window, 1, 2, 1)
    for direction in TRIAD:
        expected = run(loops, direction, case.arrays(), window)
        with mf.conv_algorithm(algorithm):
            assert error(run(fast, direction, case.arrays(), window), expected) <= EXACT


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("C", "O"), [(0, 3), (3, 0)])
def test_convolutions_without_channels(algorithm: str, C: int, O: int) -> None:
    window = Window((6, 6), (3, 2), (2, 4), (2, 2))
    case = Sizes(window, 1, C, O)
    with mf.conv_algorithm(algorithm):
        for direction in TRIAD:
            expected = run(loops, direction, case.arrays(), window)
            got = run(fast, direction, case.arrays(), window)
            assert got.shape == expected.shape and np.array_equal(got, expected)


TILED = [  # larger than a tile of columns, and of room; odd sizes
    Sizes(Window((45, 61), (45, 61), (3, 3), pad=(1, 1)), 2, 16, 24),
    Sizes(Window((45, 61), (23, 31), (3, 3), (2, 2), pad=(1, 1)), 2, 16, 24),
    Sizes(Window((31, 33), (31, 33), (3, 3), (1, 1), (2, 2), (2, 2)), 2, 16, 16),
    Sizes(Window((62, 46), (31, 23), (4, 4), (2, 2), pad=(1, 1)), 2, 12, 12),
    Sizes(Window((61, 47), (30, 23), (2, 2), (2, 2)), 3, 8, 20),
    Sizes(Window((61, 47), (28, 21), (7, 7), (2, 2)), 3, 3, 20),
    Sizes(Window((61, 47), (61, 47), (3, 3), pad=(1, 1), groups=24), 3, 24, 24),
    Sizes(Window((31, 47), (31, 47), (3, 3), pad=(1, 1), groups=4), 2, 16, 32),
    Sizes(Window((45, 61), (45, 61), (1, 1)), 2, 48, 7),
    Sizes(Window((3, 700), (3, 700), (5, 5), pad=(2, 2)), 1, 32, 3),
]


def padded_sum(case: Sizes, x: Any, w: Any) -> Any:
    """conv2d by one einsum for each tap, in float64; the loops would take minutes."""
    window, G = case.window, case.window.groups
    (P, Q), far = window.out, window.far_pad
    pads = [(window.pad[a], max(far[a], 0)) for a in (0, 1)]
    x = np.pad(x.astype(float), ((0, 0), (0, 0), *pads))
    x = x.reshape(case.N, G, case.C // G, *x.shape[2:])
    w = w.astype(float).reshape(G, case.O // G, case.C // G, *window.kernel)
    y = np.zeros((case.N, G, case.O // G, P, Q))
    for u, v in window.taps():
        rows = slice(u * window.dilation[0], None, window.stride[0])
        columns = slice(v * window.dilation[1], None, window.stride[1])
        met = x[:, :, :, rows, columns][..., :P, :Q]
        y += np.einsum("ngcij,goc->ngoij", met, w[..., u, v])
    return y.reshape(case.N, case.O, P, Q)


def fitting(listed: list[Any], problem: Callable[[Any], Problem]) -> list[tuple[str, Any]]:
    """(algorithm, case) for every algorithm that can do the case."""
    return [(name, case) for case in listed for name in ALGORITHMS if fits(name, problem(case))]


@pytest.mark.parametrize(
    ("algorithm", "case"), fitting(TILED, lambda case: case.problem("conv2d")), ids=repr
)
def test_many_tiles(algorithm: str, case: Sizes) -> None:
    """conv2d against einsum; the other two by <conv(x, w), g>."""
    x, w, g = case.arrays(np.float32)
    y = padded_sum(case, x, w)
    with mf.conv_algorithm(algorithm):
        got, back, weight = (run(fast, d, (x, w, g), case.window) for d in TRIAD)
    assert error(got, y) <= ERROR.get(algorithm, PLAIN)
    form = np.vdot(y, g.astype(float))
    size = np.linalg.norm(y) * np.linalg.norm(g)
    assert abs(form - np.vdot(x.astype(float), back)) <= 1e-6 * size
    assert abs(form - np.vdot(w.astype(float), weight)) <= 1e-6 * size


# ---- memory ------------------------------------------------------------------------------------


def in_room(a: Any) -> Any:
    made = memory.empty(a.shape, a.dtype)
    made[...] = a
    return made


def crop_of_larger(a: Any) -> Any:
    """The pixels of `a` amid others, in the kernels' own order."""
    N, C, H, W = a.shape
    larger = memory.empty((N, C, H + 2, W + 2), a.dtype)
    larger[...] = 1e3
    larger[..., 1:-1, 1:-1] = a
    return larger[..., 1:-1, 1:-1]


def read_only(a: Any) -> Any:
    made = a.copy()
    made.setflags(write=False)
    return made


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "in room": in_room,
    "crop of a larger image": crop_of_larger,
    "read-only": read_only,
    "N H W C": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "reversed": lambda a: a[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "every other": lambda a: np.repeat(a, 2, axis=3)[..., ::2],
    "broadcast channel": lambda a: np.broadcast_to(a[:, :1], a.shape),
}

LAID = {  # a window for each algorithm that has one of its own; large enough for room
    "im2col": Sizes(Window((23, 26), (11, 13), (3, 3), (2, 2), (1, 1), (1, 1)), 2, 9, 8),
    "taps": Sizes(Window((23, 26), (23, 26), (3, 3), pad=(1, 1)), 2, 9, 8),
    "winograd1": Sizes(Window((23, 26), (23, 26), (3, 3), pad=(1, 1)), 2, 9, 8),
    "winograd2": Sizes(Window((23, 26), (23, 26), (3, 3), pad=(1, 1)), 2, 9, 8),
    "pointwise": Sizes(Window((23, 26), (23, 26), (1, 1)), 2, 9, 8),
    "depthwise": Sizes(Window((23, 26), (23, 26), (3, 3), pad=(1, 1), groups=9), 2, 9, 9),
    "planes": Sizes(Window((23, 26), (23, 26), (3, 3), pad=(1, 1)), 2, 9, 8),
    "blocks": Sizes(Window((24, 26), (12, 13), (4, 4), (2, 2), pad=(1, 1)), 2, 9, 8),
}


@every_algorithm
@every_direction
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_do_not_depend_on_how_the_inputs_lie(
    algorithm: str, direction: str, layout: str
) -> None:
    case, lay = LAID[algorithm], LAYOUTS[layout]
    given = inputs(direction, *case.arrays(np.float32))
    if layout == "broadcast channel":
        given = tuple(np.ascontiguousarray(lay(a)) for a in given)  # type: ignore[assignment] # two
    laid = [lay(a) for a in given]
    before = [a.copy() for a in laid]
    with mf.conv_algorithm(algorithm):
        expected = getattr(fast, direction)(*given, case.window)
        got = getattr(fast, direction)(*laid, case.window)
    assert all(np.array_equal(a, b) for a, b in zip(laid, before, strict=True))
    assert error(got, expected) <= PLAIN


@every_algorithm
def test_no_result_shares_memory_with_another(algorithm: str) -> None:
    case = LAID[algorithm]
    arrays = [in_room(a) for a in case.arrays(np.float32)]
    with mf.conv_algorithm(algorithm):
        for direction in TRIAD:
            first = run(fast, direction, arrays, case.window)
            kept = first.copy()
            second = run(fast, direction, [a * 2 for a in arrays], case.window)
            assert np.array_equal(first, kept)
            assert not any(np.shares_memory(first, other) for other in (second, *arrays))


@every_algorithm
def test_images_lie_by_pixels_and_weights_in_their_own_order(algorithm: str) -> None:
    case = LAID[algorithm]
    arrays = case.arrays(np.float32)
    with mf.conv_algorithm(algorithm):
        y, x, w = (run(fast, direction, arrays, case.window) for direction in TRIAD)
    assert memory.lies_by_pixels(y) and memory.lies_by_pixels(x)
    assert w.flags.c_contiguous


@every_algorithm
def test_in_steady_state_no_memory_is_fresh(algorithm: str) -> None:
    case = LAID[algorithm]
    arrays = [in_room(a) for a in case.arrays(np.float32)]
    with mf.conv_algorithm(algorithm):

        def step() -> None:
            for direction in TRIAD:
                run(fast, direction, arrays, case.window)

        for _ in range(3):
            step()
        before = mf.memory_counts()
        step()
        after = mf.memory_counts()
    assert after["fresh"] == before["fresh"]
    assert after["converted"] == before["converted"]


LARGE = {  # as LAID, with 150 KB of weights
    name: Sizes(replace(case.window, groups=64 if name == "depthwise" else 1), 2, 64, 64)
    for name, case in LAID.items()
}


@every_algorithm
def test_in_steady_state_numpy_makes_no_large_array(algorithm: str) -> None:
    """All that Python knows of is counted: a ufunc's buffers, 3 x 8192 numbers, and no weight."""
    case = LARGE[algorithm]
    x, w, g = case.arrays(np.float32)
    arrays = in_room(x), w, in_room(g)
    with mf.conv_algorithm(algorithm):
        for direction in TRIAD:
            for _ in range(3):
                run(fast, direction, arrays, case.window)
            tracemalloc.start()
            try:
                run(fast, direction, arrays, case.window)
                assert tracemalloc.get_traced_memory()[1] <= 120_000, direction
            finally:
                tracemalloc.stop()


def test_a_run_is_a_row_in_one_piece() -> None:
    """What has_runs promises is what NumPy can reshape without a copy."""
    x = np.arange(3.0 * 4 * 2 * 5).reshape(3, 4, 2, 5)
    seen = set()
    layouts = [
        *(x, x[:, 1:3], x[::2], x[:, ::2], x[:, :, ::-1], x[:, :, :1], x[..., 1:], x[..., :1]),
        *(x.swapaxes(2, 3), x.swapaxes(1, 2), x[:, :1, ::-1], x[:, :1], x[:, :1, :1, ::2]),
    ]
    for rows in layouts:
        Q, N, O = rows.shape[1:]
        whole = all(np.shares_memory(row, row.reshape(Q * N * O)) for row in rows)
        steps = {row.reshape(Q * N * O).strides[0] for row in rows}
        assert has_runs(rows) == (whole and steps == {rows.itemsize}), (rows.shape, rows.strides)
        assert np.array_equal(matrix(rows), rows.reshape(-1, O))
        seen.add(has_runs(rows))
    assert seen == {True, False}


# ---- the contract ------------------------------------------------------------------------------


def problem_of(case: Case, dtype: Any) -> Problem:
    """What the kernel will ask `choose`."""
    window: Window = case.op.window  # type: ignore[attr-defined] # every op of the triad has one
    a, b = (draw.shape for draw in case.draws)
    C = {"conv2d": a[1], "conv_transpose2d": b[1] * window.groups, "conv2d_weight": a[1]}
    O = {"conv2d": b[0], "conv_transpose2d": a[1], "conv2d_weight": b[1]}
    name = case.op.name
    return Problem(name, a[0], C[name], O[name], window, np.dtype(dtype).char)


def fitting_cases(dtype: Any) -> Any:
    pairs = fitting(cases(TRIAD), lambda case: problem_of(case, dtype))
    return pytest.mark.parametrize(("algorithm", "case"), pairs, ids=str)


@fitting_cases(np.float32)
def test_the_contract_holds_with_each_algorithm(algorithm: str, case: Case) -> None:
    arrays = case.arrays(seed=1, dtype=np.float32)
    expected = case.op.forward(loops, *[a.astype(float) for a in arrays])
    with mf.conv_algorithm(algorithm):
        got = case.op.forward(fast, *arrays)
    assert got.dtype == np.float32
    assert error(got, expected) <= ERROR.get(algorithm, PLAIN)


@fitting_cases(np.float64)
def test_gradients_hold_with_each_algorithm(algorithm: str, case: Case) -> None:
    """Values against the loops, and first and second order against differences."""
    arrays = case.arrays()
    with mf.conv_algorithm(algorithm):
        assert error(case.op.forward(fast, *arrays), case.op.forward(loops, *arrays)) <= EXACT
        assert mf.gradcheck(case.op, arrays)
        assert mf.gradgradcheck(case.op, arrays)
