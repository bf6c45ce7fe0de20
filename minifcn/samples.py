"""samples: how an operator says on which inputs it wants to be tested.

`Op.samples()` yields (op, *draws): one draw per input. A draw makes an array from a random
generator; those that are not `smooth` (indices, masks, cached statistics) get no derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .device import Array, is_floating
from .shapes import Shape


@dataclass(frozen=True)
class Draw:
    """Normally distributed values of one shape."""

    shape: Shape
    smooth: bool = True

    def __call__(self, rng: np.random.Generator) -> Array:
        return rng.standard_normal(self.shape)


@dataclass(frozen=True)
class Uniform(Draw):
    """Values between `low` and `high`: for log, sqrt, division."""

    low: float = 0.5
    high: float = 2.0

    def __call__(self, rng: np.random.Generator) -> Array:
        return rng.uniform(self.low, self.high, self.shape)


@dataclass(frozen=True)
class Separated(Draw):
    """Values that differ pairwise and from 0 by 0.05 or more: no difference meets a kink."""

    def __call__(self, rng: np.random.Generator) -> Array:
        size = int(np.prod(self.shape))
        grid = 0.1 * (np.arange(size) - size // 2) + 0.05
        return rng.permutation(grid).reshape(self.shape)


@dataclass(frozen=True)
class Integers(Draw):
    """Whole numbers low .. high - 1 (int64): labels and indices; not differentiable."""

    smooth: bool = False
    low: int = 0
    high: int = 2

    def __call__(self, rng: np.random.Generator) -> Array:
        return rng.integers(self.low, self.high, self.shape)


@dataclass(frozen=True)
class Derived(Draw):
    """An input that the caller computes from the earlier ones, `make(*earlier)`: no derivative.

    A fused gradient gets cached statistics this way. Its vjp treats them as functions of the inputs
    they come from, and so does the finite difference.
    """

    smooth: bool = False
    make: Callable[..., Array] | None = None

    def __call__(self, rng: np.random.Generator) -> Array:
        raise TypeError("samples: a Derived input is made from the others, by fill()")


def draw(shape: str, kind: type[Draw] = Draw, **options: Any) -> Draw:
    """`draw("2 3 4")`: a draw of shape (2, 3, 4); `draw("")` has no axes."""
    return kind(tuple(int(size) for size in shape.split()), **options)


def fill(draws: tuple[Draw, ...], rng: np.random.Generator, dtype: Any = np.float64) -> list[Array]:
    """One array per draw; floating ones in `dtype`."""
    arrays: list[Array] = []
    for one in draws:
        made = derive(one, arrays) if isinstance(one, Derived) else one(rng)
        arrays.append(made.astype(dtype) if is_floating(made.dtype) else made)
    return arrays


def derive(one: Derived, earlier: list[Array]) -> Array:
    """The derived input that belongs to the inputs before it."""
    assert one.make is not None, "a Derived draw needs make="
    return np.asarray(one.make(*earlier))
