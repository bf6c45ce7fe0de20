"""operators: what Python's syntax means for tensors: `+`, `@`, `<`, `[]`, `float()`.

Only names here; the mathematics is in `functional`, imported when used. This and methods.py are the
house's one upward reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from . import kernels
from .device import Array, of, to_host
from .modes import mode
from .shapes import axis_of, shown

if TYPE_CHECKING:
    from .core import Tensor
    from .versions import Version


class Operators:
    """Mixed into Tensor."""

    __slots__ = ()
    __array_priority__ = 1000  # NumPy leaves array + tensor to the tensor
    __array_ufunc__ = None

    data: Array
    _version: Version

    # ---- looking -------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def device(self) -> str:
        return of(self.data)

    def size(self, axis: int | None = None) -> Any:
        """The shape, or one axis of it."""
        return self.shape if axis is None else self.shape[axis_of("size", "dim", axis, self.ndim)]

    def dim(self) -> int:
        return self.data.ndim

    def numel(self) -> int:
        """How many elements."""
        return int(self.data.size)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: the tensor has no axes, expected at least 1")
        return self.shape[0]

    def numpy(self) -> Array:
        """The values in host memory, read-only; any strides. Write with `t[...] = v` or `copy_`."""
        view = to_host(self.data).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item: shape is {self.shape}, expected one element")
        return to_host(self.data).item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                f"bool: shape is {self.shape}, expected one element; use .any() or .all()"
            )
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # ---- writing in place (never recorded; a backward that kept the old values will notice) -----

    def copy_(self: Any, source: Any) -> Tensor:
        """Write `source` into this tensor's memory."""
        self[...] = source
        kept: Tensor = self
        return kept

    def fill_(self, value: float) -> Tensor:
        """Write one number everywhere."""
        return self.copy_(value)

    def zero_(self) -> Tensor:
        """Write zeros: `p.grad.zero_()`."""
        return self.copy_(0)

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        if mode.recording and self.requires_grad:
            raise RuntimeError("setitem: this tensor requires a gradient; write under mf.no_grad()")
        if mode.recording and getattr(value, "requires_grad", False):
            raise RuntimeError("setitem: value requires a gradient, which would be lost; .detach()")
        parts = key if isinstance(key, tuple) else (key,)
        given = [("value", value), *(("an index", part) for part in parts)]
        tensors = [("x", self), *(one for one in given if isinstance(one[1], Operators))]
        names, arrays = zip(*((name, one.data) for name, one in tensors), strict=True)
        k = kernels.of("setitem", arrays, names, mixed=True)
        try:
            k.write(self.data, _plain(key), _plain(value))
        except (IndexError, TypeError, ValueError) as error:
            raise type(error)(
                f"setitem: cannot write {shown(value)} at {shown(key)} of x {self.shape} ({error})"
            ) from None
        self.written("an assignment")

    # ---- arithmetic ----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return _f().add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return _f().add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return _f().sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return _f().sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return _f().mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return _f().mul(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return _f().div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _f().div(other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return _f().pow(self, exponent)

    def __neg__(self) -> Tensor:
        return _f().neg(self)

    def __abs__(self) -> Tensor:
        return _f().abs(self)

    def __matmul__(self, other: Any) -> Tensor:
        return _f().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _f().matmul(other, self)

    def __getitem__(self, key: Any) -> Tensor:
        return _f().index(self, key)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[place] for place in range(len(self)))

    # ---- comparing: bools, one per element; whoever compares with no number is told "unlike" -----

    def __lt__(self, other: Any) -> Tensor:
        return _f().lt(self, other)

    def __le__(self, other: Any) -> Tensor:
        return _f().le(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _f().gt(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _f().ge(self, other)

    def __eq__(self, other: object) -> Any:
        return _f().eq(self, other) if _is_numbers(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return _f().ne(self, other) if _is_numbers(other) else NotImplemented

    __hash__ = object.__hash__  # by identity, as tensors are kept in sets

    def __invert__(self) -> Tensor:
        return _f().logical_not(self)

    def __and__(self, other: Any) -> Tensor:
        return _f().logical_and(self, other)

    def __or__(self, other: Any) -> Tensor:
        return _f().logical_or(self, other)


def _f() -> Any:
    from . import functional

    return functional


def _is_numbers(value: object) -> bool:
    return isinstance(value, (Real, Operators, list)) or hasattr(value, "dtype")


def _plain(value: Any) -> Any:
    """Tensors inside an index or a value as arrays."""
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return value.data if isinstance(value, Operators) else value
