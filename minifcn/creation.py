"""creation: tensors out of nothing: constants, ramps, random numbers.

Shapes are given as PyTorch's, `zeros(2, 3)` or `zeros((2, 3))`; fractions are float32, unless
`dtype` says otherwise. They are made on `device`; unless given, on that of `mf.device`. Randomness
comes from an explicit numpy.random.Generator, in host memory, so it is the same on every device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .core import Tensor, full_like, tensor
from .device import host_array
from .kernels import settled
from .shapes import Shape, real, sizes


def full(
    shape: Any,
    fill_value: float,
    dtype: Any = None,
    requires_grad: bool = False,
    device: str | None = None,
) -> Tensor:
    """`fill_value` in every place; whole numbers make whole numbers.

    >>> full((2,), 0.5).tolist(), full((2,), 7).dtype
    ([0.5, 0.5], dtype('int64'))
    """
    value = host_array("full", fill_value, dtype)
    array = np.full(sizes("full", shape), value, value.dtype)
    return Tensor(settled(array, device), requires_grad)


def zeros(
    *shape: Any,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: str | None = None,
) -> Tensor:
    """Zeros.

    >>> zeros(2, 3).shape, zeros((2, 3)).shape
    ((2, 3), (2, 3))
    """
    return full(_shape("zeros", shape), 0, dtype, requires_grad, device)


def ones(
    *shape: Any,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: str | None = None,
) -> Tensor:
    """Ones."""
    return full(_shape("ones", shape), 1, dtype, requires_grad, device)


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of x's shape, dtype and device."""
    return full_like(x, 0)


def ones_like(x: Tensor) -> Tensor:
    """Ones of x's shape, dtype and device."""
    return full_like(x, 1)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """start, start + step, ... up to but not including `end`; `arange(n)` is 0 .. n - 1.

    >>> arange(3).tolist(), arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    first, last = (0, start) if end is None else (start, end)
    for name, number in (("start", first), ("end", last), ("step", step)):
        real("arange", name, number)
    if step == 0:
        raise ValueError("arange: step is 0, expected another number")
    ramp = np.arange(first, last, step)
    own = np.int64 if ramp.dtype.kind in "iu" else np.float32
    return tensor(ramp, dtype or own, device=device)


def rand(
    *shape: Any,
    generator: np.random.Generator | None = None,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: str | None = None,
) -> Tensor:
    """Evenly spread from 0 to 1.

    >>> x = rand(2, 3, generator=np.random.default_rng(0))
    >>> x.shape, bool(((x >= 0) & (x < 1)).all())
    ((2, 3), True)
    """
    draws = _generator("rand", generator).random(_shape("rand", shape))
    return tensor(draws, dtype, requires_grad, device)


def randn(
    *shape: Any,
    generator: np.random.Generator | None = None,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: str | None = None,
) -> Tensor:
    """Normally distributed, with mean 0 and variance 1."""
    draws = np.asarray(_generator("randn", generator).standard_normal(_shape("randn", shape)))
    return tensor(draws, dtype, requires_grad, device)


def _shape(op: str, shape: tuple[Any, ...]) -> Shape:
    return sizes(op, shape[0] if len(shape) == 1 else shape)


def _generator(op: str, generator: object) -> np.random.Generator:
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"{op}: generator is a {type(generator).__name__}, expected a numpy.random.Generator, "
            f"as from numpy.random.default_rng(seed)"
        )
    return generator
