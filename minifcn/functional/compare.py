"""compare: bools from two tensors, and what is said of many bools. Constants: nothing to derive.

    y = [a < b], [a <= b], [a > b], [a >= b], [a = b], [a /= b]        y = not a, a and b, a or b

nan is unlike everything, itself too.

Shape   a, b: broadcast together -> y: their common shape, bool
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

from .. import kernels
from ..core import Tensor, as_tensor
from .broadcast import broadcast_shapes
from .cast import promoted


def lt(a: Any, b: Any) -> Tensor:
    """a < b."""
    return _compared("lt", operator.lt, a, b)


def le(a: Any, b: Any) -> Tensor:
    """a <= b."""
    return _compared("le", operator.le, a, b)


def gt(a: Any, b: Any) -> Tensor:
    """a > b.

    >>> import minifcn as mf
    >>> gt(mf.tensor([1.0, 3.0]), 2).tolist()
    [False, True]
    """
    return _compared("gt", operator.gt, a, b)


def ge(a: Any, b: Any) -> Tensor:
    """a >= b."""
    return _compared("ge", operator.ge, a, b)


def eq(a: Any, b: Any) -> Tensor:
    """a = b."""
    return _compared("eq", operator.eq, a, b)


def ne(a: Any, b: Any) -> Tensor:
    """a /= b."""
    return _compared("ne", operator.ne, a, b)


def logical_not(a: Tensor) -> Tensor:
    """True where a is False; a: bool."""
    return as_tensor(operator.invert(_bools("logical_not", "a", a).data))


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """True where both are; a, b: bool."""
    return _joined("logical_and", operator.and_, a, b)


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """True where one is, or both are; a, b: bool."""
    return _joined("logical_or", operator.or_, a, b)


def any(x: Tensor) -> Tensor:
    """Whether one element is True; x: bool."""
    return as_tensor(_bools("any", "x", x).data.any())


def all(x: Tensor) -> Tensor:
    """Whether every element is True; x: bool."""
    return as_tensor(_bools("all", "x", x).data.all())


def _compared(op: str, relation: Callable[[Any, Any], Any], a: Any, b: Any) -> Tensor:
    if isinstance(b, Real):
        return as_tensor(relation(as_tensor(a).data, b))
    if isinstance(a, Real):
        return as_tensor(relation(a, as_tensor(b).data))
    a, b = promoted(a, b)
    broadcast_shapes(op, a=a.shape, b=b.shape)
    kernels.of(op, [a.data, b.data], ("a", "b"))
    return as_tensor(relation(a.data, b.data))


def _joined(op: str, join: Callable[[Any, Any], Any], a: Tensor, b: Tensor) -> Tensor:
    a, b = _bools(op, "a", a), _bools(op, "b", b)
    broadcast_shapes(op, a=a.shape, b=b.shape)
    return as_tensor(join(a.data, b.data))


def _bools(op: str, name: str, x: Tensor) -> Tensor:
    x = as_tensor(x)
    if x.dtype.kind != "b":
        raise TypeError(f"{op}: dtype of {name} is {x.dtype}, expected bool; compare first")
    return x
