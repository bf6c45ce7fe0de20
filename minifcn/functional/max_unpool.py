r"""max_unpool: values at numbered pixels of a plane. Reading, adding, and SegNet's upsampling.

    plane_take     y[n,c,i,j] = x[n, c, index[n,c,i,j]]                       gx = plane_put(gy)
    plane_put      x[n,c,k] = sum of g[n,c,i,j] over index[n,c,i,j] = k       gg = plane_take(gx)
    max_unpool2d   x[n,c,k] = the last g[n,c,i,j] with index[n,c,i,j] = k     gg = plane_take(gx)

k = h W + w numbers the pixels of one channel. Where the indices of a channel differ, as those of
pooling without overlap do, the last two are the same. Where two coincide, max_unpool2d keeps the
last value but, as in PyTorch, gives each the pixel's whole gradient.

Shape   x: N C H W, index and g: N C P Q
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..kernels import check_together
from ..samples import Draw, Integers, draw
from ..shapes import AXES, Pair, Shape, ShapeError, bind, pair


@dataclass(frozen=True)
class PlaneTake(Op):
    """Read the numbered pixels."""

    linear = True

    def shape(self, x: Shape, index: Shape) -> Shape:
        return index

    def forward(self, k: Any, x: Array, index: Array) -> Array:
        y: Array = k.plane_take(x, index)  # N C P Q
        return y

    def vjp(self, gy: Tensor, x: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return PlanePut((x.shape[2], x.shape[3]))(gy, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield PlaneTake(), draw("2 3 4 5"), draw("2 3 2 6", Integers, high=20)


@dataclass(frozen=True)
class PlanePut(Op):
    """Add to the numbered pixels of an image of zeros."""

    image: Pair
    linear = True

    def shape(self, g: Shape, index: Shape) -> Shape:
        return *g[:2], *self.image

    def forward(self, k: Any, g: Array, index: Array) -> Array:
        x: Array = k.plane_put(g, index, self.image)  # N C H W
        return x

    def vjp(self, gx: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return PlaneTake()(gx, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield PlanePut((4, 5)), draw("2 3 2 6"), draw("2 3 2 6", Integers, high=20)
        yield PlanePut((3, 2)), draw("1 2 3 3"), draw("1 2 3 3", Integers, high=6)


@dataclass(frozen=True)
class MaxUnpool2d(Op):
    """Write to the numbered pixels of an image of zeros; the last of equal numbers stays."""

    image: Pair
    linear = True

    def shape(self, g: Shape, index: Shape) -> Shape:
        return *g[:2], *self.image

    def forward(self, k: Any, g: Array, index: Array) -> Array:
        x: Array = k.max_unpool2d(g, index, self.image)  # N C H W
        return x

    def vjp(self, gx: Tensor, index: Tensor) -> tuple[Tensor, None]:
        return PlaneTake()(gx, index), None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield MaxUnpool2d((4, 5)), draw("2 3 2 4"), Distinct((2, 3, 2, 4))
        yield MaxUnpool2d((7, 3)), draw("1 2 3 2"), Distinct((1, 2, 3, 2))


@dataclass(frozen=True)
class Distinct(Draw):
    """Even numbers, all different in every channel: pixels that are met once."""

    smooth: bool = False

    def __call__(self, rng: Any) -> Array:
        N, C, P, Q = self.shape
        ranks: Array = rng.random((N, C, P * Q)).argsort(-1)
        return 2 * ranks.reshape(self.shape)


def max_unpool2d(
    x: Tensor | Array,
    indices: Tensor | Array,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put pooled values back where they came from, zeros elsewhere.

    y[n, c, indices[n,c,i,j]] = x[n,c,i,j], pixels numbered h W + w; indices from
    `max_pool2d(..., return_indices=True)`. `output_size` (its last two numbers) chooses the image
    size within one stride of the default.

    Shape   x, indices: N C P Q -> y: N C H W    H = s (P - 1) + KH - 2 p

    >>> import minifcn as mf
    >>> x, indices = mf.tensor([[[[8.0, 9.0]]]]), mf.tensor([[[[1, 6]]]])
    >>> max_unpool2d(x, indices, 2).tolist()
    [[[[0.0, 8.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0]]]]
    """
    x, indices = as_tensor(x), as_tensor(indices)
    check_together("max_unpool2d", x=x.data, indices=indices.data)
    bind("max_unpool2d", x=("N C P Q", x.shape), indices=("N C P Q", indices.shape))
    if indices.dtype.kind not in "iu":
        raise TypeError(f"max_unpool2d: dtype of indices is {indices.dtype}, expected an integer")
    kernel = pair("max_unpool2d", "kernel_size", kernel_size, 1)
    step = pair("max_unpool2d", "stride", kernel if stride is None else stride, 1)
    pads = pair("max_unpool2d", "padding", padding, 0)
    image = _image((x.shape[2], x.shape[3]), kernel, step, pads, output_size)
    low, high = kernels.of("max_unpool2d", [indices.data]).extent(indices.data)
    if indices.numel() and (low < 0 or high >= image[0] * image[1]):
        raise ShapeError(
            f"max_unpool2d: indices hold {low if low < 0 else high}, expected 0 to "
            f"{image[0] * image[1] - 1} for an image (H W) of {image}"
        )
    return MaxUnpool2d(image)(x, indices)


def _image(out: Pair, kernel: Pair, stride: Pair, pads: Pair, asked: object) -> Pair:
    """H and W: the default, or what was asked for if it lies less than a stride from it."""
    high, wide = (stride[a] * (out[a] - 1) + kernel[a] - 2 * pads[a] for a in (0, 1))
    default = high, wide
    if asked is None:
        size = default
    elif not isinstance(asked, (tuple, list)) or len(asked) not in (2, 4):
        raise ShapeError(f"max_unpool2d: output_size is {asked!r}, expected (H, W) or (N, C, H, W)")
    else:
        size = pair("max_unpool2d", "output_size", tuple(asked[-2:]), 0)
    for axis in (0, 1):
        possible = range(default[axis] - stride[axis] + 1, default[axis] + stride[axis])
        if size[axis] < 1 or size[axis] not in possible:
            raise ShapeError(
                f"max_unpool2d: the output size along axis {AXES[axis]} is {size[axis]}, expected "
                f"{possible[0]} to {possible[-1]} and at least 1, since {out[axis]} pixels with "
                f"kernel_size {kernel[axis]}, stride {stride[axis]} and padding {pads[axis]} give "
                f"{default[axis]}"
            )
    return size
