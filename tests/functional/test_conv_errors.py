"""The likeliest mistakes with convolutions: operator, argument, axis, got and expected are said.

Facts are asserted one by one, not a pasted text: words may improve, facts may not go missing.
"""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import ShapeError, Tensor


def ones(*shape: int, dtype: Any = np.float32) -> Tensor:
    return mf.tensor(np.ones(shape, dtype))


def message(error: type[Exception], function: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    text = str(caught.value)
    assert not text.split("\n")[0].endswith("."), "no full stop"
    return text


X, W = ones(2, 3, 5, 6), ones(4, 3, 3, 3)
UP = ones(3, 4, 3, 3)  # the weight that conv_transpose2d wants for X

# (what is wrong, error, call, facts of the message)
MISTAKES: list[tuple[str, type[Exception], Any, list[str]]] = [
    (
        "channels of the weight",
        ShapeError,
        lambda: F.conv2d(X, ones(4, 2, 3, 3)),
        [
            "conv2d",
            "axis 1 (C/G) of weight is 2",
            "axis 1 (C) of x is 3",
            "groups is 1",
            "expected 3",
        ],
    ),
    (
        "channels of the weight, grouped",
        ShapeError,
        lambda: F.conv2d(ones(1, 4, 5, 5), ones(4, 4, 3, 3), groups=2),
        [
            "conv2d",
            "axis 1 (C/G) of weight is 4",
            "axis 1 (C) of x is 4",
            "groups is 2",
            "expected 2",
        ],
    ),
    (
        "no batch axis",
        ShapeError,
        lambda: F.conv2d(ones(3, 5, 6), W),
        ["conv2d", "x has 3 axes (3, 5, 6)", "expected 4", "N C H W"],
    ),
    (
        "a matrix for a kernel",
        ShapeError,
        lambda: F.conv2d(X, ones(4, 3)),
        ["conv2d", "weight has 2 axes (4, 3)", "expected 4", "O C/G KH KW"],
    ),
    (
        "kernel larger than the image",
        ShapeError,
        lambda: F.conv2d(X, ones(4, 3, 7, 3)),
        ["conv2d", "axis 2 (H) of x is 5", "0 + 0 padding", "expected at least 7", "kernel 7"],
    ),
    (
        "dilated kernel wider than the image",
        ShapeError,
        lambda: F.conv2d(X, W, dilation=(1, 4), padding=(0, 1)),
        ["conv2d", "axis 3 (W) of x is 6", "8 with 1 + 1", "at least 9", "kernel 3", "dilation 4"],
    ),
    (
        "bias of another length",
        ShapeError,
        lambda: F.conv2d(X, W, ones(3)),
        ["conv2d", "axis 0 (O) of bias is 3", "axis 1 (O) of the result is 4", "expected 4"],
    ),
    (
        "bias with more axes",
        ShapeError,
        lambda: F.conv2d(X, W, ones(1, 4, 1, 1)),
        ["conv2d", "bias has 4 axes (1, 4, 1, 1)", "expected 1", "O"],
    ),
    (
        "groups that do not divide the channels",
        ShapeError,
        lambda: F.conv2d(X, W, groups=2),
        ["conv2d", "axis 1 (C) of x is 3", "expected a multiple of groups 2"],
    ),
    (
        "groups that do not divide the outputs",
        ShapeError,
        lambda: F.conv2d(X, ones(4, 1, 3, 3), groups=3),
        ["conv2d", "axis 0 (O) of weight is 4", "expected a multiple of groups 3"],
    ),
    (
        "mixed precision",
        TypeError,
        lambda: F.conv2d(X, ones(4, 3, 3, 3, dtype=np.float64)),
        ["conv2d", "dtype of weight is float64", "dtype of x is float32", ".astype()"],
    ),
    (
        "a photo of bytes",
        TypeError,
        lambda: F.conv2d(ones(1, 3, 5, 5, dtype=np.uint8), W),
        ["conv2d", "dtype of x is uint8", "expected a floating type", ".astype()"],
    ),
    (
        "a padding word",
        ShapeError,
        lambda: F.conv2d(X, W, padding="full"),
        ["conv2d", "padding is 'full'", "'valid'", "'same'", "'same_lower'"],
    ),
    (
        "padding of three numbers",
        ShapeError,
        lambda: F.conv2d(X, W, padding=(1, 1, 1)),
        ["conv2d", "padding is (1, 1, 1)", "(height, width)", "((top, bottom), (left, right))"],
    ),
    (
        "a bias of another precision",
        TypeError,
        lambda: F.conv2d(X, W, ones(4, dtype=np.float64)),
        ["conv2d", "dtype of bias is float64", "dtype of weight is float32"],
    ),
    (
        "padding of three sides",
        ShapeError,
        lambda: F.conv2d(X, W, padding=((1, 1), 1)),  # type: ignore[arg-type] # that is the mistake
        ["conv2d", "padding is ((1, 1), 1)", "((top, bottom), (left, right))"],
    ),
    (
        "negative padding at one side",
        ShapeError,
        lambda: F.conv2d(X, W, padding=((0, -2), (0, 0))),
        ["conv2d", "padding after axis 2 (H) is -2", "expected at least 0"],
    ),
    (
        "negative padding",
        ShapeError,
        lambda: F.conv2d(X, W, padding=(0, -1)),
        ["conv2d", "padding along axis 3 (W) is -1", "expected at least 0"],
    ),
    (
        "stride zero",
        ShapeError,
        lambda: F.conv2d(X, W, stride=(0, 1)),
        ["conv2d", "stride along axis 2 (H) is 0", "expected at least 1"],
    ),
    (
        "a stride that is no whole number",
        TypeError,
        lambda: F.conv2d(X, W, stride=1.5),  # type: ignore[arg-type] # that is the mistake
        ["conv2d", "stride is 1.5", "expected a whole number"],
    ),
    (
        "a kernel without taps",
        ShapeError,
        lambda: F.conv2d(X, ones(4, 3, 0, 3)),
        ["conv2d", "axis 2 (KH) of weight is 0", "expected at least 1"],
    ),
    (
        "conv2d's weight given to conv_transpose2d",
        ShapeError,
        lambda: F.conv_transpose2d(X, W),
        ["conv_transpose2d", "axis 0 (O) of weight is 4", "axis 1 (O) of x is 3"],
    ),
    (
        "transposed bias of the input's length",
        ShapeError,
        lambda: F.conv_transpose2d(X, UP, ones(3)),
        ["conv_transpose2d", "axis 0 (C) of bias is 3", "axis 1 (C) of the result is 4"],
    ),
    (
        "an image size that nothing gives",
        ShapeError,
        lambda: F.conv_transpose2d(X, UP, stride=2, output_size=(13, 13)),
        [
            "conv_transpose2d",
            "output_size along axis 2 (H) is 13",
            "axis 2 (P) of x is 5",
            "11, 12",
        ],
    ),
    (
        'an image size that "same" cannot give',
        ShapeError,
        lambda: F.conv_transpose2d(X, UP, stride=2, padding="same", output_size=(10, 13)),
        ["conv_transpose2d", "output_size along axis 3 (W) is 13", "(Q) of x is 6", "11, 12"],
    ),
    (
        "output padding as large as the stride",
        ShapeError,
        lambda: F.conv_transpose2d(X, UP, stride=2, output_padding=(1, 2)),
        ["conv_transpose2d", "output_padding along axis 3 (W) is 2", "less than stride 2"],
    ),
    (
        "both ways to say the size",
        ShapeError,
        lambda: F.conv_transpose2d(X, UP, stride=2, output_padding=1, output_size=12),
        ["conv_transpose2d", "output_padding is (1, 1)", "output_size is (12, 12)", "one of them"],
    ),
    (
        "padding that crops all away",
        ShapeError,
        lambda: F.conv_transpose2d(ones(1, 3, 1, 6), UP, padding=2),
        ["conv_transpose2d", "axis 2 (P) of x is 1", "2 + 2 padding", "-1", "expected at least 1"],
    ),
    (
        "a gradient of another size",
        ShapeError,
        lambda: F.conv2d_weight(X, ones(2, 4, 3, 5), 3),
        ["conv2d_weight", "axis 3 (Q) of g is 5", "expected 4", "axis 3 of x, 6"],
    ),
    (
        "a gradient of another batch",
        ShapeError,
        lambda: F.conv2d_weight(X, ones(1, 4, 3, 4), 3),
        ["conv2d_weight", "axis 0 (N) of g is 1", "axis 0 (N) of x is 2"],
    ),
]


@pytest.mark.parametrize(
    ("error", "call", "facts"), [pytest.param(*rest, id=name) for name, *rest in MISTAKES]
)
def test_a_mistake_is_explained(error: type[Exception], call: Any, facts: list[str]) -> None:
    text = message(error, call)
    missing = [fact for fact in facts if fact not in text]
    assert not missing, f"{missing} not said by: {text}"
    assert text.startswith(f"{facts[0]}: ")


def test_channel_errors_show_every_shape() -> None:
    text = message(ShapeError, F.conv2d, X, ones(4, 2, 3, 3))
    assert "x: N C H W" in text and "(2, 3, 5, 6)" in text
    assert "weight: O C/G KH KW" in text and "(4, 2, 3, 3)" in text


def test_nothing_is_computed_before_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong bias is found before a large convolution is made."""
    from minifcn.kernels import numpy_kernels

    called = []
    monkeypatch.setattr(numpy_kernels, "conv2d", lambda *a: called.append(a))
    message(ShapeError, F.conv2d, X, W, ones(3))
    assert not called
