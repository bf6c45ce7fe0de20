r"""arithmetic: + - * / with broadcasting in the public functions, none in the operators.

    y = a + b    ga = gy          gb = gy
    y = a - b    ga = gy          gb = -gy
    y = a b      ga = gy b        gb = gy a
    y = a / b    ga = gy / b      gb = -gy y / b
    y = f x      gx = f gy        y = x + t    gx = gy        (f, t: Python numbers)
    y = x^p      gx = gy p x^(p-1)

Shape   all: same; the public functions first broadcast as NumPy does
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..core import Op, Tensor, as_tensor, tensor
from ..device import Array
from ..samples import Uniform, draw
from ..shapes import Shape, ShapeError
from .broadcast import broadcast_shapes, broadcast_to


@dataclass(frozen=True)
class Add(Op):
    """y = a + b."""

    def shape(self, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.add(a, b)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor, Tensor]:
        return gy, gy

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Add(), draw("2 3"), draw("2 3")


@dataclass(frozen=True)
class Sub(Op):
    """y = a - b."""

    def shape(self, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.subtract(a, b)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor, Tensor]:
        return gy, neg(gy)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Sub(), draw("4 1 2"), draw("4 1 2")


@dataclass(frozen=True)
class Mul(Op):
    """y = a b."""

    linear = True

    def shape(self, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.multiply(a, b)
        return y

    def vjp(self, gy: Tensor, a: Tensor, b: Tensor) -> tuple[Any, Any]:
        return lambda: gy * b, lambda: gy * a

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Mul(), draw("3 2"), draw("3 2")


@dataclass(frozen=True)
class Div(Op):
    """y = a / b."""

    linear = True

    def shape(self, a: Shape, b: Shape) -> Shape:
        return a

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.divide(a, b)
        return y

    def vjp(self, gy: Tensor, b: Tensor, y: Tensor) -> tuple[Any, Any]:
        return lambda: gy / b, lambda: neg(gy * y / b)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Div(), draw("3 2"), draw("3 2", Uniform)


@dataclass(frozen=True)
class Scale(Op):
    """y = f x."""

    factor: float
    linear = True

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.scale(x, self.factor)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (Scale(self.factor)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Scale(-2.5), draw("2 3")
        yield Scale(0.125), draw("")


@dataclass(frozen=True)
class Shift(Op):
    """y = x + t."""

    term: float

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.shift(x, self.term)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (gy,)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Shift(1.5), draw("2 3")
        yield Shift(-3.0), draw("4")


@dataclass(frozen=True)
class Pow(Op):
    """y = x^p."""

    exponent: float

    def shape(self, x: Shape) -> Shape:
        return x

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.power(x, self.exponent)
        return y

    def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
        p = self.exponent
        return (gy * Scale(p)(Pow(p - 1)(x)) if p != 0 else Scale(0)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Pow(2), draw("2 3")
        yield Pow(3), draw("4")
        yield Pow(0.5), draw("2 3", Uniform)
        yield Pow(-1.5), draw("3", Uniform)


def _numbers(op: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one shape; whole numbers beside floating ones take their dtype."""
    a, b = as_tensor(a), as_tensor(b)
    if a.dtype.kind == "f" and b.dtype.kind != "f":
        b = tensor(b, dtype=a.dtype, device=b.device)
    elif b.dtype.kind == "f" and a.dtype.kind != "f":
        a = tensor(a, dtype=b.dtype, device=a.device)
    shape = broadcast_shapes(op, a=a.shape, b=b.shape)
    return broadcast_to(a, shape), broadcast_to(b, shape)


def _number(value: Any) -> Any:
    """A Python number, also for NumPy's scalars (which would widen float32); else None."""
    if not isinstance(value, Real):
        return None
    return value.item() if hasattr(value, "item") else value


def add(a: Any, b: Any) -> Tensor:
    """a + b, with broadcasting."""
    left, right = _number(a), _number(b)
    if right is not None:
        return Shift(right)(as_tensor(a))
    if left is not None:
        return Shift(left)(as_tensor(b))
    return Add()(*_numbers("add", a, b))


def sub(a: Any, b: Any) -> Tensor:
    """a - b, with broadcasting."""
    left, right = _number(a), _number(b)
    if right is not None:
        return Shift(-right)(as_tensor(a))
    if left is not None:
        return Shift(left)(neg(b))
    return Sub()(*_numbers("sub", a, b))


def mul(a: Any, b: Any) -> Tensor:
    """a b element by element, with broadcasting."""
    left, right = _number(a), _number(b)
    if right is not None:
        return Scale(right)(as_tensor(a))
    if left is not None:
        return Scale(left)(as_tensor(b))
    return Mul()(*_numbers("mul", a, b))


def div(a: Any, b: Any) -> Tensor:
    """a / b element by element, with broadcasting."""
    left, right = _number(a), _number(b)
    if right:
        return Scale(1 / right)(as_tensor(a))
    if right is not None:
        a = as_tensor(a)
        return Div()(*_numbers("div", a, tensor(right, dtype=a.dtype, device=a.device)))  # by 0
    if left is not None:
        return mul(Pow(-1)(as_tensor(b)), left)
    return Div()(*_numbers("div", a, b))


def neg(x: Tensor | Array) -> Tensor:
    """-x."""
    return Scale(-1)(as_tensor(x))


def pow(x: Tensor | Array, exponent: float) -> Tensor:
    """x^p for a number p."""
    p = _number(exponent)
    if p is None:
        raise TypeError(f"pow: exponent is {exponent!r}, expected a number")
    return Pow(p)(as_tensor(x))


def sqrt(x: Tensor) -> Tensor:
    """x^(1/2)."""
    return pow(x, 0.5)


def check_bias(op: str, given: Any, weight: Tensor, letter: str, size: int) -> Tensor | None:
    """The bias as a tensor of one value per channel of the result, in weight's dtype; or None."""
    if given is None:
        return None
    bias = as_tensor(given)
    if bias.ndim != 1:
        raise ShapeError(f"{op}: bias has {bias.ndim} axes {bias.shape}, expected 1: {letter}")
    if bias.shape[0] != size:
        raise ShapeError(
            f"{op}: axis 0 ({letter}) of bias is {bias.shape[0]}, but axis 1 ({letter}) of the "
            f"result is {size}, expected {size}"
        )
    if bias.dtype != weight.dtype:
        raise TypeError(
            f"{op}: dtype of bias is {bias.dtype}, but dtype of weight is {weight.dtype}; "
            f"convert one with .astype()"
        )
    return bias


def add_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    """y + bias along axis 1, if there is a bias."""
    return y if bias is None else y + bias.reshape(1, -1, *(1,) * (y.ndim - 2))
