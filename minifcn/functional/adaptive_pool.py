r"""adaptive_pool: pooling that is told the output's size and chooses the windows.

    bin i of P over H pixels:  floor(i H / P) <= h < ceil((i + 1) H / P)

    adaptive_avg_pool2d   y[i, j] = mean of x over bin i x bin j; its adjoint spreads evenly
    adaptive_max_pool2d   y = plane_take(x, indices of the largest)

Bins overlap where P does not divide H. One bin is global pooling.

Shape   x: N C H W -> y: N C P Q
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import Draw, Separated
from ..shapes import AXES, Pair, Shape, ShapeError, bind, whole
from .broadcast import mean
from .max_unpool import PlaneTake
from .pool_window import need_floating
from .taps import Taps, transposed


@dataclass(frozen=True)
class AdaptiveAvgPool2d(Op):
    """The mean of every bin."""

    image: Pair
    out: Pair
    linear = True

    def shape(self, x: Shape) -> Shape:
        return *x[:2], *self.out

    def forward(self, k: Any, x: Array) -> Array:
        rows, cols = (_bins(H, P) for H, P in zip(self.image, self.out, strict=True))
        y: Array = k.resample(x, rows, cols)  # N C P Q
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (AdaptiveAvgPoolGrad(self.image, self.out)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for image, out in _samples():
            yield AdaptiveAvgPool2d(image, out), Draw((2, 3, *image))


@dataclass(frozen=True)
class AdaptiveAvgPoolGrad(Op):
    """Spread every g evenly over its bin."""

    image: Pair
    out: Pair
    linear = True

    def shape(self, g: Shape) -> Shape:
        return *g[:2], *self.image

    def forward(self, k: Any, g: Array) -> Array:
        rows, cols = (transposed(_bins(H, P), H) for H, P in zip(self.image, self.out, strict=True))
        x: Array = k.resample(g, rows, cols)  # N C H W
        return x

    def vjp(self, gx: Tensor) -> tuple[Tensor]:
        return (AdaptiveAvgPool2d(self.image, self.out)(gx),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for image, out in _samples():
            yield AdaptiveAvgPoolGrad(image, out), Draw((2, 3, *out))


@dataclass(frozen=True)
class AdaptiveMaxIndices(Op):
    """Where the largest pixel of every bin lies: h W + w; the first of equals."""

    out: Pair

    def shape(self, x: Shape) -> Shape:
        return *x[:2], *self.out

    def forward(self, k: Any, x: Array) -> Array:
        index: Array = k.adaptive_max_indices(x, self.out)  # N C P Q
        return index

    def vjp(self, gy: Tensor) -> tuple[None]:
        return (None,)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for image, out in _samples():
            yield AdaptiveMaxIndices(out), Separated((2, 3, *image), smooth=False)


def _samples() -> Iterator[tuple[Pair, Pair]]:
    """Bins that divide, overlap, cover everything, and repeat pixels."""
    yield (4, 6), (2, 3)
    yield (5, 7), (3, 4)
    yield (3, 4), (1, 1)
    yield (2, 3), (5, 3)


@lru_cache(maxsize=16)
def _bins(H: int, P: int) -> Taps:
    """The pixels of every bin, each with weight 1 / their number."""
    rows = []
    for i in range(P):
        bin = range(i * H // P, -(-(i + 1) * H // P))
        rows.append(tuple((h, 1 / len(bin)) for h in bin))
    return tuple(rows)


def adaptive_avg_pool2d(
    x: Tensor | Array, output_size: int | Sequence[int | None] | None
) -> Tensor:
    """The mean of every bin of an output_size grid; None keeps that axis.

    y[n,c,i,j] = mean of x[n,c,h,w] over floor(i H / P) <= h < ceil((i + 1) H / P), w likewise

    Shape   x: N C H W -> y: N C P Q

    >>> import minifcn as mf
    >>> adaptive_avg_pool2d(mf.tensor([[[[1.0, 2.0, 6.0]]]]), (1, 2)).tolist()
    [[[[1.5, 4.0]]]]
    """
    x = as_tensor(x)
    image, out = _grid("adaptive_avg_pool2d", x.shape, output_size)
    need_floating("adaptive_avg_pool2d", x)
    return AdaptiveAvgPool2d(image, out)(x)


def adaptive_max_pool2d(
    x: Tensor | Array, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> Any:  # a Tensor, or with return_indices two
    """The largest pixel of every bin of an output_size grid; None keeps that axis.

    y[n,c,i,j] = max of x[n,c,h,w] over floor(i H / P) <= h < ceil((i + 1) H / P), w likewise

    With `return_indices` (y, indices), indices[n,c,i,j] = h W + w.

    Shape   x: N C H W -> y: N C P Q

    >>> import minifcn as mf
    >>> adaptive_max_pool2d(mf.tensor([[[[1.0, 2.0, 6.0]]]]), (1, 2)).tolist()
    [[[[2.0, 6.0]]]]
    """
    x = as_tensor(x)
    _, out = _grid("adaptive_max_pool2d", x.shape, output_size)
    indices = AdaptiveMaxIndices(out)(x.detach())
    y = PlaneTake()(x, indices)
    return (y, indices) if return_indices else y


def global_avg_pool2d(x: Tensor | Array) -> Tensor:
    """The mean of every channel, as an image of one pixel.

    Shape   x: N C H W -> y: N C 1 1
    """
    x = as_tensor(x)
    bind("global_avg_pool2d", x=("N C H W", x.shape))
    need_floating("global_avg_pool2d", x)
    return mean(x, (2, 3), keepdims=True)


def _grid(op: str, x: Shape, output_size: object) -> tuple[Pair, Pair]:
    """(H, W) and (P, Q)."""
    sizes = bind(op, x=("N C H W", x))
    image = sizes["H"], sizes["W"]
    asked = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(asked) != 2:
        raise ShapeError(
            f"{op}: output_size is {output_size!r}, expected one number or (height, width)"
        )
    out = []
    for axis in (0, 1):
        if image[axis] < 1:
            raise ShapeError(f"{op}: axis {AXES[axis]} of x is {image[axis]}, expected at least 1")
        wish = image[axis] if asked[axis] is None else asked[axis]
        out.append(whole(op, f"output_size along axis {AXES[axis]}", wish, 0))
    return image, (out[0], out[1])
