"""The triad by its laws: one trilinear form, three gradients, for any window that Hypothesis draws.

The oracle is `by_loops`, `painted_by_loops` below: written from the formulas with explicit padding,
cropping and PyTorch's arguments, so that not even the Window's arithmetic is shared.
"""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn import ShapeError, Window
from minifcn.kernels.numpy_kernels import workspace

of_the_cpu = pytest.mark.parametrize("device", ["cpu"])


@pytest.fixture(autouse=True)
def on_every_device(device: str) -> Iterator[None]:
    """Every test of this file runs once per device: new tensors are made there."""
    with mf.device(device):
        yield


@dataclass(frozen=True)
class Geometry:
    """Everything that a convolution is called with, and the sizes that follow."""

    N: int
    C: int
    O: int
    kernel: tuple[int, int]
    image: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def out(self) -> tuple[int, ...]:
        """P = floor((H + top + bottom - d (K - 1) - 1) / s) + 1."""
        return tuple(
            (self.image[a] + sum(self.padding[a]) - self.dilation[a] * (self.kernel[a] - 1) - 1)
            // self.stride[a]
            + 1
            for a in (0, 1)
        )

    @property
    def options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def arrays(self, seed: int = 0) -> tuple[Any, Any, Any]:
        """x: N C H W, w: O C/G KH KW, g: N O P Q."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((self.N, self.C, *self.image))
        w = rng.standard_normal((self.O, self.C // self.groups, *self.kernel))
        return x, w, rng.standard_normal((self.N, self.O, *self.out))


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    small = st.integers(0, 2)
    groups = draw(st.integers(1, 3))
    kernel, stride, dilation = (
        (draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (3, 3, 3)
    )
    padding = ((draw(small), draw(small)), (draw(small), draw(small)))
    image = []
    for a in (0, 1):
        least = max(dilation[a] * (kernel[a] - 1) + 1 - sum(padding[a]), 1)
        image.append(draw(st.integers(least, least + 4)))
    C, O = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    N = draw(st.integers(0, 2))
    return Geometry(N, C, O, kernel, (image[0], image[1]), stride, padding, dilation, groups)


def by_loops(x: Any, w: Any, geometry: Geometry) -> Any:
    """Pad, then correlate every kernel with every window of its group's channels."""
    (O, CG, KH, KW), (P, Q) = w.shape, geometry.out
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    y = np.zeros((len(x), O, P, Q))
    for n, o, i, j in np.ndindex(*y.shape):
        first = o // (O // geometry.groups) * CG
        for c, u, v in np.ndindex(CG, KH, KW):
            y[n, o, i, j] += w[o, c, u, v] * padded[n, first + c, sh * i + dh * u, sw * j + dw * v]
    return y


def painted_by_loops(g: Any, w: Any, geometry: Geometry) -> Any:
    """Let every pixel of g paint its kernel on a padded canvas, then crop the padding away."""
    O, CG, KH, KW = w.shape
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    ((top, bottom), (left, right)), (H, W) = geometry.padding, geometry.image
    canvas = np.zeros((len(g), geometry.C, H + top + bottom, W + left + right))
    for n, o, i, j in np.ndindex(*g.shape):
        first = o // (O // geometry.groups) * CG
        for c, u, v in np.ndindex(CG, KH, KW):
            canvas[n, first + c, sh * i + dh * u, sw * j + dw * v] += g[n, o, i, j] * w[o, c, u, v]
    return canvas[:, :, top : top + H, left : left + W]


