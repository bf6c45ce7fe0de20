"""The three arrays of a convolution, and what each of them is by loops in float64."""

from typing import Any, NamedTuple

import numpy as np

from minifcn.kernels.reference.conv import _meetings
from minifcn.window import Window


class Triad(NamedTuple):
    """Image, weight and output gradient of one window."""

    x: Any
    w: Any
    g: Any
    window: Window

    def absolute(self) -> "Triad":
        x, w, g = (np.abs(a.astype(np.float64)) for a in self[:3])
        return Triad(x, w, g, self.window)

    def loops(self, name: str) -> Any:
        """ "conv2d", "conv_transpose2d" or "conv2d_weight": a sum over pixels that meet taps."""
        G, C = self.window.groups, self.w.shape[1]
        O = self.w.shape[0] // G
        x, w, g = (a.astype(np.float64) for a in self[:3])
        x = x.reshape(len(x), G, C, *x.shape[2:])
        w = w.reshape(G, O, C, *w.shape[2:])
        g = g.reshape(len(g), G, O, *g.shape[2:])
        made = {"conv2d": g, "conv_transpose2d": x, "conv2d_weight": w}[name]
        sums = np.zeros_like(made)
        for i, j, u, v, h, k in _meetings(self.window):
            if name == "conv2d":
                sums[..., i, j] += np.einsum("ngc,goc->ngo", x[..., h, k], w[..., u, v])
            elif name == "conv_transpose2d":
                sums[..., h, k] += np.einsum("ngo,goc->ngc", g[..., i, j], w[..., u, v])
            else:
                sums[..., u, v] += np.einsum("ngo,ngc->goc", g[..., i, j], x[..., h, k])
        shape = {"conv2d": self.g, "conv_transpose2d": self.x, "conv2d_weight": self.w}[name].shape
        return sums.reshape(shape)


def tf32_numbers(x: Any) -> Any:
    """float32 numbers rounded to 10 bits of fraction, to nearest, ties away from zero."""
    bits = (x.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return bits.view(np.float32)


def on_device(x: Any) -> Any:
    import cupy

    return cupy.asarray(x)
