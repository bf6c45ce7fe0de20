"""Windows that lie in the padding alone, beside the image: they read zeros and paint nothing."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import Window
from minifcn.kernels import numpy_kernels as fast
from minifcn.kernels import reference as loops
from minifcn.kernels.numpy_kernels.conv.choose import ALGORITHMS

WINDOWS = [
    Window((2, 2), (1, 2), (3, 3), (4, 3), pad=(4, 0)),  # all above the image
    Window((3, 2), (2, 1), (2, 2), (1, 4), pad=(0, 5)),  # all to the left of it
    Window((2, 3), (1, 1), (2, 2), pad=(3, 4)),  # above and to the left
    Window((2, 2), (5, 5), (2, 2), (2, 2), pad=(4, 4)),  # around it
    Window((1, 1), (3, 3), (3, 3), dilation=(2, 2), pad=(3, 3)),  # the taps step over it
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_windows_beside_the_image(algorithm: str, window: Window) -> None:
    rng = np.random.default_rng(0)
    shapes = (2, 3, *window.image), (4, 3, *window.kernel), (2, 4, *window.out)
    x, w, g = (rng.standard_normal(shape) for shape in shapes)
    with mf.conv_algorithm(algorithm):
        assert np.allclose(fast.conv2d(x, w, window), loops.conv2d(x, w, window))
        back = fast.conv_transpose2d(g, w, window)
        assert np.allclose(back, loops.conv_transpose2d(g, w, window))
        weight = fast.conv2d_weight(x, g, window)
        assert np.allclose(weight, loops.conv2d_weight(x, g, window))
