"""The winner of every pixel: the first of equals, of few classes and many, in any layout."""

import numpy as np
import pytest

from minifcn.infer.winner import BLOCK, winner


@pytest.mark.parametrize("K", [1, 2, 11, 256, 257, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_argmax(K, dtype):
    logits = np.random.default_rng(0).integers(-3, 4, (2, K, 9, 7)).astype(dtype)  # many equals
    found, best = winner(logits)
    np.testing.assert_array_equal(found, logits.argmax(1))
    np.testing.assert_array_equal(best, logits.max(1))
    assert found.dtype == np.int32 and best.dtype == dtype


@pytest.mark.parametrize("order", ["planes", "pixels", "a part"])
def test_more_pixels_than_a_block(order):
    W = BLOCK // 3 + 5
    logits = np.random.default_rng(1).standard_normal((1, 3, 5, W)).astype(np.float32)
    if order == "pixels":
        logits = np.ascontiguousarray(logits.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
    if order == "a part":
        logits = logits[:, 1:, ::2, 3:-2]
    np.testing.assert_array_equal(winner(logits)[0], logits.argmax(1))


@pytest.mark.parametrize("k", [0, 2])
def test_a_nan_wins_nothing(k):
    logits = np.zeros((1, 3, 4, 4), np.float32)
    logits[0, k, 3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN logits"):
        winner(logits)


def test_infinity_may_win():
    logits = np.full((1, 3, 2, 2), -np.inf, np.float32)
    logits[0, 2, 1, 1] = np.inf
    np.testing.assert_array_equal(winner(logits)[0][0], [[0, 0], [0, 2]])
