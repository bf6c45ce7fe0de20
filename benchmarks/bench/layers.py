"""layers: convolutions as networks have them, and the three directions of each.

    forward   y  = conv2d(x, w)             transposed: y  = conv_transpose2d(x, w)
    image     gx = conv_transpose2d(g, w)               gx = conv2d(g, w)
    weight    gw = conv2d_weight(x, g)                  gw = conv2d_weight(g, x)

Images are made by an operator of the library before the clock starts, so they lie in memory as they
do inside a network; those of a first layer come as the loader gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = ("forward", "image", "weight")
Calls = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Layer:
    """A convolution of C to O channels; `size` is that of its input."""

    name: str
    C: int
    O: int
    size: tuple[int, int]
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1
    transposed: bool = False
    target: float = 1.5
    N: int = 8

    @property
    def weight(self) -> tuple[int, int, int, int]:
        outer, inner = (self.C, self.O) if self.transposed else (self.O, self.C)
        return outer, inner // self.groups, self.kernel, self.kernel

    @property
    def out(self) -> tuple[int, int]:
        span = self.dilation * (self.kernel - 1) + 1
        H, W = self.size
        if self.transposed:
            near = span - 2 * self.padding - self.stride
            return self.stride * H + near, self.stride * W + near
        room = 2 * self.padding - span
        return (H + room) // self.stride + 1, (W + room) // self.stride + 1

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Of x, w, and g (the gradient of y)."""
        return (self.N, self.C, *self.size), self.weight, (self.N, self.O, *self.out)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """x, w, g; of about unit size, w so that y is too."""
        rng = np.random.default_rng(0)
        x, w, g = (rng.standard_normal(shape).astype(np.float32) for shape in self.shapes)
        w /= np.float32((self.weight[1] * self.kernel**2) ** 0.5)
        return x, w, g

    def small(self) -> Layer:
        """The same geometry at toy size."""
        depth = self.groups > 1
        C, O = (4, 4) if depth else (min(self.C, 4), min(self.O, 5))
        return replace(self, C=C, O=O, size=(6, 8), groups=C if depth else 1, N=2)


def _layers() -> list[Layer]:
    # fmt: off
    same = [(32, 192, 256), (64, 96, 128), (128, 48, 64), (256, 24, 32), (512, 12, 16)]
    found = [Layer(f"3x3 {C} at {H}x{W}", C, C, (H, W)) for C, H, W in same]
    return found + [
        Layer("3x3 32 to 64 at 96x128", 32, 64, (96, 128)),
        Layer("3x3 first layer 3 to 32 at 192x256", 3, 32, (192, 256)),
        Layer("3x3 stride 2 64 to 128 at 96x128", 64, 128, (96, 128), stride=2),
        Layer("3x3 dilation 2 128 at 48x64", 128, 128, (48, 64), padding=2, dilation=2),
        Layer("1x1 512 to 12 at 12x16", 512, 12, (12, 16), kernel=1, padding=0),
        Layer("1x1 256 at 24x32", 256, 256, (24, 32), kernel=1, padding=0),
        Layer("1x1 32 to 12 at 96x128", 32, 12, (96, 128), kernel=1, padding=0),
        Layer("3x3 depthwise 64 at 96x128", 64, 64, (96, 128), groups=64, target=5.0),
    ]


def _transposed() -> list[Layer]:
    rows = [  # name, C, O, size, kernel, stride, padding, target: small ones are mostly overhead
        ("k4s2 12 at 24x32", 12, 12, (24, 32), 4, 2, 1, 2.5),
        ("k4s2 12 at 96x128", 12, 12, (96, 128), 4, 2, 1, 1.5),
        ("k16s8 12 at 24x32", 12, 12, (24, 32), 16, 8, 4, 1.5),
        ("k32s16 12 at 12x16", 12, 12, (12, 16), 32, 16, 8, 1.5),
        ("k2s2 64 to 32 at 96x128", 64, 32, (96, 128), 2, 2, 0, 1.5),
    ]
    return [
        Layer(f"transposed {name}", C, O, size, k, s, p, transposed=True, target=target)
        for name, C, O, size, k, s, p, target in rows
    ]
    # fmt: on


LAYERS = _layers() + _transposed()


def minifcn_calls(layer: Layer, dtype: Any = np.float32) -> Calls:
    """The three directions with minifcn's functions."""
    import minifcn as mf
    import minifcn.functional as F

    x, w, g = (mf.tensor(array.astype(dtype)) for array in layer.arrays())
    if layer.C > 4:
        x = x + 0.0
    g = g + 0.0
    how: dict[str, Any] = {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
    }
    k = layer.kernel

    def up(y: Any, size: tuple[int, int]) -> Any:
        return F.conv_transpose2d(y, w, **how, output_size=size)

    if layer.transposed:
        return {
            "forward": lambda: up(x, layer.out),
            "image": lambda: F.conv2d(g, w, **how),
            "weight": lambda: F.conv2d_weight(g, x, k, **how),
        }
    return {
        "forward": lambda: F.conv2d(x, w, **how),
        "image": lambda: up(g, layer.size),
        "weight": lambda: F.conv2d_weight(x, g, k, **how),
    }


def torch_calls(layer: Layer, channels_last: bool = False, double: bool = False) -> Calls:
    """The three directions with PyTorch's operator and its gradient, one at a time."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = torch.float64 if double else torch.float32
    x, w, g = (torch.tensor(a).to(dtype=dtype, memory_format=layout) for a in layer.arrays())
    two = [[n, n] for n in (layer.stride, layer.padding, layer.dilation)]
    rest = (*two, layer.transposed, [0, 0], layer.groups)

    def backward(which: int) -> Any:
        mask = [k == which for k in range(3)]
        return torch.ops.aten.convolution_backward(g, x, w, None, *rest, mask)[which]

    return {
        "forward": lambda: torch.ops.aten.convolution(x, w, None, *rest),
        "image": lambda: backward(0),
        "weight": lambda: backward(1),
    }
