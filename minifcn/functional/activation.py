r"""activation: piecewise linear bends and their slopes.

    relu          y = max(x, 0)                 gx = gy where y > 0, else 0
    leaky_relu    y = x if x > 0 else r x       gx = gy if x > 0 else r gy
    clamp         y = min(max(x, low), high)    gx = gy where low <= x <= high, else 0

Each gradient is linear in gy and its own adjoint: a diagonal matrix. In x it is constant almost
everywhere, so x gets no second derivative through it. At the kink itself the choice is PyTorch's.

Shape   all: same
Cost    one pass over x; relu keeps its result, which the next layer keeps too, and not x
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array, is_floating
from ..samples import Separated, draw
from ..shapes import Shape, real
from .exponential import floating


@dataclass(frozen=True)
class Relu(Op):
    """y = max(x, 0)."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.relu(x)
        return y

    def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
        return (ReluGrad()(gy, y.detach()),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Relu(), draw("2 3 4", Separated)


@dataclass(frozen=True)
class ReluGrad(Op):
    """gx = gy where x > 0, else 0; relu's y tells that as well as its x."""

    linear = True

    def shape(self, gy: Shape, x: Shape) -> Shape:
        return gy

    def forward(self, k: Any, gy: Array, x: Array) -> Array:
        gx: Array = k.relu_grad(gy, x)
        return gx

    def vjp(self, ggx: Tensor, x: Tensor) -> tuple[Tensor, None]:
        return ReluGrad()(ggx, x), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield ReluGrad(), draw("2 3 4"), draw("2 3 4", Separated, smooth=False)


@dataclass(frozen=True)
class LeakyRelu(Op):
    """y = x where x > 0, else r x."""

    negative_slope: float

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.leaky_relu(x, self.negative_slope)
        return y

    def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
        return (LeakyReluGrad(self.negative_slope)(gy, x.detach()),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield LeakyRelu(0.01), draw("2 3", Separated)
        yield LeakyRelu(-1.5), draw("2 3 4", Separated)


@dataclass(frozen=True)
class LeakyReluGrad(Op):
    """gx = gy where x > 0, else r gy."""

    negative_slope: float
    linear = True

    def shape(self, gy: Shape, x: Shape) -> Shape:
        return gy

    def forward(self, k: Any, gy: Array, x: Array) -> Array:
        gx: Array = k.leaky_relu_grad(gy, x, self.negative_slope)
        return gx

    def vjp(self, ggx: Tensor, x: Tensor) -> tuple[Tensor, None]:
        return LeakyReluGrad(self.negative_slope)(ggx, x), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield LeakyReluGrad(0.01), draw("2 3"), draw("2 3", Separated, smooth=False)
        yield LeakyReluGrad(-1.5), draw("2 3 4"), draw("2 3 4", Separated, smooth=False)


@dataclass(frozen=True)
class Clamp(Op):
    """y = min(max(x, low), high)."""

    low: float
    high: float

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.clamp(x, self.low, self.high)
        return y

    def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
        return (ClampGrad(self.low, self.high)(gy, x.detach()),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Clamp(-0.5, 0.3), draw("3 5", Separated)
        yield Clamp(0.1, inf), draw("2 3 4", Separated)


@dataclass(frozen=True)
class ClampGrad(Op):
    """gx = gy where low <= x <= high, else 0."""

    low: float
    high: float
    linear = True

    def shape(self, gy: Shape, x: Shape) -> Shape:
        return gy

    def forward(self, k: Any, gy: Array, x: Array) -> Array:
        gx: Array = k.clamp_grad(gy, x, self.low, self.high)
        return gx

    def vjp(self, ggx: Tensor, x: Tensor) -> tuple[Tensor, None]:
        return ClampGrad(self.low, self.high)(ggx, x), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield ClampGrad(-0.5, 0.3), draw("3 5"), draw("3 5", Separated, smooth=False)
        yield ClampGrad(0.1, inf), draw("2 3 4"), draw("2 3 4", Separated, smooth=False)


def relu(x: Tensor) -> Tensor:
    """max(x, 0); the derivative at 0 is 0.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> relu(mf.tensor([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    return Relu()(as_tensor(x))


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope x.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> leaky_relu(mf.tensor([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]
    """
    x = floating("leaky_relu", x)
    return LeakyRelu(real("leaky_relu", "negative_slope", negative_slope))(x)


def clamp(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """x, but at least `min` and at most `max`; where these disagree, `max`.

    The derivative is 1 from bound to bound, bounds included, and 0 outside.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> clamp(mf.tensor([-1.0, 0.5, 2.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    if min is None and max is None:
        raise ValueError("clamp: min and max are both None, expected at least one number")
    low = -inf if min is None else real("clamp", "min", min)
    high = inf if max is None else real("clamp", "max", max)
    x = as_tensor(x)
    whole = all(isinf(bound) or bound.is_integer() for bound in (low, high))
    if not is_floating(x.dtype) and not (whole and x.dtype.kind in "iu"):
        raise TypeError(
            f"clamp: dtype of x is {x.dtype}, but min is {min} and max is {max}, expected a "
            f"floating type{' or whole numbers' if whole else ''}; use .astype()"
        )
    return Clamp(low, high)(x)
