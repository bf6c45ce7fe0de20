"""TensorFlow's conv2d_transpose, stride 2, padding SAME: its layer, its layouts, its numbers.

    python examples/tf_conv_transpose.py

Data is N H W C and the kernel KH KW OUT IN, as TensorFlow has them. "SAME" cuts the full painting,
of size 2 (P - 1) + 3, to twice the input: the odd row and column go at the bottom and at the right.
PyTorch's padding=1, output_padding=1 gives the same size but cuts at the top and at the left: other
numbers.
"""

import numpy as np

import minifcn as mf
from minifcn import nn


def conv2d_transpose(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """N H W C in, N 2H 2W C out, with a kernel KH KW OUT IN.

    Shape   images: N P Q I, kernel: KH KW O I  ->  N 2P 2Q O
    """
    KH, KW, O, I = kernel.shape
    layer = nn.ConvTranspose2d(
        I, O, (KH, KW), stride=2, padding="same", bias=False, dtype=kernel.dtype
    )
    layer.load_state_dict({"weight": nn.from_hwoi(kernel)})
    with mf.no_grad():
        y = layer(nn.from_nhwc(mf.tensor(images)))
    return np.asarray(nn.to_nhwc(y))


def three_by_three() -> np.ndarray:
    """0 to 8 under a 3x3 kernel of ones: 6x6."""
    images = np.arange(9.0).reshape(1, 3, 3, 1)
    return conv2d_transpose(images, np.ones((3, 3, 1, 1)))


def two_by_two() -> np.ndarray:
    """1 to 4 under the kernel 1 to 9: 4x4."""
    images = np.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    return conv2d_transpose(images, np.arange(1.0, 10.0).reshape(3, 3, 1, 1))


def main() -> None:
    """Print both results."""
    for title, result in [
        ("3x3 (0 to 8), kernel of ones:", three_by_three()),
        ("2x2 (1 to 4), kernel 1 to 9:", two_by_two()),
    ]:
        print(title)
        for row in result[0, :, :, 0]:
            print(" ".join(f"{value:3.0f}" for value in row))


if __name__ == "__main__":
    main()
