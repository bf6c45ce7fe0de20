"""Wrong values for any argument: the operator and the argument are named, and NumPy stays silent.

One table: who is called, which argument is wrong, and what else the message has to say. The values
are the mistakes of every day: a float for a whole number, None, a word, a list, an array.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F

ODD: list[Any] = [None, "a", 1.5, {}, object(), np.array(["a"]), np.ones(3), mf.tensor([1.0, 2.0])]


def x() -> mf.Tensor:
    return mf.tensor(np.arange(180.0).reshape(2, 3, 5, 6))


# operator, argument, a call with that argument, the values that are right after all
WHOLE: list[tuple[str, str, Callable[[Any], Any], tuple[Any, ...]]] = [
    ("sum", "axis", lambda v: F.sum(x(), v), (None,)),
    ("mean", "axis", lambda v: F.mean(x(), v), (None,)),
    ("var", "axis", lambda v: F.var(x(), v), (None,)),
    ("max", "axis", lambda v: F.max(x(), v), (None,)),
    ("amin", "axis", lambda v: F.amin(x(), v), (None,)),
    ("argmax", "axis", lambda v: F.argmax(x(), v), (None,)),
    ("softmax", "dim", lambda v: F.softmax(x(), v), ()),
    ("cat", "dim", lambda v: F.cat([x(), x()], v), ()),
    ("stack", "dim", lambda v: F.stack([x(), x()], v), ()),
    ("split", "dim", lambda v: F.split(x(), 1, v), ()),
    ("split", "split_size", lambda v: F.split(x(), v), ()),
    ("chunk", "chunks", lambda v: F.chunk(x(), v), ()),
    ("gather", "dim", lambda v: F.gather(x(), v, mf.tensor(np.zeros((2, 3, 5, 6), int))), ()),
    ("flatten", "start_dim", lambda v: F.flatten(x(), v), ()),
    ("flatten", "end_dim", lambda v: F.flatten(x(), 0, v), ()),
    ("transpose", "axis", lambda v: F.transpose(x(), v, 0), ()),
    ("permute", "axes", lambda v: F.permute(x(), 0, 1, 2, v), ()),
    ("reshape", "shape[1]", lambda v: F.reshape(x(), 2, v), ()),
    ("broadcast_to", "shape[0]", lambda v: F.broadcast_to(x(), (v, 2, 3, 5, 6)), ()),
    ("crop", "top", lambda v: F.crop(x(), v, 0, 1, 1), ()),
    ("crop", "width", lambda v: F.crop(x(), 0, 0, 1, v), ()),
    ("pad", "pad", lambda v: F.pad(x(), (v, 0)), ()),
    ("conv2d", "groups", lambda v: F.conv2d(x(), mf.tensor(np.ones((4, 3, 2, 2))), groups=v), ()),
    ("conv2d", "stride", lambda v: F.conv2d(x(), mf.tensor(np.ones((4, 3, 2, 2))), stride=v), ()),
    ("max_pool2d", "kernel_size", lambda v: F.max_pool2d(x(), v), ()),
    ("avg_pool2d", "divisor_override", lambda v: F.avg_pool2d(x(), 2, divisor_override=v), (None,)),
    ("unfold", "kernel_size", lambda v: F.unfold(x(), v), ()),
    ("interpolate", "size", lambda v: F.interpolate(x(), v), (None,)),
    ("adaptive_avg_pool2d", "output_size", lambda v: F.adaptive_avg_pool2d(x(), v), (None,)),
]

NUMBERS: list[tuple[str, str, Callable[[Any], Any], tuple[Any, ...]]] = [
    ("dropout", "p", lambda v: F.dropout(x(), v, generator=np.random.default_rng(0)), ()),
    ("batch_norm", "eps", lambda v: F.batch_norm(x(), None, None, training=True, eps=v), (1.5,)),
    (
        "batch_norm",
        "momentum",
        lambda v: F.batch_norm(x(), None, None, None, None, True, v),
        (1.5,),
    ),
    ("leaky_relu", "negative_slope", lambda v: F.leaky_relu(x(), v), (1.5,)),
    ("softplus", "beta", lambda v: F.softplus(x(), v), (1.5,)),
    ("clamp", "max", lambda v: F.clamp(x(), 0, v), (1.5, None)),
    ("var", "correction", lambda v: F.var(x(), 1, False, v), (1.5,)),
    ("pad", "value", lambda v: F.pad(x(), (1, 1), "constant", v), (1.5, None)),
    ("pow", "exponent", lambda v: F.pow(x(), v), (1.5,)),
]

WORDS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("pad", "mode", lambda v: F.pad(x(), (1, 1), v)),
    ("interpolate", "mode", lambda v: F.interpolate(x(), 2, mode=v)),
    ("mse_loss", "reduction", lambda v: F.mse_loss(x(), x(), reduction=v)),
]


def is_right(value: Any, right: tuple[Any, ...]) -> bool:
    return any(value is one or (isinstance(one, float) and value is ODD[2]) for one in right)


@pytest.mark.parametrize(("op", "argument", "call", "right"), WHOLE)
def test_a_whole_number_is_asked_for(op, argument, call, right) -> None:
    for value in (*ODD, True):
        if is_right(value, right):
            continue
        with pytest.raises((TypeError, mf.ShapeError)) as caught:
            call(value)
        text = str(caught.value)
        assert text.startswith(f"{op}: {argument}"), text
        assert "expected" in text, text


@pytest.mark.parametrize(("op", "argument", "call", "right"), NUMBERS)
def test_a_number_is_asked_for(op, argument, call, right) -> None:
    for value in ODD:
        if is_right(value, right):
            continue
        with pytest.raises((TypeError, ValueError)) as caught:
            call(value)
        text = str(caught.value)
        assert text.startswith(f"{op}: {argument} is "), text
        assert "expected" in text, text


@pytest.mark.parametrize(("op", "argument", "call"), WORDS)
def test_a_word_is_asked_for(op, argument, call) -> None:
    for value in ODD:
        with pytest.raises(ValueError) as caught:
            call(value)
        text = str(caught.value)
        assert text.startswith(f"{op}: {argument} is "), text
        assert "expected one of '" in text, text


def test_an_axis_that_is_no_whole_number_is_not_taken_for_none() -> None:
    """sum(axis=1.5) gave x back unsummed."""
    with pytest.raises(TypeError, match=r"sum: axis is 1\.5, expected a whole number"):
        x().sum(axis=1.5)


def test_a_size_that_is_no_whole_number_is_not_cut() -> None:
    """reshape(2.9, ...) took 2."""
    with pytest.raises(TypeError, match=r"reshape: shape\[0\] is 2\.9, expected a whole number"):
        x().reshape(2.9, 90)


def test_flatten_from_an_axis_that_is_not_there() -> None:
    """flatten(7) appended an axis of size 1."""
    with pytest.raises(mf.ShapeError, match="flatten: start_dim is 7, expected -4 to 3"):
        x().flatten(7)


def test_the_sums_of_a_number() -> None:
    """A tensor without axes counts as one axis of size 1, as in PyTorch."""
    number = mf.tensor(3.0)
    assert number.sum(0).item() == number.mean(-1).item() == 3.0
    with pytest.raises(mf.ShapeError, match="sum: axis is 1, expected -1 to 0"):
        number.sum(1)
