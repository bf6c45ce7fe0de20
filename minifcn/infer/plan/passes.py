"""passes: steps that go once over their images: sums, pooling, zeros around, channels joined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ...core import Op
from ...device import Array
from ...kernels import numpy_kernels
from ...nn.trace import Input, Value
from ...shapes import Pair
from ...window import Window
from .step import BLOCK, After, Arrays, Job, Room, Step, parts


@dataclass(eq=False)
class Each(Step):
    """One value, or the sum of two, pixel by pixel; and what follows."""

    terms: tuple[Value, ...]

    @property
    def reads(self) -> tuple[Value, ...]:
        return self.terms

    def jobs(self, arrays: Arrays) -> list[Job]:
        y = arrays[self.out]
        C, M = len(y), prod(y.shape[1:])
        made: list[Job] = []
        for part in parts(C, BLOCK // M):
            to = y.reshape(C, M)[part]
            terms = [arrays[v].reshape(C, M)[part] for v in self.terms]
            made.append(partial(self._block, terms, to, self.after.of(part).on(to)))
        return made

    @staticmethod
    def _block(terms: list[Array], to: Array, after: Job, room: Room) -> None:
        if len(terms) == 2:
            np.add(terms[0], terms[1], out=to)
        elif terms[0] is not to:
            np.copyto(to, terms[0])
        after(room)


@dataclass(eq=False)
class Frame(Step):
    """The value with zeros around it, which are there from the start and which nobody writes."""

    x: Value
    near: Pair

    @property
    def reads(self) -> tuple[Value, ...]:
        return (self.x,)

    def jobs(self, arrays: Arrays) -> list[Job]:
        x, (top, left) = arrays[self.x], self.near
        inside = arrays[self.out][:, top : top + x.shape[1], left : left + x.shape[2]]
        return [partial(_copy, inside, x)]


@dataclass(eq=False)
class Pool(Step):
    """The mean of every window, or the largest of it: along H, then along W."""

    x: Value
    window: Window
    largest: bool = False
    frame: Value | None = None
    origin: Pair = (0, 0)

    @property
    def reads(self) -> tuple[Value, ...]:
        return (self.frame or self.x,)

    def jobs(self, arrays: Arrays) -> list[Job]:
        x, y = arrays[self.frame or self.x], arrays[self.out]
        x = x[:, self.origin[0] :, self.origin[1] :]
        step = BLOCK // prod(x.shape[1:])
        return [partial(self._pool, x[part], y[part], self.after.of(part))
                for part in parts(len(x), step)]  # fmt: skip

    def _pool(self, x: Array, y: Array, after: After, room: Room) -> None:
        (KH, KW), (P, Q), (sh, sw) = self.window.kernel, self.window.out, self.window.stride
        W = sw * (Q - 1) + KW
        rows = room("columns", (len(x), P, W))
        join = np.maximum if self.largest else np.add
        _along(join, x[:, :, :W], KH, sh, rows)
        _along(join, rows.swapaxes(1, 2), KW, sw, y.swapaxes(1, 2))
        if not self.largest:
            np.multiply(y, np.float32(1 / (KH * KW)), out=y)
        after.on(y.reshape(len(y), -1))(room)


def _along(join: Any, x: Array, kernel: int, stride: int, y: Array) -> None:
    """y[:, i] = sum or maximum over u of x[:, s i + u]."""
    span = stride * (y.shape[1] - 1) + 1
    np.copyto(y, x[:, :span:stride])
    for u in range(1, kernel):
        join(y, x[:, u : u + span : stride], out=y)


@dataclass(eq=False)
class Join(Step):
    """Channels behind channels; those that were made in their place are not copied."""

    parts: tuple[Value, ...]

    @property
    def reads(self) -> tuple[Value, ...]:
        return self.parts

    def jobs(self, arrays: Arrays) -> list[Job]:
        y, c = arrays[self.out], 0
        made: list[Job] = []
        for v in self.parts:
            x, to = arrays[v], y[c : c + v.channels]
            if x.__array_interface__["data"] != to.__array_interface__["data"]:
                made.append(partial(_copy, to, x))
            c += v.channels
        return made


@dataclass(eq=False)
class Other(Step):
    """Any operator, by the kernels that the network itself would use."""

    op: Op
    inputs: tuple[Input, ...]

    @property
    def reads(self) -> tuple[Value, ...]:
        return tuple(v for v in self.inputs if isinstance(v, Value))

    def jobs(self, arrays: Arrays) -> list[Job]:
        given = [arrays[v][None] if isinstance(v, Value) else v for v in self.inputs]
        return [partial(self._run, given, arrays[self.out])]

    def _run(self, given: list[Array], to: Array, room: Room) -> None:
        made: Any = self.op.forward(numpy_kernels, *given)
        np.copyto(to, (made[0] if type(made) is tuple else made)[0])


def _copy(to: Array, x: Array, room: Room) -> None:
    np.copyto(to, x)
