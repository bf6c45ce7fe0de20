r"""coordinates: where in the image the cells of a feature lie, what they see, and so what to crop.

Along each axis, cell i of a feature lies around image pixel  S i + b  (the centre of a pixel is a
whole number) and sees no more than the pixels  S i + low .. S i + high.  Layer after layer, with
c = (e - 1) / 2 - p and the kernel's span e = d (k - 1) + 1:

    layer                            S      b          low                     high
    convolution, pooling (k s p d)   S s    b + S c    low - S p               high + S (e - 1 - p)
    transposed (k s p d), T = S / s  T      b - T c    low - T (e - 1 - p)     high + T p
    t cells cropped at the start     S      b + S t    low + S t               high + S t

A transposed convolution takes back what the convolution of the same numbers does. So two branches
that meet have the same S, and where they were padded differently, different b; from the one that
starts earlier, cells are cropped:

    crop = (b_later - b_earlier) / S

Source  Long, Shelhamer and Darrell 2015; its Caffe networks crop 5, 9, 19, 27 and 31, derived here
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

from .. import nn
from ..shapes import AXES, Pair, ShapeError, pair, shown
from ..window import Padding, Window, sides, span, split_pad

Number = int | Fraction


class Layer(NamedTuple):
    """What moves coordinates in one layer: a convolution, a pooling, or one of them transposed."""

    name: str
    kernel: int | Pair
    stride: int | Pair = 1
    padding: Padding = 0
    dilation: int | Pair = 1
    transposed: bool = False


@dataclass(frozen=True)
class Line:
    """S, b, low and high along one axis; that of the image itself is Line()."""

    step: Fraction = Fraction(1)
    centre: Fraction = Fraction(0)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def moved(self, stride: Number, centre: Number, low: Number, high: Number) -> Line:
        """A feature whose cell i lies at cell  stride i + centre  of this one.

        It reads at most the cells  stride i + low .. stride i + high.
        """
        return Line(
            self.step * stride,
            self.centre + self.step * centre,
            self.low + self.step * low,
            self.high + self.step * high,
        )

    def through(self, k: int, s: int, p: int, d: int, transposed: bool) -> Line:
        """Behind a layer of kernel k, stride s, padding p, dilation d."""
        c = Fraction(span(k, d) - 1, 2) - p
        if transposed:
            return self.moved(Fraction(1, s), -c / s, -(2 * c + p) / s, Fraction(p, s))
        return self.moved(s, c, -p, 2 * c + p)

    @property
    def size(self) -> Fraction:
        """The pixels of the receptive field; the widest there is, where cells differ."""
        return self.high - self.low + 1


@dataclass(frozen=True)
class Grid:
    """The coordinates of a feature's cells along both axes; that of the image itself is Grid().

    >>> pool = Grid().through(Layer("conv", 3, padding=1)).through(Layer("pool", 2, 2))
    >>> pool.step, pool.centre, pool.size
    ((2, 2), (0.5, 0.5), (4, 4))
    """

    rows: Line = Line()
    cols: Line = Line()

    @property
    def step(self) -> tuple[float, float]:
        """S: image pixels from one cell to the next."""
        return _plain(self.rows.step), _plain(self.cols.step)

    @property
    def centre(self) -> tuple[float, float]:
        """b: the image pixel around which cell 0 lies; k + 1/2 is between two pixels."""
        return _plain(self.rows.centre), _plain(self.cols.centre)

    @property
    def size(self) -> tuple[float, float]:
        """How many image pixels a cell sees."""
        return _plain(self.rows.size), _plain(self.cols.size)

    @property
    def reach(self) -> int:
        """How many pixels further than S i .. S i + S - 1, its own part of the image, a cell sees.

        On the worse of the four sides:  max(-low, high - (S - 1), 0).
        """
        worst = Fraction(0)
        for line in (self.rows, self.cols):
            worst = max(worst, -line.low, line.high - (line.step - 1))
        return -int(-worst // 1)

    def through(self, layer: Layer | Window, transposed: bool = False) -> Grid:
        """Behind one layer, or one use of a window (`transposed`: from its output to its image)."""
        if isinstance(layer, Layer):
            (top, _), (left, _) = _pads(layer)
            kernel, stride, dilation = (
                pair(layer.name, name, getattr(layer, name), 1)
                for name in ("kernel", "stride", "dilation")
            )
            pads, transposed = (top, left), layer.transposed
        else:
            kernel, stride, dilation = layer.kernel, layer.stride, layer.dilation
            pads = layer.pad
        rows, cols = (
            line.through(kernel[a], stride[a], pads[a], dilation[a], transposed)
            for a, line in enumerate((self.rows, self.cols))
        )
        return Grid(rows, cols)

    def cropped(self, start: Pair, step: Pair = (1, 1)) -> Grid:
        """Without the first cells, `start` along (H, W); negative: so many cells put before."""
        lines = zip((self.rows, self.cols), start, step, strict=True)
        rows, cols = (line.moved(by, t, t, t) for line, t, by in lines)
        return Grid(rows, cols)

    def joined(self, other: Grid) -> Grid:
        """The sum of two branches, or their concatenation: it sees what either of them sees."""
        if crop_offset(self, other) != (0, 0):
            raise ShapeError(
                f"joined: one branch lies at {self.centre}, the other at {other.centre}, expected "
                f"the same; crop the one that starts earlier"
            )
        lines = zip((self.rows, self.cols), (other.rows, other.cols), strict=True)
        rows, cols = (replace(a, low=min(a.low, b.low), high=max(a.high, b.high)) for a, b in lines)
        return Grid(rows, cols)

    def follow(self, layers: Any) -> Grid:
        """Behind all layers in turn: descriptions, modules, or a Sequential of them."""
        if isinstance(layers, Layer):
            return self.through(layers)
        if isinstance(layers, nn.Module) and not isinstance(layers, nn.Sequential):
            known = described(layers)
            return self if known is None else self.through(known)
        grid = self
        for part in layers:
            grid = grid.follow(part)
        return grid


def described(module: nn.Module) -> Layer | None:
    """What a layer does to coordinates; None for one that works on every pixel by itself.

    A module that is neither can do anything: `models.walk` finds out by running it on shapes.
    """
    layer: Any = module
    name = type(module).__name__
    if type(module) in WINDOWED and all(type(part) in PIXELWISE for part in module.children()):
        dilation = getattr(layer, "dilation", 1)
        transposed = type(module) is nn.ConvTranspose2d
        return Layer(name, layer.kernel_size, layer.stride, layer.padding, dilation, transposed)
    if type(module) is nn.Upsample and _by_whole_factor(layer):
        f = int(layer.scale_factor)
        kernel = f if layer.mode == "nearest" else 2 * f - f % 2  # as a transposed convolution
        return Layer(name, kernel, f, (kernel - f) // 2, transposed=True)
    if type(module) in PIXELWISE:
        return None
    raise TypeError(f"follow: {shown(module)} says nothing about coordinates; use models.walk")


def _by_whole_factor(layer: Any) -> bool:
    f = layer.scale_factor
    modes = layer.mode in ("nearest", "bilinear") and not layer.align_corners
    return modes and isinstance(f, (int, float)) and f == int(f)


WINDOWED = (nn.AvgPool2d, nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d)
PIXELWISE = (
    nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity, nn.LeakyReLU, nn.LogSoftmax, nn.PReLU,
    nn.ReLU, nn.Sigmoid, nn.Softmax, nn.Tanh,
)  # fmt: skip


def crop_offset(cut: Grid, like: Grid, names: tuple[str, str] = ("cut", "like")) -> Pair:
    """How many cells to take off `cut` at (top, left) so that it starts where `like` starts.

        crop = (b_like - b_cut) / S

    FCN-32s of 2015 after its upsampling by 32 (k = 64), cropped to the image:

    >>> up = Grid().follow([*VGG16_POOL5_2015, Layer("fc6", 7), Layer("up", 64, 32, 0, 1, True)])
    >>> crop_offset(up, Grid())
    (19, 19)
    """
    crop = []
    for a, (c, f) in enumerate(((cut.rows, like.rows), (cut.cols, like.cols))):
        if c.step != f.step:
            raise ShapeError(
                f"crop: along axis {AXES[a]} {names[0]} has a cell every {c.step} pixels, but "
                f"{names[1]} every {f.step}, expected the same"
            )
        cells = (f.centre - c.centre) / f.step
        if cells.denominator != 1:
            raise ShapeError(
                f"crop: along axis {AXES[a]} {names[1]} starts {cells} cells after {names[0]}, "
                f"expected a whole number; another padding or kernel moves it"
            )
        if cells < 0:
            raise ShapeError(
                f"crop: along axis {AXES[a]} {names[0]} starts {-cells} cells after {names[1]}, "
                f"expected it to start before; cropping cannot add what is missing, padding can"
            )
        crop.append(int(cells))
    return crop[0], crop[1]


def _vgg_pools(first: int) -> list[Layer]:
    """VGG16 to its fifth pooling: 2, 2, 3, 3 and 3 convolutions; `first` pads the first one."""
    layers = []
    for block, count in enumerate((2, 2, 3, 3, 3), 1):
        for k in range(1, count + 1):
            pad = first if (block, k) == (1, 1) else 1
            layers.append(Layer(f"conv{block}_{k}", 3, padding=pad))
        layers.append(Layer(f"pool{block}", 2, 2))
    return layers


VGG16_POOL5 = tuple(_vgg_pools(1))  # as published by Simonyan and Zisserman, 2014
VGG16_POOL5_2015 = tuple(_vgg_pools(100))  # as padded for the FCNs of 2015


def _pads(layer: Layer) -> tuple[Pair, Pair]:
    """Padding as ((top, bottom), (left, right)); "same" only where no image size is asked for."""
    if not isinstance(layer.padding, str):
        return sides(layer.name, layer.padding)
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    both = [pair(layer.name, n, getattr(layer, n), 1) for n in ("kernel", "dilation", "stride")]
    if not layer.transposed and both[2] != (1, 1):
        raise ShapeError(
            f"{layer.name}: padding is {layer.padding!r} with stride {both[2]}, which depends on "
            f"the image's size; use models.walk, which is told the size"
        )
    needed = [max(span(k, d) - s, 0) for k, d, s in zip(*both, strict=True)]
    return split_pad(needed[0], layer.padding), split_pad(needed[1], layer.padding)


def _plain(value: Fraction) -> float:
    """A whole number as int, a half as float."""
    return int(value) if value.denominator == 1 else float(value)
