r"""batch_norm: give every channel mean 0 and variance 1 over a batch, then a scale and a shift.

For one channel with M values, n(x) = (x - mean) r, r = 1 / sqrt(var + eps); mean and var are those
of x itself. As with convolution, one form over input, weight and output-side gradient gives it all:

    T(x, w, g) = sum g w n(x)

    y  = batch_norm(x, w, b)          = dT/dg + b
    gw = batch_norm_weight(g, x)      = dT/dw = sum g n(x)
    gx = batch_norm_grad(g, x, w)     = dT/dx = w r (g - sum g / M - n(x) gw / M)

The last is linear and symmetric in g. In x, for an upstream h, with W(v) = sum v n(x) and
G(v) = batch_norm_grad(v, x, w), it has the derivative

    -(r/M) (w n(x) sum h G_1(g) + W(g) G(h) + W(h) G(g))        G_1: G with w = 1

Statistics are computed once and handed on; every vjp counts them as functions of x. Where several
processes share a batch, M, mean, var and all sums inside gx go over all of them, while gw and the
gradient of b stay each process's own share: whoever adds up the parameters' gradients adds those.

Shape   x, y: N C ...    w, b, mean, var: C
Source  Ioffe and Szegedy, Batch normalization, 2015
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core import Op, Tensor, full_like
from ..device import Array
from ..samples import Derived, Draw, draw
from ..shapes import Shape
from .all_sum import all_sum
from .arithmetic import pow
from .broadcast import sum, sum_as
from .cast import cast, wide
from .reshape import reshape

Entries = tuple["Callable[[], Tensor] | Tensor | None", ...]


@dataclass(frozen=True)
class Batch:
    """What a normalised batch is: its values per channel, M, and whether processes share it."""

    eps: float
    M: int
    shared: bool = False

    def totals(self, *sums: Tensor) -> tuple[Tensor, ...]:
        """Each process's sums, added up if they share the batch."""
        return all_sum(*sums) if self.shared else sums

    def entries(
        self, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor
    ) -> tuple[Callable[[], Tensor], Tensor, Tensor]:
        """The gradients of x, weight and bias."""
        gw = cast(BatchNormWeight(self)(gy, x, mean, var), weight.dtype)  # C
        gb = sum_as(weight.dtype, gy, others(gy))  # C
        grad = BatchNormGrad(self)
        return lambda: grad(gy, x, weight, mean, var, *self.totals(gw, gb)), gw, gb

    def input_gradient(
        self, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor
    ) -> Tensor:
        """dT/dx."""
        return self.entries(gy, x, weight, mean, var)[0]()


