"""Strides of axes with one element say nothing: NumPy puts 0 there, or what it likes."""

import numpy as np
import pytest

from minifcn.kernels import numpy_kernels

SIZES = [(1, 512, 7, 7), (600, 8, 1, 3), (3, 1500, 1, 2), (2, 64, 9, 9)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum", "minimum"])
def test_one_number_per_channel_meets_an_image_that_was_given_an_axis(
    name: str, shape: tuple[int, int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    N, C, H, W = shape
    x = rng.standard_normal((H, W, N, C)).transpose(2, 3, 0, 1)
    x = x[0][None] if N == 1 else x[:, :, 0][:, :, None] if H == 1 else x  # a stride of 0
    column = np.broadcast_to(rng.standard_normal((1, C, 1, 1)), shape)
    kernel, ufunc = getattr(numpy_kernels, name), getattr(np, name)
    assert np.array_equal(kernel(x, column), ufunc(x, column))
    assert np.array_equal(kernel(column, x), ufunc(column, x))
