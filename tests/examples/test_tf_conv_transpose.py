"""The example gives TensorFlow's numbers, through TensorFlow's layouts."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tf_conv_transpose.py"

# ONNX's test_convtranspose_autopad_same: SAME_UPPER, which is TensorFlow's rule.
SIX_BY_SIX = [
    [0, 0, 1, 1, 3, 2],
    [0, 0, 1, 1, 3, 2],
    [3, 3, 8, 5, 12, 7],
    [3, 3, 7, 4, 9, 5],
    [9, 9, 20, 11, 24, 13],
    [6, 6, 13, 7, 15, 8],
]
# The 5x5 painting by hand, without its last row and column; and without its first ones.
FOUR_BY_FOUR = [[1, 2, 5, 4], [4, 5, 14, 10], [10, 14, 36, 24], [12, 15, 34, 20]]
OTHER_CROP = [[5, 14, 10, 12], [14, 36, 24, 30], [15, 34, 20, 24], [24, 55, 32, 36]]


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE))


def test_three_by_three_becomes_six_by_six(example):
    assert example["three_by_three"]().shape == (1, 6, 6, 1)
    assert example["three_by_three"]()[0, :, :, 0].tolist() == SIX_BY_SIX


def test_two_by_two_becomes_four_by_four(example):
    assert example["two_by_two"]()[0, :, :, 0].tolist() == FOUR_BY_FOUR


def test_pytorchs_padding_has_the_same_shape_and_other_numbers():
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1, bias=False)
    layer.load_state_dict({"weight": np.arange(1.0, 10.0).reshape(1, 1, 3, 3)})
    assert layer(mf.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist() == [[OTHER_CROP]]


@pytest.mark.parametrize(("stride", "padding"), [(1, "same"), (2, "same"), (2, "valid")])
def test_tensorflows_own_test_of_ones(example, stride, padding):
    """conv2d_transpose_test.py: images 2 x 6 x 4 x 3 and kernels 3 x 3 x 2 x 3 of ones.

    Each output pixel counts the (input pixel, channel) pairs that reach it.
    """
    layer = nn.ConvTranspose2d(3, 2, 3, stride, padding, bias=False)
    layer.load_state_dict({"weight": nn.from_hwoi(np.ones((3, 3, 2, 3)))})
    y = nn.to_nhwc(layer(nn.from_nhwc(mf.tensor(np.ones((2, 6, 4, 3), np.float32))))).numpy()
    sizes = {(1, "same"): (6, 4), (2, "same"): (12, 8), (2, "valid"): (13, 9)}
    H, W = sizes[stride, padding]
    assert y.shape == (2, H, W, 2)
    before = 1 if stride == 1 else 0  # SAME: one pixel of padding above for stride 1, none for 2
    for h in range(H):
        for k in range(W):
            rows = [i for i in range(6) if 0 <= h - stride * i + before < 3]
            columns = [j for j in range(4) if 0 <= k - stride * j + before < 3]
            assert set(y[:, h, k].ravel()) == {3.0 * len(rows) * len(columns)}


def test_it_prints_what_it_computes(example, capsys):
    example["main"]()
    printed = capsys.readouterr().out.splitlines()
    rows = [[float(word) for word in line.split()] for line in printed if ":" not in line]
    assert rows == SIX_BY_SIX + FOUR_BY_FOUR