def weighed_by_loops(x: Any, g: Any, geometry: Geometry) -> Any:
    """dT/dw: T is linear in w, so each tap's weight counts what it alone would give."""
    shape = (geometry.O, geometry.C // geometry.groups, *geometry.kernel)
    w = np.zeros(shape)
    for index in np.ndindex(*shape):
        one = np.zeros(shape)
        one[index] = 1
        w[index] = np.vdot(g, by_loops(x, one, geometry))
    return w


def close(got: Any, expected: Any) -> bool:
    assert got.shape == expected.shape
    scale = np.abs(expected).max(initial=1.0)
    return bool(np.abs(got - expected).max(initial=0) <= 1e-12 * scale)


def run(function: Any, *arrays: Any, **options: Any) -> Any:
    return function(*[mf.tensor(a) for a in arrays], **options).numpy()


# ---- values ------------------------------------------------------------------------------------


@given(geometries())
def test_conv2d_is_its_loops(geometry: Geometry) -> None:
    x, w, _ = geometry.arrays()
    assert close(run(F.conv2d, x, w, **geometry.options), by_loops(x, w, geometry))


@given(geometries())
def test_conv_transpose2d_is_its_loops(geometry: Geometry) -> None:
    _, w, g = geometry.arrays()
    got = run(F.conv_transpose2d, g, w, **geometry.options, output_size=geometry.image)
    assert close(got, painted_by_loops(g, w, geometry))


@given(geometries())
def test_conv2d_weight_is_its_loops(geometry: Geometry) -> None:
    x, _, g = geometry.arrays()
    got = run(F.conv2d_weight, x, g, kernel_size=geometry.kernel, **geometry.options)
    assert close(got, weighed_by_loops(x, g, geometry))


@given(geometries())
def test_the_trilinear_identity(geometry: Geometry) -> None:
    """<conv(x, w), g> = <x, conv_t(g, w)> = <w, conv_w(x, g)>."""
    x, w, g = geometry.arrays()
    y = run(F.conv2d, x, w, **geometry.options)
    back = run(F.conv_transpose2d, g, w, **geometry.options, output_size=geometry.image)
    weight = run(F.conv2d_weight, x, g, kernel_size=geometry.kernel, **geometry.options)
    form = np.vdot(y, g)
    size = np.linalg.norm(y) * np.linalg.norm(g) + 1
    assert abs(form - np.vdot(x, back)) <= 1e-13 * size
    assert abs(form - np.vdot(w, weight)) <= 1e-13 * size


@given(geometries())
def test_the_gradients_are_the_other_two(geometry: Geometry) -> None:
    arrays = geometry.arrays()
    x, w, g = (mf.tensor(a, requires_grad=True) for a in arrays)
    y = F.conv2d(x, w, **geometry.options)
    gx, gw = mf.grad(y, [x, w], g, create_graph=True)
    assert close(gx.numpy(), painted_by_loops(arrays[2], arrays[1], geometry))
    assert close(gw.numpy(), weighed_by_loops(arrays[0], arrays[2], geometry))
    (back,) = mf.grad(gx, g, x.detach())  # d <x, conv_t(g, w)> / dg is conv(x, w) again
    assert close(back.numpy(), by_loops(arrays[0], arrays[1], geometry))


def test_as_a_matrix_the_one_is_the_others_transpose() -> None:
    geometry = Geometry(1, 2, 3, (3, 2), (5, 4), (2, 1), ((1, 0), (0, 1)), (1, 2))
    x, w, g = geometry.arrays()

    def matrix(function: Any, shape: tuple[int, ...], **more: Any) -> Any:
        units = np.eye(int(np.prod(shape))).reshape(-1, 1, *shape[1:])
        return np.stack(
            [run(function, u.reshape(shape), w, **geometry.options, **more).ravel() for u in units]
        )

    forward = matrix(F.conv2d, x.shape)
    backward = matrix(F.conv_transpose2d, g.shape, output_size=geometry.image)
    assert np.array_equal(forward, backward.T)


# ---- PyTorch's and Dumoulin's cases ------------------------------------------------------------

# fmt: off
CONV_CASES = {  # PyTorch's module tests: the parameters; the expected side is the loops
    "plain":             Geometry(2, 3, 4, (3, 2), (7, 5)),
    "strided":           Geometry(2, 3, 4, (3, 3), (6, 6), (2, 2)),
    "padding":           Geometry(2, 3, 4, (3, 3), (6, 6), (2, 2), ((1, 1), (1, 1))),
    "dilated":           Geometry(2, 3, 2, (3, 3), (8, 8), (2, 2), ((1, 1), (1, 1)), (2, 2)),
    "zero batch":        Geometry(0, 3, 4, (3, 2), (7, 5)),
    "groups":            Geometry(2, 4, 6, (3, 2), (6, 5), groups=2),
    "depthwise":         Geometry(2, 4, 4, (3, 3), (6, 6), groups=4),
    "multiplier":        Geometry(2, 4, 8, (3, 3), (6, 6), groups=4),
    "depthwise strided": Geometry(2, 4, 4, (3, 3), (6, 6), (2, 2), groups=4),
    "depthwise padded":  Geometry(2, 4, 4, (3, 3), (6, 6), padding=((1, 1), (1, 1)), groups=4),
    "depthwise dilated": Geometry(2, 4, 4, (2, 2), (5, 5), dilation=(2, 2), groups=4),
}
# fmt: on


@pytest.mark.parametrize("case", CONV_CASES)
def test_conv2d_on_pytorchs_cases(case: str) -> None:
    geometry = CONV_CASES[case]
    x, w, _ = geometry.arrays()
    bias = np.arange(geometry.O) * 0.5
    got = F.conv2d(mf.tensor(x), mf.tensor(w), mf.tensor(bias), **geometry.options).numpy()
    assert close(got, by_loops(x, w, geometry) + bias.reshape(1, -1, 1, 1))


@pytest.mark.parametrize(
    ("word", "dilation", "padding"),
    [
        ("valid", 1, ((0, 0), (0, 0))),
        ("same", 1, ((1, 1), (1, 2))),  # the fourth tap's pixel goes to the right
        ("same", 2, ((2, 2), (3, 3))),
        ("same_lower", 1, ((1, 1), (2, 1))),
    ],
)
def test_conv2d_on_pytorchs_padding_words(word: str, dilation: int, padding: Any) -> None:
    geometry = Geometry(2, 2, 4, (3, 4), (6, 5), padding=padding, dilation=(dilation, dilation))
    x, w, _ = geometry.arrays()
    assert close(run(F.conv2d, x, w, padding=word, dilation=dilation), by_loops(x, w, geometry))


# (O, C, kernel, stride, padding, output padding, groups, dilation, input P Q, image that it gives)
TRANSPOSE_CASES = [
    (3, 4, (3, 3), (3, 2), 1, (1, 1), 1, (1, 1), (7, 6), (20, 12)),
    (3, 4, (3, 3), (2, 3), 1, (1, 1), 1, (2, 2), (6, 7), (14, 22)),
    (3, 4, (3, 3), (2, 3), 1, (1, 1), 1, (1, 1), (6, 7), (12, 20)),
    (2, 4, (2, 3), (1, 1), 0, (0, 0), 2, (1, 1), (4, 5), (5, 7)),
]


@pytest.mark.parametrize("case", TRANSPOSE_CASES)
def test_conv_transpose2d_on_pytorchs_cases(case: Any) -> None:
    """H = s (P - 1) - 2 p + d (K - 1) + output_padding + 1, as PyTorch documents it."""
    inputs, outputs, kernel, stride, padding, extra, groups, dilation, small, image = case
    rng = np.random.default_rng(0)
    g = rng.standard_normal((1, inputs, *small))
    w = rng.standard_normal((inputs, outputs // groups, *kernel))
    sides = ((padding, padding), (padding, padding))
    geometry = Geometry(1, outputs, inputs, kernel, image, stride, sides, dilation, groups)
    got = run(
        F.conv_transpose2d,
        g,
        w,
        stride=stride,
        padding=padding,
        output_padding=extra,
        groups=groups,
        dilation=dilation,
    )
    assert got.shape == (1, outputs, *image)
    assert close(got, painted_by_loops(g, w, geometry))


# fmt: off
FIGURES = [  # Dumoulin and Visin's animations: (input, kernel, stride, padding, dilation) -> output
    (4, 3, 1, 0, 1, 2), (5, 4, 1, 2, 1, 6), (5, 3, 1, 1, 1, 5), (5, 3, 1, 2, 1, 7),
    (5, 3, 2, 0, 1, 2), (5, 3, 2, 1, 1, 3), (6, 3, 2, 1, 1, 3), (7, 3, 1, 0, 2, 3),
]
TRANSPOSED_FIGURES = [  # (input, kernel, stride, padding, output padding) -> output
    (2, 3, 1, 0, 0, 4), (6, 4, 1, 2, 0, 5), (5, 3, 1, 1, 0, 5), (7, 3, 1, 2, 0, 5),
    (2, 3, 2, 0, 0, 5), (3, 3, 2, 1, 0, 5), (3, 3, 2, 1, 1, 6),
]
# fmt: on


@pytest.mark.parametrize("figure", FIGURES)
def test_the_guides_figures(figure: Any) -> None:
    size, k, stride, padding, dilation, out = figure
    y = run(
        F.conv2d,
        np.ones((1, 1, size, size)),
        np.ones((1, 1, k, k)),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    assert y.shape == (1, 1, out, out)


@pytest.mark.parametrize("figure", TRANSPOSED_FIGURES)
def test_the_guides_transposed_figures(figure: Any) -> None:
    size, k, stride, padding, extra, out = figure
    y = run(
        F.conv_transpose2d,
        np.ones((1, 1, size, size)),
        np.ones((1, 1, k, k)),
        stride=stride,
        padding=padding,
        output_padding=extra,
    )
    assert y.shape == (1, 1, out, out)


# ---- sizes -------------------------------------------------------------------------------------


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 5)
)
def test_output_size_takes_what_a_convolution_maps_back(
    K: int, stride: int, dilation: int, padding: int, P: int
) -> None:
    """An image size is accepted if a convolution maps it back to P, or output_padding can give it.

    The error lists the possible sizes.
    """
    options = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)}
    g, w = np.ones((1, 1, P, 1)), np.ones((1, 1, K, 1))
    span = dilation * (K - 1) + 1
    least = stride * (P - 1) + span - 2 * padding
    legal = range(max(least, 1), least + max(stride, dilation))
    for H in range(1, least + max(stride, dilation) + 3):
        if H in legal:
            assert run(F.conv_transpose2d, g, w, **options, output_size=(H, 1)).shape[2] == H
        else:
            with pytest.raises(ShapeError) as caught:
                run(F.conv_transpose2d, g, w, **options, output_size=(H, 1))
            assert f"is {H}," in str(caught.value)
            assert all(str(size) in str(caught.value) for size in legal)
        if H + 2 * padding >= span and (H + 2 * padding - span) // stride + 1 == P:
            assert H in legal


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 4), st.data())
def test_output_padding_is_a_longer_output_size(
    K: int, stride: int, padding: int, P: int, data: st.DataObject
) -> None:
    extra = data.draw(st.integers(0, stride - 1))
    H = stride * (P - 1) + K - 2 * padding + extra
    if H < 1:
        return
    rng = np.random.default_rng(0)
    g, w = rng.standard_normal((1, 2, P, P)), rng.standard_normal((2, 3, K, K))
    a = run(F.conv_transpose2d, g, w, stride=stride, padding=padding, output_padding=extra)
    b = run(F.conv_transpose2d, g, w, stride=stride, padding=padding, output_size=H)
    assert a.shape[2:] == (H, H) and np.array_equal(a, b)


