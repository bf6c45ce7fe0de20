"""windows: convolution, its transpose, and pooling. Images of one axis go as images of one row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from ....functional.avg_pool import AvgPool2d
from ....functional.max_pool import MaxPool2d, MaxPoolIndices
from ....window import Window
from .node import Node, Run, operator
from .parts import bordered
from .values import Value, allowed, host, ints, labels, settled

WORDS = {"NOTSET": "", "": "", "VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


class Geometry:
    """The attributes that convolution and pooling share, for images of one or two axes."""

    def __init__(self, node: Node, **more: Any) -> None:
        self.kind = node.kind
        self.o: SimpleNamespace = node.read(
            auto_pad="NOTSET", dilations=None, kernel_shape=None, pads=None, strides=None, **more
        )
        node.one_of("auto_pad", self.o.auto_pad, tuple(WORDS))
        self.word = WORDS[self.o.auto_pad]

    def flat(self, x: Any) -> bool:
        """Whether the image has one axis; other numbers of axes than two are refused."""
        if x.ndim not in (3, 4):
            raise ValueError(
                f"{self.kind}: x has shape {x.shape}, expected N C W or N C H W; images of more "
                f"axes are not supported"
            )
        return bool(x.ndim == 3)

    def pair(self, values: Any, flat: bool, default: int = 1) -> tuple[int, int]:
        """(along H, along W)."""
        given = list(values) if values else [default] * (1 if flat else 2)
        if len(given) != (1 if flat else 2):
            raise ValueError(f"{self.kind}: got {given} for {1 if flat else 2} axes of the image")
        high, wide = (default, *given) if flat else given
        return high, wide

    def padding(self, flat: bool) -> Any:
        """The word, or ((top, bottom), (left, right))."""
        if self.word:
            return self.word
        pads = list(self.o.pads) if self.o.pads else [0] * (2 if flat else 4)
        if len(pads) != (2 if flat else 4):
            raise ValueError(f"{self.kind}: pads are {pads} for {1 if flat else 2} axes")
        top, left, bottom, right = (0, pads[0], 0, pads[1]) if flat else pads
        return (top, bottom), (left, right)

    def check(self, x: Tensor, channels: int, kernel: Any, spread: bool = False) -> None:
        """Refuse borders and strides that make a huge image out of a small one, N C W or N C H W.

        With `spread` strides enlarge.
        """
        flat = x.ndim == 3
        pads = self.padding(flat)
        stride, dilation = self.pair(self.o.strides, flat), self.pair(self.o.dilations, flat)
        sizes = []
        for axis, n in enumerate((1, x.shape[2]) if flat else x.shape[2:]):
            border = dilation[axis] * (self.pair(kernel, flat)[axis] - 1) + 1
            border += 0 if isinstance(pads, str) else sum(max(p, 0) for p in pads[axis])
            sizes.append(n * (stride[axis] if spread else 1) + border)
        allowed((x.shape[0], channels, *sizes), x.dtype.itemsize)

    def window(self, x: Tensor, flat: bool, ceil: int) -> Window:
        """That of pooling."""
        return Window.for_conv(
            self.kind,
            (x.shape[2], x.shape[3]),
            self.pair(self.o.kernel_shape, flat),
            self.pair(self.o.strides, flat),
            self.padding(flat),
            self.pair(self.o.dilations, flat),
            round_up=bool(ceil),
        )


def _row(x: Value) -> Value:
    """N C W as N C 1 W."""
    return x[:, :, None]


@operator("Conv")
def conv(node: Node) -> Run:
    geometry = Geometry(node, group=1)

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        flat = geometry.flat(x)
        geometry.check(x, x.shape[1], w.shape[2:])
        if flat:
            x, w = _row(x), _row(w)
        y = F.conv2d(
            x,
            w,
            b,
            geometry.pair(geometry.o.strides, flat),
            geometry.padding(flat),
            geometry.pair(geometry.o.dilations, flat),
            geometry.o.group,
        )
        return F.squeeze(y, 2) if flat else y

    return run


@operator("ConvTranspose")
def conv_transpose(node: Node) -> Run:
    geometry = Geometry(node, group=1, output_padding=None, output_shape=None)
    o = geometry.o

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        flat = geometry.flat(x)
        geometry.check(x, w.shape[1] * o.group, w.shape[2:], spread=True)
        if flat:
            x, w = _row(x), _row(w)
        stride, dilation = geometry.pair(o.strides, flat), geometry.pair(o.dilations, flat)
        extra = geometry.pair(o.output_padding, flat, 0)
        pads = geometry.padding(flat)
        if o.output_shape or geometry.word in ("same", "same_lower"):
            pads = _to_shape(geometry, x, w, flat, node.version)
        pads = ((0, 0), (0, 0)) if isinstance(pads, str) else pads
        near = tuple((max(a, 0), max(b, 0)) for a, b in pads)
        y = F.conv_transpose2d(x, w, None, stride, near, extra, o.group, dilation)
        if near != pads:  # what lies beyond the full result is 0
            y = bordered(y, [(0, 0), (0, 0), *((-min(a, 0), -min(b, 0)) for a, b in pads)])
        if b is not None:
            y = y + F.reshape(b, (-1, 1, 1))
        return F.squeeze(y, 2) if flat else y

    return run


def _to_shape(geometry: Geometry, x: Tensor, w: Tensor, flat: bool, version: int) -> Any:
    """The padding that gives the size asked for; which end gets the odd pixel depends."""
    o = geometry.o
    stride, dilation = geometry.pair(o.strides, flat), geometry.pair(o.dilations, flat)
    extra = geometry.pair(o.output_padding, flat, 0)
    shape = o.output_shape and list(o.output_shape)[-1 if flat else -2 :]
    pads = []
    for axis in (0, 1):
        size = x.shape[2 + axis]
        full = (
            stride[axis] * (size - 1) + extra[axis] + dilation[axis] * (w.shape[2 + axis] - 1) + 1
        )
        if shape is None:
            wanted = size * stride[axis]
        else:
            wanted = geometry.pair(shape, flat)[axis]
        total = full - wanted
        small = total // 2
        upper = (geometry.word == "same") == (version >= 11)
        pads.append((small, total - small) if upper else (total - small, small))
    return pads[0], pads[1]


@operator("MaxPool")
def max_pool(node: Node) -> Run:
    """Indices count through the whole batch; with storage_order=1 down the columns."""
    geometry = Geometry(node, ceil_mode=0, storage_order=0)
    wants_indices = len(node.outputs) > 1 and bool(node.outputs[1])

    def run(x: Value) -> Any:
        flat = geometry.flat(x)
        dtype = x.dtype
        image = x if isinstance(x, Tensor) else settled(x.astype(np.float32), "cpu")
        geometry.check(image, x.shape[1], geometry.o.kernel_shape)
        image = _row(image) if flat else image
        window = geometry.window(image, flat, geometry.o.ceil_mode)
        y: Any = MaxPool2d(window)(image)
        index = None
        if wants_indices:
            index = _through_batch(host(MaxPoolIndices(window)(image.detach())), window,
                                   geometry.o.storage_order)  # fmt: skip
            index = index[:, :, 0] if flat else index
        y = F.squeeze(y, 2) if flat else y
        return (y if isinstance(x, Tensor) else host(y).astype(dtype)), index

    return run


def _through_batch(index: Any, window: Window, columns: int) -> Any:
    """h W + w in a plane -> the pixel's number in N C H W, or with `columns` in N C W H."""
    H, W = window.image
    if columns:
        index = index % W * H + index // W
    N, C = index.shape[:2]
    planes = np.arange(N * C).reshape(N, C, 1, 1) * (H * W)
    return (index + planes).astype(np.int64)


