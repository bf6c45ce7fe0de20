"""The triad on tensor cores: every tile, type, stride, pad and group against loops in float64."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16

import minifcn as mf
from minifcn.kernels.cupy_kernels.conv import chunks, tensor
from minifcn.kernels.cupy_kernels.conv.problem import Problem
from minifcn.kernels.cupy_kernels.memory import packed
from minifcn.window import Window, span
from tests.cuda_emu.find import Cuda
from tests.kernels.triad import Triad, on_device, tf32_numbers

pytestmark = pytest.mark.usefixtures("cuda")

# For each kind of numbers, how far a result may be off, in parts of the sum of |products| that it
# is made of: the rounding of a half, that of the sums, and that of float32 operands to TF32.
HALF, SUMS = 2.0**-11, 2.0**-20
KINDS = {"float16": HALF + SUMS, "bfloat16": 2.0**-8, "tf32": SUMS, "float32": 2 * HALF}


@pytest.fixture(autouse=True)
def tf32_is_allowed() -> Iterator[None]:
    mf.set_float32_matmul_precision("high")
    yield
    mf.set_float32_matmul_precision("highest")


@pytest.fixture
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """No other tile than this, or its counterpart for the weight, is there to choose."""
    one = tensor.Tile(*request.param)
    other = tensor.Tile(32, 128) if one == (128, 32) else one
    monkeypatch.setattr(tensor, "IMAGE_TILES", (one,))
    monkeypatch.setattr(tensor, "WEIGHT_TILES", (other,))
    forget()
    yield one
    forget()


def forget() -> None:
    for plan in (tensor._forward, tensor._weight):
        plan.cache_clear()


def numbers(shape: tuple[int, ...], kind: str, seed: int) -> Any:
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    if kind == "tf32":
        return tf32_numbers(x)
    return x.astype(bfloat16 if kind == "bfloat16" else kind)


def sample(kind: str, window: Window, N: int, C: int, O: int, seed: int = 0) -> Triad:
    """x, w and g for C and O channels in a group."""
    G = window.groups
    shapes = (N, C * G, *window.image), (O * G, C, *window.kernel), (N, O * G, *window.out)
    x, w, g = (numbers(shape, kind, seed + k) for k, shape in enumerate(shapes))
    return Triad(x, w, g, window)


def check(triad: Triad, kind: str, bias: bool = False, relu: bool = False) -> None:
    """All three directions equal the loops, twice with the same bits."""
    x, w, g, window = triad
    X, W, G = (packed(on_device(a)) for a in (x, w, g))
    for name, a, b, channels in (
        ("conv2d", X, W, w.shape[0]),
        ("conv_transpose2d", G, W, x.shape[1]),
        ("conv2d_weight", X, G, 0),
    ):
        expected, size = triad.loops(name), triad.absolute().loops(name)
        extra: dict[str, Any] = {}
        if channels and bias:
            term = numbers((channels,), kind, 3)
            expected = expected + term.astype(np.float64)[:, None, None]
            size = size + np.abs(term.astype(np.float64))[:, None, None]
            extra["bias"] = on_device(term)
        if channels and relu:
            expected, extra["relu"] = np.maximum(expected, 0), True
        run = getattr(tensor, name)
        got, again = (run(a, b, window, **extra).get() for _ in range(2))
        assert got.dtype == x.dtype and got.shape == expected.shape
        assert got.tobytes() == again.tobytes(), f"{name}: not the same bits twice"
        error = np.abs(got.astype(np.float64) - expected)
        # 1e-7: halves below the smallest normal one have an absolute error
        assert np.all(error <= KINDS[kind] * size + 1e-7), (
            f"{name}: {(error / (size + 1e-7)).max()}"
        )


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any stride, dilation and pads, far ones below 0 too, with H != W and a remainder."""
    axes: list[tuple[int, ...]] = []
    for _ in range(2):
        K, s, d = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
        p, rest = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        P = draw(st.integers(1, 4))
        H = max(s * (P - 1) + span(K, d) - p - draw(st.integers(-1, 3)) + rest % s, 1)
        axes.append((H, P, K, s, d, p))
    pairs: Any = zip(*axes, strict=True)
    image, out, kernel, stride, dilation, pad = pairs
    return Window(image, out, kernel, stride, dilation, pad, draw(st.integers(1, 3)))


CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 33])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(windows(), st.integers(1, 3), CHANNELS, CHANNELS, st.booleans(), st.booleans())
def test_every_window(
    kind: str, window: Window, N: int, C: int, O: int, bias: bool, relu: bool
) -> None:
    check(sample(kind, window, N, C, O), kind, bias, relu)


RAGGED = Window((13, 11), (13, 11), (2, 1), pad=(1, 0))  # 143 pixels; 8 channels are 16 columns


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "tf32"])
@pytest.mark.parametrize("tile", [(128, 128), (128, 64), (64, 64), (128, 32)], indirect=True)
def test_every_tile_with_ragged_edges(tile: Any, kind: str) -> None:
    check(sample(kind, RAGGED, 1, 8, 136), kind)  # 136 > 128: two tiles of channels


@pytest.mark.parametrize("kind", ["float16", "tf32"])
def test_columns_of_several_tiles(kind: str) -> None:
    # 3 3 72 columns of the weight, and phases of 2 x 2
    window = Window((5, 6), (3, 3), (3, 3), (2, 2), pad=(1, 1))
    check(sample(kind, window, 2, 72, 40), kind)


@pytest.mark.parametrize("many", [2, 1000])
@pytest.mark.parametrize("kind", ["bfloat16", "tf32"])
@pytest.mark.parametrize("tile", [(64, 64)], indirect=True)
def test_a_sum_in_parts(tile: Any, kind: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bias comes in once, the ReLU at the end; parts that a small phase lacks are zeros."""
    monkeypatch.setattr(tensor, "FEW", 1)
    monkeypatch.setattr(chunks, "MANY", many)  # parts from which threads share an element
    window = Window((9, 8), (4, 4), (3, 3), (2, 2), pad=(0, 1), groups=2)
    assert tensor._forward(2, 32, 7, window, np.dtype("f4"), False).grid[1] > 1
    assert tensor._weight(2, 32, 7, window, np.dtype("f4")).grid[1] > 1
    check(sample(kind, window, 2, 29, 7), kind, bias=True, relu=True)


def test_tf32_rounds_to_nearest() -> None:
    """1 + 2^-11 is half way to the next TF32 number, and goes there; the rest is cut off."""
    import cupy

    x = np.array([1 + 2.0**-11, 1 + 2.0**-11 - 2.0**-20, -1 - 2.0**-11], np.float32)
    x = x.reshape(3, 1, 1, 1)
    one = np.ones((1, 1, 1, 1), np.float32)
    y: Any = tensor.conv2d(cupy.asarray(x), cupy.asarray(one), Window((1, 1), (1, 1), (1, 1)))
    assert y.get().ravel().tolist() == [1 + 2.0**-10, 1.0, -1 - 2.0**-10]


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_what_is_no_number_stays_so(kind: str) -> None:
    """One pixel of nan or inf spoils those that meet it and no other; ReLU keeps a nan."""
    window = Window((5, 5), (5, 5), (3, 3), pad=(1, 1))
    x, w, *_ = sample(kind, window, 1, 8, 8)
    x[0, 3, 0, 0], w[...] = np.nan, np.abs(w)
    x[0, 3, 4, 4] = np.inf
    made: Any = tensor.conv2d(on_device(x), on_device(w), window, relu=True)
    y = made.get().astype(np.float32)
    expected = np.zeros((5, 5), np.float32)
    expected[:2, :2], expected[3:, 3:] = np.nan, np.inf
    spoilt = ~np.isfinite(y[0])
    assert np.array_equal(spoilt, np.broadcast_to(expected != 0, spoilt.shape))
    assert np.array_equal(np.isnan(y[0]), np.broadcast_to(np.isnan(expected), spoilt.shape))


@pytest.mark.parametrize("N, C, O, out", [(0, 8, 8, 3), (1, 0, 8, 3), (1, 8, 0, 3), (2, 8, 8, 0)])
def test_nothing_is_fine(N: int, C: int, O: int, out: int) -> None:
    window = Window((5, 4), (out, min(out, 2)), (3, 3))
    check(sample("float16", window, N, C, O), "float16", bias=True)


# ---- what is copied ------------------------------------------------------------------------------


def copies(C: int, O: int, dtype: Any = np.float16) -> int:
    """How many arrays the triad widens for so many channels."""
    import cupy

    window = Window((4, 4), (4, 4), (3, 3), pad=(1, 1))
    shapes = (1, C, 4, 4), (O, C, 3, 3), (1, O, 4, 4)
    x, w, g = (packed(cupy.asarray(np.ones(shape, dtype))) for shape in shapes)
    before = chunks.Widened.count
    tensor.conv2d(x, w, window)
    tensor.conv_transpose2d(g, w, window)
    tensor.conv2d_weight(x, g, window)
    return chunks.Widened.count - before


def test_whole_chunks_of_channels_are_read_where_they_lie() -> None:
    assert copies(8, 16) == 0
    assert copies(4, 4, np.float32) == 0
    assert copies(3, 16) == 3, "x for y and for gw, and w"
    assert copies(8, 21) == 2, "g for gx and for gw"


def test_an_array_that_begins_between_chunks_is_copied(cuda: Cuda) -> None:
    import cupy

    line = cupy.asarray(np.arange(1 + 8 * 9, dtype=np.float16) % 7)
    x = line[1:].reshape(1, 3, 3, 8).transpose(0, 3, 1, 2)
    w = np.ones((8, 8, 1, 1), np.float16)
    window, before = Window((3, 3), (3, 3), (1, 1)), chunks.Widened.count
    y: Any = tensor.conv2d(x, cupy.asarray(w), window)
    assert chunks.Widened.count - before == 1
    assert np.array_equal(y.get()[:, 0], x.get().sum(1, dtype=np.float32))


# ---- when it is chosen ---------------------------------------------------------------------------


def problem(dtype: Any = np.float16, **changed: Any) -> Problem:
    window = Window(**{"image": (8, 8), "out": (8, 8), "kernel": (1, 1), **changed})
    return Problem("conv2d", 2, 8, 8, window, np.dtype(dtype))


def test_float32_is_exact_unless_one_allows_tf32() -> None:
    assert tensor.takes(problem(np.float32))
    mf.set_float32_matmul_precision("highest")
    assert not tensor.takes(problem(np.float32))
    assert tensor.takes(problem(np.float16)) and tensor.takes(problem(bfloat16))
    assert not tensor.takes(problem(np.float64)) and not tensor.takes(problem(np.int16))


def test_old_cards_and_far_windows_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tensor.takes(problem(dilation=(2**29, 1), kernel=(2, 1)))
    monkeypatch.setattr(tensor, "_capability", lambda device: 75)
    assert not tensor.takes(problem())


def test_the_switch_reaches_convolutions() -> None:
    third = mf.full((1, 8, 1, 1), 1 / 3, device="cuda")
    one = mf.full((8, 8, 1, 1), 1 / 8, device="cuda")
    rounded = tf32_numbers(np.array([1 / 3], np.float32)).item()
    y = mf.functional.conv2d(third, one)
    assert set(y.numpy().ravel().tolist()) == {rounded}
    mf.set_float32_matmul_precision("highest")
    y = mf.functional.conv2d(third, one)
    assert np.allclose(y.numpy(), 1 / 3, rtol=1e-7, atol=0)


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="'medium', expected one of 'highest', 'high'"):
        mf.set_float32_matmul_precision("medium")
    assert mf.get_float32_matmul_precision() == "high"