@dataclass(frozen=True)
class BatchNorm(Op):
    """dT/dg + b: normalise."""

    batch: Batch
    mixed = True

    def shape(self, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(
        self, k: Any, x: Array, weight: Array, bias: Array, mean: Array, var: Array
    ) -> Array:
        y: Array = k.batch_norm(x, weight, bias, mean, var, self.batch.eps)
        return y

    def vjp(self, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor) -> Entries:
        return *self.batch.entries(gy, x, weight, mean, var), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for batch, x, C in norm_samples():
            yield BatchNorm(batch), x, C, C, statistic(0, 0), statistic(1, 0)


@dataclass(frozen=True)
class BatchNormWeight(Op):
    """dT/dw: correlate with the normalised input."""

    batch: Batch
    linear = True
    mixed = True

    def shape(self, gy: Shape, x: Shape, *others: Shape) -> Shape:
        return (x[1],)

    def forward(self, k: Any, gy: Array, x: Array, mean: Array, var: Array) -> Array:
        gw: Array = k.batch_norm_weight(gy, x, mean, var, self.batch.eps)
        return gw

    def vjp(self, h: Tensor, gy: Tensor, x: Tensor, mean: Tensor, var: Tensor) -> Entries:
        def by_x() -> Tensor:
            g = wide(gy) * wide(reshape(h, column(x)))  # h is each process's own
            gx = self.batch.input_gradient(g, wide(x), full_like(h, 1), mean, var)
            return cast(gx, x.dtype)

        return lambda: BatchNorm(self.batch)(x, h, full_like(h, 0), mean, var), by_x, None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for batch, x, _ in norm_samples():
            yield BatchNormWeight(batch), Draw(x.shape), x, statistic(0, 1), statistic(1, 1)


@dataclass(frozen=True)
class BatchNormGrad(Op):
    """dT/dx. `gw` and `gb` are sums that the caller has made already from gy and x."""

    batch: Batch
    linear = True
    mixed = True

    def shape(self, gy: Shape, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(
        self,
        k: Any,
        gy: Array,
        x: Array,
        weight: Array,
        mean: Array,
        var: Array,
        gw: Array,
        gb: Array,
    ) -> Array:
        eps, M = self.batch.eps, self.batch.M
        gx: Array = k.batch_norm_grad(gy, x, weight, mean, var, gw, gb, eps, M)
        return gx

    def vjp(
        self, h: Tensor, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor
    ) -> Entries:
        batch = self.batch
        H, G, X, w = wide(h), wide(gy), wide(x), wide(weight)

        def part(v: Tensor, w: Tensor) -> Tensor:
            return batch.input_gradient(v, X, w, mean, var)

        def by_w() -> Tensor:
            return sum(H * part(G, full_like(w, 1)), others(h))  # C

        def by_x() -> Tensor:
            weigh = BatchNormWeight(batch)
            hG, Wg, Wh = batch.totals(by_w(), weigh(G, X, mean, var), weigh(H, X, mean, var))
            scale = w * _r(batch, X) * (-1 / max(batch.M, 1))
            along_n = BatchNorm(batch)(X, scale * hG, full_like(w, 0), mean, var)
            gx = along_n + part(H, scale * Wg) + part(G, scale * Wh)
            return cast(gx, x.dtype)

        return (
            lambda: batch.input_gradient(h, x, weight, mean, var),
            by_x,
            lambda: cast(by_w(), weight.dtype),
            None,
            None,
            None,
            None,
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        from ..kernels import reference as loops

        def gw(gy: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float) -> Array:
            return loops.batch_norm_weight(gy, x, mean, var, eps)

        def gb(gy: Array, *others: Array) -> Array:
            channels = (1, gy.shape[1], *(1,) * (gy.ndim - 2))
            return loops.reshape(loops.sum_to(gy, channels), (gy.shape[1],))

        for batch, x, C in norm_samples():
            stats = statistic(0, 1), statistic(1, 1)
            sums = Derived(C.shape, make=partial(gw, eps=batch.eps)), Derived(C.shape, make=gb)
            yield BatchNormGrad(batch), Draw(x.shape), x, C, *stats, *sums


def _r(batch: Batch, x: Tensor) -> Tensor:
    """C: 1 / sqrt(var + eps), recorded as a function of x."""
    (mean,) = batch.totals(sum(x, others(x)) * (1 / max(batch.M, 1)))
    d = x - reshape(mean, column(x))
    (var,) = batch.totals(sum(d * d, others(x)) * (1 / max(batch.M, 1)))
    return pow(var + batch.eps, -0.5)


def others(x: Tensor) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return 0, *range(2, x.ndim)


def column(x: Tensor) -> Shape:
    """The shape of C numbers that go with x."""
    return 1, x.shape[1], *(1,) * (x.ndim - 2)


def norm_samples() -> Iterator[tuple[Batch, Draw, Draw]]:
    """(batch, x, an array of C)"""
    yield Batch(1e-5, 12), draw("2 3 2 3"), draw("3")
    yield Batch(0.1, 4), draw("4 2"), draw("2")
    yield Batch(1e-3, 12, shared=True), draw("3 2 4"), draw("2")  # shared with nobody


def statistic(which: int, place: int) -> Derived:
    """The mean (0) or variance (1) of the input at `place`."""
    from ..kernels.reference import moments

    return Derived((), make=lambda *earlier: moments(earlier[place])[which])