# ---- memory ------------------------------------------------------------------------------------


def peak_of(function: Any) -> int:
    """Most bytes allocated at once, beyond what was there."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@of_the_cpu
def test_1x1_takes_no_copy() -> None:
    """Each of the three takes memory for its result and for no second image."""
    w = mf.tensor(np.ones((2, 64, 1, 1)))
    y = mf.tensor(np.ones((1, 2, 100, 100)))
    x = F.conv_transpose2d(y, w)  # lies as the kernels' results do
    y = F.conv2d(x, w)
    slack = 100_000

    def fresh(function: Any) -> int:
        mf.release_memory()
        return peak_of(function)

    assert fresh(lambda: F.conv2d(x, w)) <= y.data.nbytes + slack
    assert fresh(lambda: F.conv_transpose2d(y, w)) <= x.data.nbytes * 104**2 // 100**2 + slack
    assert fresh(lambda: F.conv2d_weight(x, y, 1)) <= slack


LIMIT = 32 << 10


@of_the_cpu
@pytest.mark.parametrize(("K", "H"), [(9, 40), (3, 32)])
@pytest.mark.parametrize("algorithm", ["im2col", "planes"])
@pytest.mark.parametrize("which", ["conv2d", "conv_transpose2d", "conv2d_weight"])
def test_the_workspace_limit_bounds_memory_and_changes_nothing(
    which: str, algorithm: str, K: int, H: int
) -> None:
    """Columns of 9 x 9 x 4 x 40 x 40 doubles are 4 MB, of 3 x 3 x 4 x 32 x 32 295 kB."""
    p = K // 2
    geometry = Geometry(1, 4, 4, (K, K), (H, H), padding=((p, p), (p, p)))
    x, w, g = (mf.tensor(a) for a in geometry.arrays())
    call = {
        "conv2d": lambda: F.conv2d(x, w, padding=p),
        "conv_transpose2d": lambda: F.conv_transpose2d(g, w, padding=p),
        "conv2d_weight": lambda: F.conv2d_weight(x, g, K, padding=p),
    }[which]
    results, peaks = [], []
    with mf.conv_algorithm(algorithm):
        for limit in (1 << 30, LIMIT, 1):
            with workspace.limit_workspace(limit):
                results.append(call().data)
                mf.release_memory()
                peaks.append(peak_of(call))
    free, bounded, _ = peaks
    images = 4 * x.data.nbytes * (H + K) ** 2 // H**2  # framed, as planes, the result
    others = images + 2 * w.data.nbytes
    assert bounded <= others + 2 * LIMIT < free
    assert all(close(result, results[0]) for result in results[1:])


@of_the_cpu
def test_the_workspace_limit_must_leave_something() -> None:
    with pytest.raises(ValueError, match=r"limit_workspace.*0"), workspace.limit_workspace(0):
        pass


def test_windows_know_what_no_tap_meets() -> None:
    """Stride 3, kernel 2: images of 8, 9 and 10 give 3; 0, 1 and 2 last rows are never read."""
    for H, unread in ((8, 0), (9, -1), (10, -2)):
        window = Window.for_conv("test", (H, 4), (2, 1), (3, 1))
        assert (window.out[0], window.far_pad[0]) == (3, unread)
        gx = run(
            F.conv_transpose2d,
            np.ones((1, 1, 3, 4)),
            np.ones((1, 1, 2, 1)),
            stride=(3, 1),
            output_size=(H, 4),
        )
        assert gx[0, 0, :, 0].tolist() == [1, 1, 0, 1, 1, 0, 1, 1, 0, 0][:H]
