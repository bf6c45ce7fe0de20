"""methods: `functional` after a dot: `x.sum(1)`, `x.reshape(2, 3)`, `x.relu()`.

Only names here, as in operators.py. Sums and extremes take PyTorch's `dim` and `keepdim` or NumPy's
`axis` and `keepdims`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .device import DEVICES, Array

if TYPE_CHECKING:
    from .core import Tensor


class Methods:
    """Mixed into Tensor."""

    __slots__ = ()

    data: Array

    # ---- element-wise --------------------------------------------------------------------------

    def exp(self) -> Tensor:
        return _f().exp(self)

    def log(self) -> Tensor:
        return _f().log(self)

    def sqrt(self) -> Tensor:
        return _f().sqrt(self)

    def abs(self) -> Tensor:
        return _f().abs(self)

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        return _f().clamp(self, min, max)

    def pow(self, exponent: float) -> Tensor:
        return _f().pow(self, exponent)

    def softmax(self, dim: int) -> Tensor:
        return _f().softmax(self, dim)

    def log_softmax(self, dim: int) -> Tensor:
        return _f().log_softmax(self, dim)

    def relu(self) -> Tensor:
        return _f().relu(self)

    def sigmoid(self) -> Tensor:
        return _f().sigmoid(self)

    def tanh(self) -> Tensor:
        return _f().tanh(self)

    def matmul(self, other: Any) -> Tensor:
        return _f().matmul(self, other)

    # ---- sums and extremes ---------------------------------------------------------------------

    def sum(self, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().sum(self, axis, keepdims, **names)

    def mean(self, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().mean(self, axis, keepdims, **names)

    def var(
        self, axis: Any = None, keepdims: bool = False, correction: float = 1, **names: Any
    ) -> Tensor:
        return _f().var(self, axis, keepdims, correction, **names)

    def max(self, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().max(self, axis, keepdims, **names)

    def min(self, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().min(self, axis, keepdims, **names)

    def amax(self, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().amax(self, axis, keepdims, **names)

    def amin(self, axis: Any = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().amin(self, axis, keepdims, **names)

    def argmax(self, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().argmax(self, axis, keepdims, **names)

    def argmin(self, axis: int | None = None, keepdims: bool = False, **names: Any) -> Tensor:
        return _f().argmin(self, axis, keepdims, **names)

    def any(self) -> Tensor:
        return _f().any(self)

    def all(self) -> Tensor:
        return _f().all(self)

    # ---- shape ---------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        return _f().reshape(self, *shape)

    view = reshape  # copies where PyTorch's would refuse

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return _f().flatten(self, start_dim, end_dim)

    def squeeze(self, dim: int | None = None) -> Tensor:
        return _f().squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        return _f().unsqueeze(self, dim)

    def transpose(self, first: int, second: int) -> Tensor:
        return _f().transpose(self, first, second)

    def permute(self, *axes: Any) -> Tensor:
        return _f().permute(self, *axes)

    @property
    def T(self) -> Tensor:
        return _f().permute(self, *reversed(range(self.data.ndim)))

    def broadcast_to(self, shape: tuple[int, ...]) -> Tensor:
        return _f().broadcast_to(self, shape)

    # ---- dtype, device, memory -----------------------------------------------------------------

    def requires_grad_(self: Any, wanted: bool = True) -> Tensor:
        """Ask for a gradient, or no longer; gives the tensor back."""
        self.requires_grad = wanted
        kept: Tensor = self
        return kept

    def astype(self, dtype: Any) -> Tensor:
        return _f().cast(self, dtype)

    def float(self) -> Tensor:
        return _f().cast(self, np.float32)

    def half(self) -> Tensor:
        return _f().cast(self, np.float16)

    def double(self) -> Tensor:
        return _f().cast(self, np.float64)

    def long(self) -> Tensor:
        return _f().cast(self, np.int64)

    def to(self, target: Any) -> Tensor:
        """This tensor on another device, or in another dtype; the gradient comes back."""
        device = isinstance(target, str) and target.partition(":")[0] in DEVICES  # "cuda:0", too
        return _f().to(self, target) if device else _f().cast(self, target)

    def cuda(self) -> Tensor:
        return _f().to(self, "cuda")

    def cpu(self) -> Tensor:
        return _f().to(self, "cpu")

    def clone(self) -> Tensor:
        """A copy with memory of its own; the gradient goes through."""
        return _f().clone(self)


def _f() -> Any:
    from . import functional

    return functional
