r"""pad: a border around the picture; a negative border crops.

    constant    y[i] = x[i - before] inside, value outside    gx = gy cropped: zero pads, negated
    reflect     y[i] = x[|i - before|], mirrored at the last pixel too, without repeating it
    replicate   y[i] = x[the nearest pixel]

The last two are index maps of the last two axes, `k.resample`; their adjoint adds what was copied.

Shape   x: ... H W -> y: ... H + top + bottom, W + left + right; constant pads any axes
Cost    one copy of y
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor
from ..device import Array
from ..samples import Draw, draw
from ..shapes import Pair, Shape, ShapeError, one_of, real, whole
from ..window import Sides
from .taps import Taps, picking, transposed

MODES = ("constant", "reflect", "replicate")


@dataclass(frozen=True)
class Pad(Op):
    """A border of zeros, (before, after) for every axis."""

    pads: tuple[Pair, ...]
    linear = True

    def shape(self, x: Shape) -> Shape:
        return tuple(before + n + after for n, (before, after) in zip(x, self.pads, strict=True))

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.pad(x, self.pads, 0)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (Pad(_negated(self.pads))(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield Pad(((0, 0), (1, 2))), draw("2 3")
        yield Pad(((0, 0), (1, 0), (2, -1), (-1, 3))), draw("2 3 4 5")
        yield Pad(((1, 0), (-4, 2))), draw("5 3")


@dataclass(frozen=True)
class PadValue(Op):
    """A border of one value, (before, after) for every axis."""

    pads: tuple[Pair, ...]
    value: float

    def shape(self, x: Shape) -> Shape:
        return tuple(before + n + after for n, (before, after) in zip(x, self.pads, strict=True))

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.pad(x, self.pads, self.value)
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (Pad(_negated(self.pads))(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        yield PadValue(((0, 0), (1, 2)), -1.5), draw("2 3")
        yield PadValue(((2, 0), (0, 0), (-1, 3)), 0.25), draw("2 3 4")


def _negated(pads: tuple[Pair, ...]) -> tuple[Pair, ...]:
    return tuple((-before, -after) for before, after in pads)


@dataclass(frozen=True)
class PadEdges(Op):
    """A border made of the picture's own pixels, along the last two axes."""

    mode: str
    image: Pair
    pads: Sides
    linear = True

    def shape(self, x: Shape) -> Shape:
        return *x[:-2], *_padded(self.image, self.pads)

    def forward(self, k: Any, x: Array) -> Array:
        y: Array = k.resample(x, *_maps(self.mode, self.image, self.pads))
        return y

    def vjp(self, gy: Tensor) -> tuple[Tensor]:
        return (PadEdgesGrad(self.mode, self.image, self.pads)(gy),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for mode, image, pads in _samples():
            yield PadEdges(mode, image, pads), Draw((2, 3, *image))


@dataclass(frozen=True)
class PadEdgesGrad(Op):
    """Fold the border's gradient back onto the pixels it was made of."""

    mode: str
    image: Pair
    pads: Sides
    linear = True

    def shape(self, g: Shape) -> Shape:
        return *g[:-2], *self.image

    def forward(self, k: Any, g: Array) -> Array:
        rows, cols = _maps(self.mode, self.image, self.pads)
        x: Array = k.resample(g, transposed(rows, self.image[0]), transposed(cols, self.image[1]))
        return x

    def vjp(self, gx: Tensor) -> tuple[Tensor]:
        return (PadEdges(self.mode, self.image, self.pads)(gx),)

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for mode, image, pads in _samples():
            yield PadEdgesGrad(mode, image, pads), Draw((2, 3, *_padded(image, pads)))


def _samples() -> Iterator[tuple[str, Pair, Sides]]:
    yield "reflect", (3, 5), ((2, 1), (0, 4))
    yield "reflect", (4, 3), ((1, -2), (-1, 2))
    yield "replicate", (2, 3), ((4, 0), (1, 2))
    yield "replicate", (5, 4), ((-1, 3), (2, -2))


def _padded(image: Pair, pads: Sides) -> Pair:
    return image[0] + sum(pads[0]), image[1] + sum(pads[1])


def _maps(mode: str, image: Pair, pads: Sides) -> tuple[Taps, Taps]:
    return _map(mode, image[0], pads[0]), _map(mode, image[1], pads[1])


def _map(mode: str, size: int, pads: Pair) -> Taps:
    """Which pixel every pixel of y copies."""
    places = range(-pads[0], size + pads[1])
    last = size - 1
    if mode == "replicate":
        return picking([min(max(i, 0), last) for i in places])
    return picking([last - abs(last - abs(i)) for i in places])


def pad(
    x: Tensor | Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Add a border: `pad` is (left, right, top, bottom, ...), the last axis first, as in PyTorch.

    "constant" fills with `value` (0 unless given) and pads any axes; "reflect" mirrors without
    repeating the border pixel; "replicate" repeats it. Those two pad the last axis of 2 or 3 (two
    numbers) or the last two of 3 or 4 (four numbers). Negative numbers crop.

    >>> import minifcn as mf
    >>> x = mf.tensor([[1.0, 2.0, 3.0]])
    >>> pad(x, (2, 1)).tolist()
    [[0.0, 0.0, 1.0, 2.0, 3.0, 0.0]]
    >>> pad(x, (2, 1), mode="reflect").tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]
    >>> pad(x, (2, -1), mode="replicate").tolist()
    [[1.0, 1.0, 1.0, 2.0]]
    """
    x = as_tensor(x)
    one_of("pad", "mode", mode, MODES)
    pads = _pairs(x.shape, pad)
    for axis, (before, after) in enumerate(pads):
        cut = min(before, 0) + min(after, 0) if mode == "constant" else before + after
        if x.shape[axis] + cut < 0:
            raise ShapeError(
                f"pad: axis {axis} of x is {x.shape[axis]}, but pad takes {before} and {after} "
                f"there, expected to cut off at most {x.shape[axis]}"
            )
    number = 0.0 if value is None else real("pad", "value", value)
    if mode == "constant":
        return PadValue(pads, number)(x) if number else Pad(pads)(x)
    if number:
        raise ValueError(f"pad: value is {value}, expected none with mode {mode!r}")
    return _pad_edges(x, pads, mode, len(pad))


def _pairs(shape: Shape, pad: object) -> tuple[Pair, ...]:
    """(before, after) for every axis, in the order of the axes."""
    if not isinstance(pad, (tuple, list)) or len(pad) % 2 or len(pad) > 2 * len(shape):
        raise ShapeError(
            f"pad: pad is {pad!r}, expected (left, right, top, bottom, ...), an even count of at "
            f"most {2 * len(shape)} for x of shape {shape}"
        )
    numbers = [_integer(one) for one in pad]
    last_first = list(zip(numbers[::2], numbers[1::2], strict=True))
    return ((0, 0),) * (len(shape) - len(last_first)) + tuple(reversed(last_first))


def _integer(value: object) -> int:
    """A whole number of either sign."""
    return whole("pad", "pad", value, -(1 << 62))


def _pad_edges(x: Tensor, pads: tuple[Pair, ...], mode: str, count: int) -> Tensor:
    ranks = {2: (2, 3), 4: (3, 4)}.get(count)
    if ranks is None or x.ndim not in ranks:
        raise ShapeError(
            f"pad: mode {mode!r} with {count} numbers and x of {x.ndim} axes {x.shape}, expected 2 "
            f"numbers for 2 or 3 axes, or 4 numbers for 3 or 4 axes"
        )
    for axis in range(x.ndim - count // 2, x.ndim):
        size, most = x.shape[axis], max(pads[axis])
        if size < 1 or (mode == "reflect" and most >= size):
            raise ShapeError(
                f"pad: mode {mode!r}, axis {axis} of x is {size} and the border is {most}, "
                f"expected {f'a border of at most {size - 1}' if size else 'at least one pixel'}"
            )
    return PadEdges(mode, (x.shape[-2], x.shape[-1]), (pads[-2], pads[-1]))(x)


def crop(x: Tensor | Array, top: int, left: int, height: int, width: int) -> Tensor:
    """The part of the last two axes that begins at (top, left).

    Shape   x: ... H W -> y: ... height width

    >>> import minifcn as mf
    >>> crop(mf.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 0, 1, 2, 1).tolist()
    [[2.0], [5.0]]
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"crop: x has {x.ndim} axes {x.shape}, expected at least 2: ... H W")
    H, W = x.shape[-2:]
    top, height = _box(-2, "H", top=top, height=height)
    left, width = _box(-1, "W", left=left, width=width)
    for axis, start, size, whole_size in ((-2, top, height, H), (-1, left, width, W)):
        if start + size > whole_size:
            raise ShapeError(
                f"crop: axis {axis} ({'H' if axis == -2 else 'W'}) of x is {whole_size}, which "
                f"does not hold pixels {start} to {start + size - 1}"
            )
    return pad(x, (-left, left + width - W, -top, top + height - H))


def _box(axis: int, letter: str, **numbers: int) -> Pair:
    """Start and size of a crop along one axis."""
    start, size = (
        whole("crop", f"{name} along axis {axis} ({letter})", number, 0)
        for name, number in numbers.items()
    )
    return start, size
