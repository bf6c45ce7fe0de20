"""values: what flows through an ONNX graph here.

Numbers of floating type are tensors on the model's device, computed by our operators, with
gradients. Whole numbers and truths (sizes, indices, masks, labels) are NumPy arrays on the host:
there they are needed to know shapes, and nothing is differentiated by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from ....device import Array, is_floating, to_device, to_host
from ..error import OnnxError

Value = Any  # Tensor (floating) or np.ndarray (anything else)
AXES = 16  # NumPy knows 64 but does not do everything beyond 32; images have 4
LIMIT = 1 << 31  # bytes of one array that a graph makes of numbers alone


def settled(value: Any, device: str) -> Value:
    """An input or a constant where it belongs."""
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if is_floating(array.dtype):
        return value if isinstance(value, Tensor) else Tensor(to_device(array, device))
    return to_host(array)


def is_tensor(value: Value) -> bool:
    return isinstance(value, Tensor)


def host(value: Value) -> Array:
    """The numbers themselves."""
    return to_host(value.data) if isinstance(value, Tensor) else np.asarray(value)


def ints(value: Value) -> list[int]:
    """A list of whole numbers: sizes, axes."""
    return [int(one) for one in np.atleast_1d(host(value)).reshape(-1)]


def number(value: Value) -> float:
    """One number."""
    array = host(value)
    if array.size != 1:
        raise OnnxError(f"a number is expected, but the value has shape {array.shape}")
    return float(array.reshape(-1)[0])


def beside(value: Value, like: Tensor) -> Tensor:
    """A value as a tensor of the same dtype and device as another."""
    if isinstance(value, Tensor):
        return value if value.dtype == like.dtype else F.cast(value, like.dtype)
    return Tensor(to_device(np.asarray(value, like.dtype), like.device))


def labels(value: Value, like: Tensor) -> Tensor:
    """Whole numbers on the device of a tensor."""
    return Tensor(to_device(np.asarray(host(value), np.int64), like.device))


def truths(value: Any, like: Tensor) -> Tensor:
    """A mask on the device of a tensor."""
    return Tensor(to_device(np.asarray(value, bool), like.device))


def elementwise(ours: Callable[..., Any], numpys: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors, or of arrays where no input is a tensor."""

    def run(*values: Value) -> Value:
        tensors = [value for value in values if isinstance(value, Tensor)]
        if not tensors:
            with np.errstate(all="ignore"):
                return np.asarray(numpys(*values))
        return ours(*(beside(value, tensors[0]) for value in values))

    return run


def axis_of(axis: int, ndim: int) -> int:
    """An axis counted from the front."""
    if not -ndim <= axis < max(ndim, 1):
        raise OnnxError(f"axis is {axis}, expected {-ndim} to {ndim - 1}")
    return axis % max(ndim, 1)


def allowed(shape: Any, itemsize: int = 4) -> tuple[int, ...]:
    """A shape that a graph asks for, unless it is absurdly large."""
    sizes = tuple(int(size) for size in shape)
    if len(sizes) > AXES:
        raise OnnxError(f"a shape of {len(sizes)} axes is asked for, expected at most {AXES}")
    total = itemsize
    for size in sizes:
        if size < 0:
            raise OnnxError(f"a shape of {sizes} is asked for, expected sizes of at least 0")
        total *= size
    if total > LIMIT:
        raise OnnxError(f"a shape of {sizes} is asked for, which takes {total} bytes")
    return sizes


def reshaped(value: Value, shape: tuple[int, ...]) -> Value:
    return F.reshape(value, shape) if isinstance(value, Tensor) else value.reshape(shape)
