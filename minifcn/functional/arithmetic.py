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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor, tensor
from ..device import Array, is_floating
from ..samples import Uniform, draw
from ..shapes import Shape, shown
from .broadcast import broadcast_shapes, broadcast_to
from .cast import cast, promoted
from .precision import widened


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
    a, b = promoted(a, b)
    if a.shape == b.shape:
        return a, b
    shape = broadcast_shapes(op, a=a.shape, b=b.shape)
    return broadcast_to(a, shape), broadcast_to(b, shape)


def _number(value: Any) -> Any:
    """A Python number, also for NumPy's scalars (which would widen float32); else None."""
    if not isinstance(value, Real):
        return None
    return value.item() if hasattr(value, "item") else value


def _with_number(op: str, kind: Callable[[Any], Op], number: Any, x: Any) -> Tensor:
    """kind(number)(x); whole numbers with a fraction become float32, as in PyTorch."""
    x = as_tensor(x)
    try:
        return kind(number)(x if isinstance(number, int) else _fractions(x))
    except OverflowError:
        raise ValueError(
            f"{op}: the number {number} does not fit dtype {x.dtype}; convert with .astype()"
        ) from None


def _fractions(x: Tensor) -> Tensor:
    """x, with whole numbers and bools as float32."""
    return x if is_floating(x.dtype) else cast(x, "float32")


def add(a: Any, b: Any) -> Tensor:
    """a + b, with broadcasting."""
    left, right = _number(a), _number(b)
    if right is not None:
        return _with_number("add", Shift, right, a)
    if left is not None:
        return _with_number("add", Shift, left, b)
    return Add()(*_numbers("add", a, b))


def sub(a: Any, b: Any) -> Tensor:
    """a - b, with broadcasting."""
    left, right = _number(a), _number(b)
    if right is not None:
        return _with_number("sub", Shift, -right, a)
    if left is not None:
        return _with_number("sub", Shift, left, neg(b))
    a, b = _numbers("sub", a, b)
    if a.dtype.kind == b.dtype.kind == "b":
        raise TypeError("sub: a and b are bools, expected numbers; convert one with .astype()")
    return Sub()(a, b)


def mul(a: Any, b: Any) -> Tensor:
    """a b element by element, with broadcasting."""
    left, right = _number(a), _number(b)
    if right is not None:
        return _with_number("mul", Scale, right, a)
    if left is not None:
        return _with_number("mul", Scale, left, b)
    return Mul()(*_numbers("mul", a, b))


def div(a: Any, b: Any) -> Tensor:
    """a / b element by element, with broadcasting; of whole numbers float32."""
    left, right = _number(a), _number(b)
    if right:
        return _with_number("div", Scale, 1 / right, a)
    if left is not None and right is None:
        return _with_number("div", Scale, left, Pow(-1)(_fractions(widened(as_tensor(b)))))
    a = _fractions(as_tensor(a))
    if right is not None:
        b = tensor(right, dtype=a.dtype, device=a.device)  # 0
    return Div()(*_numbers("div", a, b))


def neg(x: Tensor | Array) -> Tensor:
    """-x."""
    return _with_number("neg", Scale, -1, x)


def clone(x: Tensor | Array) -> Tensor:
    """x in memory of its own; the gradient goes through."""
    x = as_tensor(x)
    if is_floating(x.dtype):
        return Scale(1)(x)
    return Tensor(kernels.of("clone", [x.data]).copy(x.data))


def pow(x: Tensor | Array, exponent: float) -> Tensor:
    """x^p for a number p; of whole numbers float32 if p is negative or a fraction."""
    p = _number(exponent)
    if p is None:
        raise TypeError(f"pow: exponent is {shown(exponent)}, expected a number")
    return _with_number("pow", Pow, p if p >= 0 else float(p), widened(as_tensor(x)))


def sqrt(x: Tensor) -> Tensor:
    """x^(1/2)."""
    return pow(x, 0.5)
