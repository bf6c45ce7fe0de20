r"""matmul: the product of matrices, alone or in batches.

    y[.., m, n] = sum_k a[.., m, k] b[.., k, n]      ga = gy b^T      gb = a^T gy

The transpose swaps the last two axes, as a view. Each gradient is a matrix product again, so
there is nothing else to derive.

Shape   a: ... M K, b: ... K N -> y: ... M N; the operator takes equal leading axes
Cost    M K N multiply-adds per matrix; none is copied to be transposed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import draw
from ..shapes import Shape, ShapeError
from .broadcast import broadcast_shapes, broadcast_to
from .cast import promoted
from .precision import beside, lowered
from .reshape import reshape, transpose


@dataclass(frozen=True)
class MatMul(Op):
    """y = a b over the last two axes."""

    linear = True

    def shape(self, a: Shape, b: Shape) -> Shape:
        return *a[:-1], b[-1]

    def forward(self, k: Any, a: Array, b: Array) -> Array:
        y: Array = k.matmul(a, b)  # ... M N
        return y

    def vjp(self, gy: Tensor, a: Tensor, b: Tensor) -> tuple[Callable[[], Tensor], ...]:
        return (
            lambda: MatMul()(gy, transpose(b, -2, -1)),  # ... M K
            lambda: MatMul()(transpose(a, -2, -1), gy),  # ... K N
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield MatMul(), draw("2 3"), draw("3 4")
        yield MatMul(), draw("3 2 4 5"), draw("3 2 5 1")


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product over the last two axes; leading axes broadcast together.

    A one-axis a is a row and a one-axis b a column, whose own axis is dropped from the result.

    Shape   a: ... M K, b: ... K N -> y: ... M N

    >>> import minifcn as mf
    >>> matmul(mf.tensor([[1.0, 2.0], [3.0, 4.0]]), mf.tensor([1.0, 10.0])).tolist()
    [21.0, 43.0]
    """
    a, b = as_tensor(a), as_tensor(b)
    check_together("matmul", a=a.data, b=b.data)
    a, b = promoted(*lowered("matmul", a=a, b=b))
    for name, x in (("a", a), ("b", b)):
        if x.ndim == 0:
            raise ShapeError(f"matmul: {name} has no axes, expected at least 1; use * for numbers")
    row, column = a.ndim == 1, b.ndim == 1
    if a.shape[-1] != b.shape[-1 if column else -2]:
        raise ShapeError(
            f"matmul: axis {0 if column else b.ndim - 2} (K) of b is "
            f"{b.shape[-1 if column else -2]}, but axis {a.ndim - 1} (K) of a is {a.shape[-1]}"
            f"{_listing(a, b)}"
        )
    y = _product(reshape(a, (1, -1)) if row else a, reshape(b, (-1, 1)) if column else b)
    if not row and not column:
        return y
    return reshape(y, (*y.shape[:-2], *y.shape[-2:-1] * (not row), *y.shape[-1:] * (not column)))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Both have at least two axes. One matrix b for all of a is one product, not one per matrix."""
    if b.ndim == 2 and a.ndim > 2:
        rows = reshape(a, (prod(a.shape[:-1]), a.shape[-1]))
        return reshape(MatMul()(rows, b), (*a.shape[:-1], b.shape[-1]))
    for back in range(3, min(a.ndim, b.ndim) + 1):
        m, n = a.shape[-back], b.shape[-back]
        if m != n and 1 not in (m, n):
            raise ShapeError(
                f"matmul: axis {b.ndim - back} of b is {n}, but axis {a.ndim - back} of a is {m}, "
                f"expected {m} or 1{_listing(a, b)}"
            )
    batch = broadcast_shapes("matmul", a=a.shape[:-2], b=b.shape[:-2])
    return MatMul()(
        broadcast_to(a, (*batch, *a.shape[-2:])), broadcast_to(b, (*batch, *b.shape[-2:]))
    )


def _listing(a: Tensor, b: Tensor) -> str:
    row, column = a.ndim == 1, b.ndim == 1
    return (
        f"\n    a: {'K' if row else '... M K'} = {a.shape}"
        f"\n    b: {'K' if column else '... K N'} = {b.shape}"
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias: every output is a weighted sum of the last axis.

    Shape   x: ... I, weight: O I, bias: O -> y: ... O. With weight: I, y has no axis O

    >>> import minifcn as mf
    >>> linear(mf.tensor([[1.0, 2.0]]), mf.tensor([[3.0, 4.0]]), mf.tensor([0.5])).tolist()
    [[11.5]]
    """
    x, weight = as_tensor(x), as_tensor(weight)
    if weight.ndim not in (1, 2):
        raise ShapeError(f"linear: weight has {weight.ndim} axes {weight.shape}, expected 2: O I")
    if x.ndim == 0:
        raise ShapeError("linear: x has no axes, expected at least 1: ... I")
    if x.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear: axis {weight.ndim - 1} (I) of weight is {weight.shape[-1]}, but axis "
            f"{x.ndim - 1} (I) of x is {x.shape[-1]}"
            f"\n    x: ... I = {x.shape}"
            f"\n    weight: {'O I' if weight.ndim == 2 else 'I'} = {weight.shape}"
        )
    given = [x.data, weight.data, *([] if bias is None else [as_tensor(bias).data])]
    kernels.of("linear", given, ("x", "weight", "bias")[: len(given)], mixed=True)  # on one device
    y = matmul(x, transpose(weight, 0, 1) if weight.ndim == 2 else weight)
    if bias is None:
        return y
    bias = as_tensor(bias)
    if bias.shape not in ((weight.shape[0],), ()) if weight.ndim == 2 else bias.shape != ():
        expected = (weight.shape[0],) if weight.ndim == 2 else ()
        raise ShapeError(f"linear: bias has shape {bias.shape}, expected {expected}: O of weight")
    return y + beside(y, bias)
