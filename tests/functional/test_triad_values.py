"""Exact numbers of "same" and "valid" in other people's words: TensorFlow, ONNX, PyTorch.

The numbers are theirs (TensorFlow's unit test, ONNX's node tests, the guide to convolution
arithmetic), not ours: they hold the conventions fast where the libraries differ.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F


@pytest.fixture(autouse=True)
def on_every_device(device: str) -> Iterator[None]:
    """Every test of this file runs once per device: new tensors are made there."""
    with mf.device(device):
        yield


COUNT = np.arange(1.0, 10).reshape(1, 1, 3, 3)


def up(x: Any, w: Any, **options: Any) -> list[list[float]]:
    found: list[list[float]] = F.conv_transpose2d(mf.tensor(x), mf.tensor(w), **options)[
        0, 0
    ].tolist()
    return found


def test_3x3_to_6x6_same_is_onnx() -> None:
    """Ones over 0..8, kernel 3, stride 2: the crop starts at the full result's first row."""
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    assert up(x, np.ones((1, 1, 3, 3)), stride=2, padding="same") == [
        [0, 0, 1, 1, 3, 2],
        [0, 0, 1, 1, 3, 2],
        [3, 3, 8, 5, 12, 7],
        [3, 3, 7, 4, 9, 5],
        [9, 9, 20, 11, 24, 13],
        [6, 6, 13, 7, 15, 8],
    ]


def test_2x2_to_4x4_same_is_tensorflow_and_pytorch_crops_the_other_side() -> None:
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert up(x, COUNT, stride=2, padding="same") == [
        [1, 2, 5, 4],
        [4, 5, 14, 10],
        [10, 14, 36, 24],
        [12, 15, 34, 20],
    ]
    assert up(x, COUNT, stride=2, padding=1, output_padding=1) == [
        [5, 14, 10, 12],
        [14, 36, 24, 30],
        [15, 34, 20, 24],
        [24, 55, 32, 36],
    ]
    full = up(x, COUNT, stride=2)
    assert np.array(full)[:4, :4].tolist() == up(x, COUNT, stride=2, padding="same")
    assert np.array(full)[:4, :4].tolist() == up(x, COUNT, stride=2, padding=((0, 1), (0, 1)))
    longer = up(x, COUNT, stride=2, output_padding=1)
    assert np.array(longer)[1:5, 1:5].tolist() == up(
        x, COUNT, stride=2, padding=1, output_padding=1
    )


def counts(size: int, stride: int, out: int, before: int) -> list[int]:
    """How many kernel taps (of 3) reach each output place."""
    found = [0] * out
    for i in range(size):
        for u in range(3):
            place = stride * i + u - before
            if 0 <= place < out:
                found[place] += 1
    return found


@pytest.mark.parametrize(
    ("stride", "word", "size", "values"),
    [
        (2, "same", (12, 8), {3, 6, 12}),
        (1, "same", (6, 4), {12, 18, 27}),
        (2, "valid", (13, 9), None),
    ],
)
def test_tensorflows_table_of_counts(stride: int, word: str, size: Any, values: Any) -> None:
    """Ones in, ones as kernel, 3 channels: every value counts the taps that reach it."""
    x, w = np.ones((2, 3, 6, 4)), np.ones((3, 2, 3, 3))
    y = F.conv_transpose2d(mf.tensor(x), mf.tensor(w), stride=stride, padding=word).numpy()
    assert y.shape == (2, 2, *size)
    before = 1 if stride == 1 else 0
    rows, columns = counts(6, stride, size[0], before), counts(4, stride, size[1], before)
    assert np.array_equal(y, np.broadcast_to(3 * np.outer(rows, columns), y.shape))
    if stride == 2 and word == "same":  # as its test puts it
        for h, k in np.ndindex(*size):
            even = (h % 2 == 0 and 0 < h < size[0] - 1) + (k % 2 == 0 and 0 < k < size[1] - 1)
            assert y[0, 0, h, k] == 3 + {0: 0, 1: 3, 2: 9}[even]
    if values:
        assert set(y.ravel()) == values


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_same_is_tensorflows_rule(H: int, K: int, stride: int, dilation: int) -> None:
    """out = ceil(H / s); pad = max((out-1) s + (K-1) d + 1 - H, 0), the odd one last."""
    x = np.random.default_rng(0).standard_normal((1, 1, H, 1))
    w = np.random.default_rng(1).standard_normal((1, 1, K, 1))
    out = -(-H // stride)
    pad = max((out - 1) * stride + (K - 1) * dilation + 1 - H, 0)
    options: Any = {"stride": (stride, 1), "dilation": (dilation, 1)}
    for word, before in (("same", pad // 2), ("same_lower", pad - pad // 2)):
        y = F.conv2d(mf.tensor(x), mf.tensor(w), padding=word, **options).numpy()
        sides = ((before, pad - before), (0, 0))
        expected = F.conv2d(mf.tensor(x), mf.tensor(w), padding=sides, **options).numpy()
        assert y.shape[2] == out and np.array_equal(y, expected[:, :, :out])


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 2))
def test_same_upwards_is_the_gradient_of_same(P: int, K: int, stride: int, dilation: int) -> None:
    """Legal sizes are those with ceil(H / s) = P; the default is s P; <conv x, g> = <x, up g>."""
    rng = np.random.default_rng(0)
    g, w = rng.standard_normal((1, 1, P, 1)), rng.standard_normal((1, 1, K, 1))
    options: Any = {"stride": (stride, 1), "dilation": (dilation, 1), "padding": "same"}
    assert len(up(g, w, **options)) == stride * P
    for H in range(1, stride * P + 3):
        if -(-H // stride) == P:
            x = rng.standard_normal((1, 1, H, 1))
            back = up(g, w, **options, output_size=(H, 1))
            y = F.conv2d(mf.tensor(x), mf.tensor(w), **options).numpy()
            assert np.vdot(y, g) == pytest.approx(np.vdot(x, np.array(back)), abs=1e-12)
        else:
            with pytest.raises(mf.ShapeError, match=f"output_size.*H.*{H}"):
                up(g, w, **options, output_size=(H, 1))


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
def test_valid_upwards_reaches_as_far_as_the_stride(
    P: int, K: int, stride: int, dilation: int
) -> None:
    """H = s P + max(d (K - 1) + 1 - s, 0), TensorFlow's; pixels that no tap reaches are 0."""
    span = dilation * (K - 1) + 1
    options: Any = {"stride": (stride, 1), "dilation": (dilation, 1), "padding": "valid"}
    y = up(np.ones((1, 1, P, 1)), np.ones((1, 1, K, 1)), **options)
    assert len(y) == stride * P + max(span - stride, 0)
    reached = {stride * i + dilation * u for i in range(P) for u in range(K)}
    assert [row[0] != 0 for row in y] == [h in reached for h in range(len(y))]


def test_a_bilinear_kernel_doubles_a_plane() -> None:
    """FCN's upsampling, kernel 4, stride 2, padding 1: inside, a linear ramp stays one."""
    row = np.array([0.25, 0.75, 0.75, 0.25])
    x = np.broadcast_to(np.arange(6.0).reshape(1, 1, 1, 6), (1, 1, 6, 6)).copy()
    y = np.array(up(x, np.outer(row, row).reshape(1, 1, 4, 4), stride=2, padding=1))
    assert y.shape == (12, 12)
    expected = (np.arange(12) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(y[1:-1, 1:-1], np.broadcast_to(expected[1:-1], (10, 10)))
