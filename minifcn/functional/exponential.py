r"""exponential: exp, log and the smooth bends made of them.

    exp        y = e^x                  gx = gy y
    log        y = log x                gx = gy / x
    sigmoid    y = 1 / (1 + e^-x)       gx = gy y (1 - y)
    tanh       y = tanh x               gx = gy (1 - y^2)
    softplus   y = log(1 + e^x)         gx = gy sigmoid(x)
    abs        y = |x|                  gx = gy sign(x)
    silu       y = x sigmoid(x)

Where the result gives the derivative, it is what is kept. Nothing overflows on the way: large |x|
give the limit. At 0, abs has the derivative 0.

Shape   all: same
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array, is_floating
from ..samples import Separated, Uniform, draw
from ..shapes import Shape, real
from .compare import gt
from .precision import widened
from .select import where


@dataclass(frozen=True)
class Exp(Op):
    """y = e^x."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.exp(x)
        return y

    def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
        return (gy * y,)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Exp(), draw("2 3")
        yield Exp(), draw("")


@dataclass(frozen=True)
class Log(Op):
    """y = log x."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.log(x)
        return y

    def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
        return (gy / x,)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Log(), draw("2 3", Uniform)


@dataclass(frozen=True)
class Sigmoid(Op):
    """y = 1 / (1 + e^-x)."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.sigmoid(x)
        return y

    def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
        return (gy * (y * (1 - y)),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Sigmoid(), draw("2 3")
        yield Sigmoid(), draw("")


@dataclass(frozen=True)
class Tanh(Op):
    """y = tanh x."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.tanh(x)
        return y

    def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
        return (gy * (1 - y * y),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Tanh(), draw("2 3")


@dataclass(frozen=True)
class Softplus(Op):
    """y = log(1 + e^x)."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.softplus(x)
        return y

    def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
        return (gy * Sigmoid()(x),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Softplus(), draw("2 3")
        yield Softplus(), draw("")


@dataclass(frozen=True)
class Abs(Op):
    """y = |x|."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.absolute(x)
        return y

    def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
        return (gy * Sign()(x.detach()),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Abs(), draw("2 3", Separated)


@dataclass(frozen=True)
class Sign(Op):
    """y = [x > 0] - [x < 0]: constant wherever it has a derivative."""

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.sign(x)
        return y

    def vjp(self, gy: Tensor) -> tuple[None]:
        return (None,)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Sign(), draw("2 3", Separated, smooth=False)


def exp(x: Tensor) -> Tensor:
    """e^x.

    Shape   x: any -> y: same
    """
    return Exp()(widened(floating("exp", x)))


def log(x: Tensor) -> Tensor:
    """The natural logarithm; -inf at 0, nan below.

    Shape   x: any -> y: same
    """
    return Log()(widened(floating("log", x)))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x), between 0 and 1.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> sigmoid(mf.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return Sigmoid()(floating("sigmoid", x))


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, between -1 and 1.

    Shape   x: any -> y: same
    """
    return Tanh()(floating("tanh", x))


def softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + e^(beta x)) / beta: relu with a round corner; x itself where beta x > threshold.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> softplus(mf.tensor([-1000.0, 1000.0])).tolist()
    [0.0, 1000.0]
    """
    x = widened(floating("softplus", x))
    beta, threshold = real("softplus", "beta", beta), real("softplus", "threshold", threshold)
    if beta == 0:
        raise ValueError("softplus: beta is 0, expected another number")
    z = x * beta
    y = Softplus()(z) / beta
    return where(gt(z, threshold), x, y)


def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), also called swish.

    Shape   x: any -> y: same
    """
    x = floating("silu", x)
    return x * Sigmoid()(x)


def abs(x: Tensor) -> Tensor:
    """|x|; the derivative at 0 is 0.

    Shape   x: any -> y: same

    >>> import minifcn as mf
    >>> abs(mf.tensor([-1.5, 0.0, 2.0])).tolist()
    [1.5, 0.0, 2.0]
    """
    return Abs()(as_tensor(x))


def floating(op: str, x: Tensor | Array) -> Tensor:
    """x as a tensor, if its dtype is a floating one."""
    x = as_tensor(x)
    if not is_floating(x.dtype):
        raise TypeError(f"{op}: dtype of x is {x.dtype}, expected a floating type; use .astype()")
    return x