@operator("MaxUnpool", since=9)
def max_unpool(node: Node) -> Run:
    geometry = Geometry(node)

    def run(x: Tensor, index: Value, output_shape: Value = None) -> Tensor:
        flat = geometry.flat(x)
        kernel = geometry.pair(geometry.o.kernel_shape, flat)
        stride = geometry.pair(geometry.o.strides, flat)
        pads = geometry.padding(flat)
        places = host(index)
        if flat:
            x, places = _row(x), places[:, :, None]
        own = tuple(stride[a] * (x.shape[2 + a] - 1) + kernel[a] - sum(pads[a]) for a in (0, 1))
        size = own if output_shape is None else geometry.pair(ints(output_shape)[2:], flat)
        N, C = x.shape[:2]
        H, W = own
        places = places - np.arange(N * C).reshape(N, C, 1, 1) * (H * W)
        y = F.max_unpool2d(x, labels(places, x), kernel, stride, output_size=own)
        if size != own:
            y = bordered(y, [(0, 0), (0, 0), *((0, n - m) for n, m in zip(size, own, strict=True))])
        return F.squeeze(y, 2) if flat else y

    return run


@operator("AveragePool")
def average_pool(node: Node) -> Run:
    """Padding counts with count_include_pad; what rounding up adds beyond it never does."""
    geometry = Geometry(node, ceil_mode=0, count_include_pad=0)

    def run(x: Tensor) -> Tensor:
        flat = geometry.flat(x)
        geometry.check(x, x.shape[1], geometry.o.kernel_shape)
        image = _row(x) if flat else x
        window = geometry.window(image, flat, geometry.o.ceil_mode)
        pads = geometry.padding(flat)
        if isinstance(pads, str):
            pads = tuple(zip(window.pad, (max(f, 0) for f in window.far_pad), strict=True))
        if not geometry.o.count_include_pad:
            pads = ((0, 0), (0, 0))
        H, W = window.image
        counts = (-pads[0][0], H + pads[0][1]), (-pads[1][0], W + pads[1][1])
        y = AvgPool2d(window, counts, None)(image)
        return F.squeeze(y, 2) if flat else y

    return run


@operator("GlobalAveragePool")
def global_average_pool(node: Node) -> Run:
    return lambda x: F.mean(x, tuple(range(2, x.ndim)), True)


@operator("GlobalMaxPool")
def global_max_pool(node: Node) -> Run:
    return lambda x: F.amax(x, tuple(range(2, x.ndim)), True)


@operator("Col2Im", since=18)
def col2im(node: Node) -> Run:
    o = node.read(dilations=None, pads=None, strides=None)

    def run(col: Tensor, image: Value, block: Value) -> Tensor:
        size, kernel = ints(image), ints(block)
        if len(size) != 2 or len(kernel) != 2:
            raise ValueError(f"Col2Im: image_shape is {size}, expected H W")
        top, left, bottom, right = o.pads or (0, 0, 0, 0)
        dilations, strides = o.dilations or (1, 1), o.strides or (1, 1)
        padding = ((top, bottom), (left, right))
        return F.fold(
            col, tuple(size), (kernel[0], kernel[1]), tuple(dilations), padding, tuple(strides)
        )

    return run
