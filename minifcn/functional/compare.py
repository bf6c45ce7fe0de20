"""compare: bools from two tensors, and what is said of many bools. Constants: nothing to derive.

    y = [a < b], [a <= b], [a > b], [a >= b], [a = b], [a /= b]        y = not a, a and b, a or b

nan is unlike everything, itself too.

Shape   a, b: broadcast together -> y: their common shape, bool
"""

from __future__ import annotations

from numbers import Real
from typing import Any

from .. import kernels
from ..core import Tensor, as_tensor
from .broadcast import broadcast_shapes, broadcast_to
from .cast import promoted
from .reshape import reshape

MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}  # b ? a


def lt(a: Any, b: Any) -> Tensor:
    """a < b."""
    return _compared("lt", a, b)


def le(a: Any, b: Any) -> Tensor:
    """a <= b."""
    return _compared("le", a, b)


def gt(a: Any, b: Any) -> Tensor:
    """a > b.

    >>> import minifcn as mf
    >>> gt(mf.tensor([1.0, 3.0]), 2).tolist()
    [False, True]
    """
    return _compared("gt", a, b)


def ge(a: Any, b: Any) -> Tensor:
    """a >= b."""
    return _compared("ge", a, b)


def eq(a: Any, b: Any) -> Tensor:
    """a = b."""
    return _compared("eq", a, b)


def ne(a: Any, b: Any) -> Tensor:
    """a /= b."""
    return _compared("ne", a, b)


def logical_not(a: Tensor) -> Tensor:
    """True where a is False; a: bool."""
    return _related("eq", _bools("logical_not", "a", a), False)


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """True where both are; a, b: bool."""
    return _joined("logical_and", "minimum", a, b)


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """True where one is, or both are; a, b: bool."""
    return _joined("logical_or", "maximum", a, b)


def any(x: Tensor) -> Tensor:
    """Whether one element is True; x: bool."""
    return _over_all("any", "amax", x, False)


def all(x: Tensor) -> Tensor:
    """Whether every element is True; x: bool."""
    return _over_all("all", "amin", x, True)


def _compared(relation: str, a: Any, b: Any) -> Tensor:
    if isinstance(b, Real):
        return _related(relation, as_tensor(a), b)
    if isinstance(a, Real):
        return _related(MIRRORED[relation], as_tensor(b), a)
    a, b = promoted(a, b)
    kernels.of(relation, [a.data, b.data], ("a", "b"))
    a, b = _alike(relation, a, b)
    return _related(relation, a, b.data)


def _related(relation: str, a: Tensor, b: Any) -> Tensor:
    """k.compare for an array or a number b."""
    return Tensor(kernels.of(relation, [a.data]).compare(a.data, b, relation))


def _joined(op: str, kernel: str, a: Tensor, b: Tensor) -> Tensor:
    a, b = _alike(op, _bools(op, "a", a), _bools(op, "b", b))
    k = kernels.of(op, [a.data, b.data], ("a", "b"))
    return Tensor(getattr(k, kernel)(a.data, b.data))


def _over_all(op: str, kernel: str, x: Tensor, of_none: bool) -> Tensor:
    """An extreme of all bools: the largest is True if one is, the smallest if all are."""
    x = _bools(op, "x", x)
    k = kernels.of(op, [x.data])
    if not x.numel():
        return Tensor(k.full((), of_none, x.data))
    return reshape(Tensor(getattr(k, kernel)(x.data, tuple(range(x.ndim)))), ())


def _alike(op: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both repeated to their common shape."""
    shape = broadcast_shapes(op, a=a.shape, b=b.shape)
    return broadcast_to(a.detach(), shape), broadcast_to(b.detach(), shape)


def _bools(op: str, name: str, x: Tensor) -> Tensor:
    x = as_tensor(x)
    if x.dtype.kind != "b":
        raise TypeError(f"{op}: dtype of {name} is {x.dtype}, expected bool; compare first")
    return x
