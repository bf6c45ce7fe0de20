"""operators: what Python's syntax means for tensors: `+`, `@`, `[]`, `.sum()`.

Only names here; the mathematics is in `functional`, imported when used. This is the house's one
upward reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import device as devices
from .modes import mode

if TYPE_CHECKING:
    from .core import Tensor
    from .versions import Version


class Operators:
    """Mixed into Tensor."""

    __slots__ = ()
    __array_priority__ = 1000  # NumPy leaves array + tensor to the tensor
    __array_ufunc__ = None

    data: devices.Array
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
        return devices.of(self.data)

    def size(self, axis: int | None = None) -> Any:
        """The shape, or one axis of it."""
        return self.shape if axis is None else self.shape[axis]

    def numel(self) -> int:
        """How many elements."""
        return int(self.data.size)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a tensor without axes has no length")
        return self.shape[0]

    def numpy(self) -> devices.Array:
        """The values in host memory, read-only; any strides. Write with `t[...] = v` or `copy_`."""
        view = devices.to_host(self.data).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> devices.Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item: shape is {self.shape}, expected one element")
        return devices.to_host(self.data).item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    # ---- writing in place (never recorded; a backward that kept the old values will notice) -----

    def copy_(self: Any, source: Any) -> Tensor:
        """Write `source` into this tensor's memory."""
        self[...] = source
        kept: Tensor = self
        return kept

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        if mode.recording and self.requires_grad:
            raise RuntimeError("setitem: this tensor requires a gradient; write under mf.no_grad()")
        self.data[_plain(key)] = _plain(value)
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

    def __matmul__(self, other: Any) -> Tensor:
        return _f().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _f().matmul(other, self)

    def __getitem__(self, key: Any) -> Tensor:
        return _f().index(self, key)

    # ---- element-wise --------------------------------------------------------------------------

    def exp(self) -> Tensor:
        return _f().exp(self)

    def log(self) -> Tensor:
        return _f().log(self)

    def sqrt(self) -> Tensor:
        return _f().sqrt(self)

    def abs(self) -> Tensor:
        return _f().abs(self)

    def relu(self) -> Tensor:
        return _f().relu(self)

    def sigmoid(self) -> Tensor:
        return _f().sigmoid(self)

    def tanh(self) -> Tensor:
        return _f().tanh(self)

    # ---- sums and extremes ---------------------------------------------------------------------

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return _f().sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return _f().mean(self, axis, keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, correction: float = 1) -> Tensor:
        return _f().var(self, axis, keepdims, correction)

    def max(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return _f().max(self, axis, keepdims)

    def min(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return _f().min(self, axis, keepdims)

    def argmax(self, axis: int) -> Tensor:
        return _f().argmax(self, axis)

    # ---- shape ---------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        return _f().reshape(self, *shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return _f().flatten(self, start_dim, end_dim)

    def transpose(self, first: int, second: int) -> Tensor:
        return _f().transpose(self, first, second)

    def permute(self, *axes: Any) -> Tensor:
        return _f().permute(self, *axes)

    @property
    def T(self) -> Tensor:
        return _f().permute(self, *reversed(range(self.ndim)))

    def broadcast_to(self, shape: tuple[int, ...]) -> Tensor:
        return _f().broadcast_to(self, shape)

    # ---- dtype and device ----------------------------------------------------------------------

    def astype(self, dtype: Any) -> Tensor:
        return _f().cast(self, dtype)

    def float(self) -> Tensor:
        return _f().cast(self, np.float32)

    def double(self) -> Tensor:
        return _f().cast(self, np.float64)

    def to(self, device: str) -> Tensor:
        """This tensor on another device; the gradient comes back."""
        return _f().to(self, device)


def _f() -> Any:
    from . import functional

    return functional


def _plain(value: Any) -> Any:
    """Tensors inside an index or a value as arrays."""
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return value.data if isinstance(value, Operators) else value
