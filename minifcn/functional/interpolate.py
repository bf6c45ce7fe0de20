r"""interpolate: another size for the same picture; and its adjoint, which carries the gradient.

    y[i, j] = sum over the taps (h, a) of row i and (w, b) of column j of  a b x[h, w]

`scale` is pixels of x per pixel of y. With `align_corners` the centres of the corner pixels meet,
otherwise the corners of the pictures do. z is where pixel i of y lies among those of x:

    align_corners  z = i (H - 1) / (P - 1)
    otherwise      z = max((i + 1/2) scale - 1/2, 0)
    bilinear       taps (floor z, 1 - frac z) and (floor z + 1, frac z), at most pixel H - 1;
                   i itself for P = H
    nearest        one tap: floor(i scale); i itself for P = H, floor(i / 2) for P = 2 H
    nearest-exact  one tap: floor((i + 1/2) scale), the pixel whose centre is nearest

Both nearest modes round scale and product to float32 whatever the dtype of x, as PyTorch does (its
float64 forward pass alone does not, above P + Q = 128): that decides ties. nearest looks at a
pixel's top left corner, which shifts the picture by half a pixel.

Shape   x: N C H W -> y: N C P Q
Cost    2 multiply-adds per pixel of (H, Q) and of (P, Q) for bilinear; copies for nearest
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import Draw
from ..shapes import AXES, Pair, Shape, ShapeError, bind, flag, one_of, pair, shown
from .pool_window import need_floating
from .taps import Taps, picking, transposed

MODES = ("nearest", "nearest-exact", "bilinear")


@dataclass(frozen=True)
class Line:
    """How one axis of `size` pixels becomes one of `out` pixels."""

    mode: str
    size: int
    out: int
    scale: float
    align_corners: bool = False

    def taps(self) -> Taps:
        """What every pixel of y reads."""
        return _taps(self)

    def turned(self) -> Taps:
        """What every pixel of x gives."""
        return _turned(self)


@lru_cache(maxsize=16)
def _taps(line: Line) -> Taps:
    if line.out == line.size and line.mode != "nearest-exact":
        return picking(list(range(line.out)))
    if line.mode != "bilinear":
        return picking([_nearest(line, i) for i in range(line.out)])
    rows = []
    for i in range(line.out):
        z = _place(line, i)
        h = min(int(z), line.size - 1)
        weight = min(z - h, 1.0)
        rows.append(((h, 1 - weight), (min(h + 1, line.size - 1), weight)))
    return tuple(rows)


@lru_cache(maxsize=16)
def _turned(line: Line) -> Taps:
    return transposed(_taps(line), line.size)


def _place(line: Line, i: int) -> float:
    """Where pixel i of y lies among the pixels of x."""
    if line.align_corners:
        return i * (line.size - 1) / max(line.out - 1, 1)
    return max((i + 0.5) * line.scale - 0.5, 0.0)


def _nearest(line: Line, i: int) -> int:
    if line.mode == "nearest" and line.out == 2 * line.size:
        return i // 2
    z = _float32((i + (line.mode == "nearest-exact") / 2) * _float32(line.scale))
    return min(int(z), line.size - 1)


def _float32(value: float) -> float:
    """The nearest single-precision number."""
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single


@dataclass(frozen=True)
class Interpolate(Op):
    """Every pixel of y reads its taps."""

    rows: Line
    cols: Line
    linear = True

    def shape(self, x: Shape) -> Shape:
        return *x[:2], self.rows.out, self.cols.out

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.resample(x, self.rows.taps(), self.cols.taps())  # N C P Q
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (InterpolateGrad(self.rows, self.cols)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for rows, cols in _samples():
            yield Interpolate(rows, cols), Draw((2, 3, rows.size, cols.size))


@dataclass(frozen=True)
class InterpolateGrad(Op):
    """Every pixel of y gives back to its taps."""

    rows: Line
    cols: Line
    linear = True

    def shape(self, g: Shape) -> Shape:
        return *g[:2], self.rows.size, self.cols.size

    def forward(self, k: Any, g: Array) -> Array:
        x: Array = k.resample(g, self.rows.turned(), self.cols.turned())  # N C H W
        return x

    def vjp(self, gx: Tensor) -> tuple[Tensor]:
        return (Interpolate(self.rows, self.cols)(gx),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for rows, cols in _samples():
            yield InterpolateGrad(rows, cols), Draw((2, 3, rows.out, cols.out))


def _samples() -> Iterator[tuple[Line, Line]]:
    """Up, down, odd ratios, both meanings of corners, one pixel on either side."""
    yield Line("bilinear", 3, 6, 0.5), Line("bilinear", 4, 8, 0.5)
    yield Line("bilinear", 5, 3, 5 / 3), Line("bilinear", 3, 7, 3 / 7)
    yield Line("bilinear", 4, 7, 4 / 7, True), Line("bilinear", 6, 4, 1.5, True)
    yield Line("bilinear", 3, 4, 1 / 1.4), Line("bilinear", 1, 3, 1 / 3)
    yield Line("nearest", 3, 6, 0.5), Line("nearest", 5, 3, 5 / 3)
    yield Line("nearest-exact", 3, 5, 0.6), Line("nearest-exact", 7, 3, 7 / 3)


def interpolate(
    x: Tensor | Array,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Resize pictures to `size`, or by `scale_factor`; one of them.

    A scale factor gives P = floor(H factor), and the coordinates use 1 / factor, not H / P, unless
    `recompute_scale_factor`; for factors such as 1.4 that makes a difference at the far border.
    bilinear does not average when it shrinks a picture: pixels between the taps are skipped.

    Shape   x: N C H W -> y: N C P Q

    >>> import minifcn as mf
    >>> x = mf.tensor([[[[0.0, 4.0]]]])
    >>> interpolate(x, scale_factor=(1, 2), mode="bilinear").tolist()
    [[[[0.0, 1.0, 3.0, 4.0]]]]
    >>> interpolate(x, size=(1, 3), mode="bilinear", align_corners=True).tolist()
    [[[[0.0, 2.0, 4.0]]]]
    """
    x = as_tensor(x)
    sizes = bind("interpolate", x=("N C H W", x.shape))
    image = sizes["H"], sizes["W"]
    one_of("interpolate", "mode", mode, MODES)
    if mode != "bilinear" and align_corners is not None:
        raise ValueError(
            f"interpolate: align_corners is {align_corners}, expected None with mode {mode!r}; "
            f"only bilinear has it"
        )
    if align_corners is not None:
        flag("interpolate", "align_corners", align_corners)
    if mode == "bilinear":
        need_floating("interpolate", x)
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"interpolate: size is {size} and scale_factor is {scale_factor}, expected exactly one"
        )
    if size is not None and recompute_scale_factor:
        raise ValueError(
            "interpolate: recompute_scale_factor is True, expected it with scale_factor"
        )
    factors = _factors(scale_factor)
    out = _out(image, size, factors)
    lines = []
    for axis in (0, 1):
        if factors is not None and not recompute_scale_factor:
            scale = 1 / factors[axis]
        else:
            scale = image[axis] / out[axis]
        lines.append(Line(mode, image[axis], out[axis], scale, bool(align_corners)))
    return Interpolate(lines[0], lines[1])(x)


def _factors(scale_factor: float | Sequence[float] | None) -> tuple[float, float] | None:
    """scale_factor as (along H, along W)."""
    if scale_factor is None:
        return None
    both = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
    if len(both) != 2:
        raise ShapeError(
            f"interpolate: scale_factor is {scale_factor!r}, expected one number or (height, width)"
        )
    for axis, factor in enumerate(both):
        if not isinstance(factor, Real) or not 0 < float(factor) < math.inf:
            raise ShapeError(
                f"interpolate: scale_factor along axis {AXES[axis]} is {shown(factor)}, expected "
                f"a number above 0"
            )
    return float(both[0]), float(both[1])


def _out(
    image: Pair, size: int | Sequence[int] | None, factors: tuple[float, float] | None
) -> Pair:
    """P and Q."""
    if factors is None:
        out = pair("interpolate", "size", size, 1)
    else:
        out = int(image[0] * factors[0]), int(image[1] * factors[1])
    for axis in (0, 1):
        if out[axis] < 1 or image[axis] < 1:
            raise ShapeError(
                f"interpolate: axis {AXES[axis]} of x is {image[axis]} and would become "
                f"{out[axis]}, expected at least 1 of each"
            )
    return out
