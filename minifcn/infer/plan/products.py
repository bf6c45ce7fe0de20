"""products: convolutions as products of a weight with columns, a few rows of the image at a time.

    Conv   columns: every tap of the kernel on every pixel, KH KW C numbers for a pixel
           or, where columns would be most of the work, those of one row of taps, KW C numbers,
           and a product for each row of taps, added up
    Wide   many channels and a 3x3 kernel: the network's own kernel, by Winograd, is worth the way
           to its order of numbers, H W N C, and back
    Up     a transposed convolution whose stride is its kernel: every pixel becomes s x s of its own

Columns are copies of rows; they are read by the product while they are in the core's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...device import Array
from ...kernels import numpy_kernels
from ...kernels.numpy_kernels.conv.choose import Problem, choose
from ...nn.trace import Value
from ...shapes import Pair
from ...window import Window
from .step import BLOCK, Arrays, Job, Room, Step, parts

COLUMNS = 3 << 16  # numbers of columns made for one product


@dataclass(eq=False)
class Conv(Step):
    """w: O C KH KW. `frame` is x with zeros around it, if it needs them."""

    x: Value
    w: Array
    window: Window
    frame: Value | None = None
    origin: Pair = (0, 0)  # where the first window starts in what is read

    @property
    def reads(self) -> tuple[Value, ...]:
        return (self.frame or self.x,)

    def fold(self) -> None:
        """Multiply the scale into the weight."""
        if self.after.scale is not None:
            self.w = self.w * self.after.scale[:, None, None, None]
            self.after.scale = None

    def jobs(self, arrays: Arrays) -> list[Job]:
        x, y, window = arrays[self.frame or self.x], arrays[self.out], self.window
        (O, C, KH, KW), (P, Q) = self.w.shape, window.out
        flat = y.reshape(O, P * Q)
        pointwise = window.kernel == window.stride == (1, 1) and self.frame is None
        # Copied numbers for a pixel, against additions that the other way needs instead.
        by_rows = window.stride[0] == window.dilation[0] == 1 and C * KW > 2 * O and KH > 1
        size = O if pointwise else C * KW * (1 if by_rows else KH)
        made: list[Job] = []
        for rows in parts(P, (BLOCK if pointwise else COLUMNS) // (size * Q)):
            to = flat[:, rows.start * Q : rows.stop * Q]
            if pointwise:
                given = x.reshape(C, P * Q)[:, rows.start * Q : rows.stop * Q]
                job: Job = partial(_product, self.w.reshape(O, C), given, to)
            elif by_rows:
                w = self.w.transpose(2, 0, 1, 3).reshape(KH, O, C * KW)
                high = rows.stop - rows.start + KH - 1
                job = partial(_by_rows, w, self._taps(x, rows.start, 1, high), to)
            else:
                cut = self._taps(x, rows.start, KH, rows.stop - rows.start)
                job = partial(_by_columns, self.w.reshape(O, -1), cut, to)
            made.append(partial(_then, job, self.after.on(to)))
        return made

    def _taps(self, x: Array, first: int, KH: int, P: int) -> Array:
        """C KH KW P Q: what tap (u, v) of output pixel (first + i, j) meets."""
        (sh, sw), (dh, dw) = self.window.stride, self.window.dilation
        x = x[:, self.origin[0] + first * sh :, self.origin[1] :]
        c, h, w = x.strides
        shape = len(x), KH, self.window.kernel[1], P, self.window.out[1]
        return as_strided(x, shape, (c, dh * h, dw * w, sh * h, sw * w))


@dataclass(eq=False)
class Wide(Conv):
    """x is read as it is: the kernel puts zeros around it by itself."""

    @staticmethod
    def pays(C: int, O: int, window: Window) -> bool:
        """Whether the kernels would take the fewest products for it."""
        problem = Problem("conv2d", 1, C, O, window, "f")
        return choose(problem).algorithm == "winograd2"

    def jobs(self, arrays: Arrays) -> list[Job]:
        x, y = arrays[self.x], arrays[self.out]
        job = partial(_by_kernel, x[None], self.w, self.window, y)
        return [partial(_then, job, self.after.on(y.reshape(len(y), -1)))]


@dataclass(eq=False)
class Up(Step):
    """w: I O s s."""

    x: Value
    w: Array
    window: Window

    @property
    def reads(self) -> tuple[Value, ...]:
        return (self.x,)

    def fold(self) -> None:
        """Multiply the scale into the weight."""
        if self.after.scale is not None:
            self.w = self.w * self.after.scale[:, None, None]
            self.after.scale = None

    def jobs(self, arrays: Arrays) -> list[Job]:
        x, y, (sh, sw) = arrays[self.x], arrays[self.out], self.window.stride
        (I, P, Q), O = x.shape, self.w.shape[1]
        w = np.ascontiguousarray(self.w.reshape(I, -1).T)  # (O sh sw) I
        split = y.reshape(O, P, sh, Q, sw).transpose(0, 2, 4, 1, 3)  # O sh sw P Q
        made: list[Job] = []
        for rows in parts(P, BLOCK // (len(w) * Q)):
            part = x.reshape(I, P * Q)[:, rows.start * Q : rows.stop * Q]
            made.append(partial(self._phases, w, part, split[:, :, :, rows]))
        return made

    def _phases(self, w: Array, x: Array, to: Array, room: Room) -> None:
        phases = room("up", to.shape)
        np.matmul(w, x, out=phases.reshape(len(w), -1))
        self.after.on(phases.reshape(len(to), -1))(room)
        for a in range(to.shape[1]):
            for b in range(to.shape[2]):
                to[:, a, b] = phases[:, a, b]


def _then(first: Job, second: Job, room: Room) -> None:
    first(room)
    second(room)


def _product(w: Array, x: Array, to: Array, room: Room) -> None:
    np.matmul(w, x, out=to)


def _by_kernel(x: Array, w: Array, window: Window, to: Array, room: Room) -> None:
    np.copyto(to, numpy_kernels.conv2d(x, w, window)[0])


def _by_columns(w: Array, cut: Array, to: Array, room: Room) -> None:
    col = room("columns", cut.shape)
    np.copyto(col, cut)
    np.matmul(w, col.reshape(w.shape[1], -1), out=to)


def _by_rows(w: Array, cut: Array, to: Array, room: Room) -> None:
    """w: KH O (C KW), cut: C 1 KW P+KH-1 Q."""
    col, Q = room("columns", cut.shape), cut.shape[4]
    np.copyto(col, cut)
    flat = col.reshape(w.shape[2], -1)
    np.matmul(w[0], flat[:, : to.shape[1]], out=to)
    term = room("term", to.shape)
    for u in range(1, len(w)):
        np.matmul(w[u], flat[:, u * Q : u * Q + to.shape[1]], out=term)
        np.add(to, term, out=to)
