"""im2col where the weight is larger than the columns: it is read as it lies."""

from typing import Any

import numpy as np
import pytest

from minifcn.kernels import reference
from minifcn.kernels.forced import conv_algorithm
from minifcn.kernels.numpy_kernels import conv2d
from minifcn.kernels.numpy_kernels.conv import im2col, weights
from minifcn.window import Window


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "image, kernel, stride, pad, dilation, copied",
    [
        ((3, 4), (3, 3), (1, 1), (1, 1), (1, 1), False),
        ((5, 4), (3, 2), (2, 1), (0, 1), (1, 2), False),
        ((1, 1), (1, 1), (1, 1), (0, 0), (1, 1), False),
        ((4, 4), (3, 3), (1, 1), (1, 1), (1, 1), True),  # 2 x 16 pixels, 25 channels
    ],
)
def test_the_weight_is_copied_only_if_the_columns_are_larger(
    dtype: Any, image: Any, kernel: Any, stride: Any, pad: Any, dilation: Any, copied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rng, in_order = np.random.default_rng(0), weights.in_order
    calls: list[Any] = []

    def watched(w: Any) -> Any:
        calls.append(w.shape)
        return in_order(w)

    monkeypatch.setattr(im2col, "in_order", watched)
    x = rng.standard_normal((2, 3, *image)).astype(dtype)
    w = rng.standard_normal((25, 3, *kernel)).astype(dtype)
    window = Window.for_conv("test", image, kernel, stride, pad, dilation)
    with conv_algorithm("im2col"):
        y = conv2d(x, w, window)
    wanted = reference.conv2d(x.astype(np.float64), w.astype(np.float64), window)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    assert bool(calls) == copied
