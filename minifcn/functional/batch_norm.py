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

Statistics are computed once and handed on; every vjp counts them as functions of x.

Shape   x, y: N C ...    w, b, mean, var: C
Source  Ioffe and Szegedy, Batch normalization, 2015
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor, full_like
from ..device import Array
from ..modes import no_grad
from ..samples import Derived, Draw, draw
from ..shapes import Shape, ShapeError, flag, real
from .arithmetic import Scale, pow
from .broadcast import sum
from .broadcast import var as variance
from .channel_affine import ChannelAffine

Entries = tuple["Callable[[], Tensor] | Tensor | None", ...]


@dataclass(frozen=True)
class BatchNorm(Op):
    """dT/dg + b: normalise."""

    eps: float

    def shape(self, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(
        self, k: Any, x: Array, weight: Array, bias: Array, mean: Array, var: Array
    ) -> Array:
        y: Array = k.batch_norm(x, weight, bias, mean, var, self.eps)
        return y

    def vjp(self, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor) -> Entries:
        gw = BatchNormWeight(self.eps)(gy, x, mean, var)  # C
        gb = sum(gy, _others(gy))  # C
        grad = BatchNormGrad(self.eps)
        return lambda: grad(gy, x, weight, mean, var, gw, gb), gw, gb, None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for eps, x, C in _samples():
            yield BatchNorm(eps), x, C, C, _stat(0, 0), _stat(1, 0)


@dataclass(frozen=True)
class BatchNormWeight(Op):
    """dT/dw: correlate with the normalised input."""

    eps: float
    linear = True

    def shape(self, gy: Shape, x: Shape, *others: Shape) -> Shape:
        return (x[1],)

    def forward(self, k: Any, gy: Array, x: Array, mean: Array, var: Array) -> Array:
        gw: Array = k.batch_norm_weight(gy, x, mean, var, self.eps)
        return gw

    def vjp(self, h: Tensor, gy: Tensor, x: Tensor, mean: Tensor, var: Tensor) -> Entries:
        return (
            lambda: BatchNorm(self.eps)(x, h, full_like(h, 0), mean, var),
            lambda: _input_gradient(self.eps, gy, x, h, mean, var),
            None,
            None,
        )

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for eps, x, _ in _samples():
            yield BatchNormWeight(eps), Draw(x.shape), x, _stat(0, 1), _stat(1, 1)


@dataclass(frozen=True)
class BatchNormGrad(Op):
    """dT/dx. `gw` and `gb` are sums that the caller has made already from gy and x."""

    eps: float
    linear = True

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
        gx: Array = k.batch_norm_grad(gy, x, weight, mean, var, gw, gb, self.eps)
        return gx

    def vjp(
        self, h: Tensor, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor
    ) -> Entries:
        def part(v: Tensor, w: Tensor) -> Tensor:
            return _input_gradient(self.eps, v, x, w, mean, var)

        def by_weight() -> Tensor:
            return sum(h * part(gy, full_like(weight, 1)), _others(h))  # C

        def by_x() -> Tensor:
            axes, weigh = _others(x), BatchNormWeight(self.eps)
            M = x.numel() // max(x.shape[1], 1)
            r = pow(variance(x, axes, correction=0) + self.eps, -0.5)  # C, from x: recorded
            scale = r * (-1 / max(M, 1))
            nothing = full_like(weight, 0)
            along_n = BatchNorm(self.eps)(x, scale * weight * by_weight(), nothing, mean, var)
            along_h = part(h, scale * weight * weigh(gy, x, mean, var))
            along_g = part(gy, scale * weight * weigh(h, x, mean, var))
            return along_n + along_h + along_g

        return lambda: part(h, weight), by_x, by_weight, None, None, None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        from ..kernels import reference as loops

        def gw(gy: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float) -> Array:
            return loops.batch_norm_weight(gy, x, mean, var, eps)

        def gb(gy: Array, *others: Array) -> Array:
            channels = (1, gy.shape[1], *(1,) * (gy.ndim - 2))
            return loops.reshape(loops.sum_to(gy, channels), (gy.shape[1],))

        for eps, x, C in _samples():
            stats = _stat(0, 1), _stat(1, 1)
            sums = Derived(C.shape, make=partial(gw, eps=eps)), Derived(C.shape, make=gb)
            yield BatchNormGrad(eps), Draw(x.shape), x, C, *stats, *sums


def _input_gradient(
    eps: float, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, var: Tensor
) -> Tensor:
    gw, gb = BatchNormWeight(eps)(gy, x, mean, var), sum(gy, _others(gy))
    return BatchNormGrad(eps)(gy, x, weight, mean, var, gw, gb)


def _others(x: Tensor) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return 0, *range(2, x.ndim)


def _samples() -> Iterator[tuple[float, Draw, Draw]]:
    """(eps, x, an array of C)"""
    yield 1e-5, draw("2 3 2 3"), draw("3")
    yield 0.1, draw("4 2"), draw("2")
    yield 1e-3, draw("3 2 4"), draw("2")


def _stat(which: int, place: int) -> Derived:
    """The mean (0) or variance (1) of the input at `place`."""
    from ..kernels.reference import moments

    return Derived((), make=lambda *earlier: moments(earlier[place])[which])


def batch_norm(
    x: Tensor | Array,
    running_mean: Tensor | Array | None,
    running_var: Tensor | Array | None,
    weight: Tensor | Array | None = None,
    bias: Tensor | Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel, by the batch in training, else by the running statistics.

    y = weight (x - mean) / sqrt(var + eps) + bias

    In training the running statistics move in place towards those of the batch, the variance being
    the unbiased one, over M - 1:  running = (1 - momentum) running + momentum batch.

    Shape   x: N C ..., all others: C -> y: as x

    >>> import minifcn as mf
    >>> x = mf.tensor([[1.0], [3.0]])
    >>> batch_norm(x, None, None, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """
    x, training = as_tensor(x), flag("batch_norm", "training", training)
    C = _check_input(x)
    eps, momentum = real("batch_norm", "eps", eps, 0), real("batch_norm", "momentum", momentum)
    k = kernels.of("batch_norm", [x.data])
    weight = Tensor(k.full((C,), 1, x.data)) if weight is None else weight
    bias = Tensor(k.full((C,), 0, x.data)) if bias is None else bias
    weight = _per_channel("weight", weight, x, C)
    bias = _per_channel("bias", bias, x, C)
    if not training:
        if running_mean is None or running_var is None:
            name = "running_mean" if running_mean is None else "running_var"
            raise ValueError(
                f"batch_norm: {name} is None, but training is False, expected {C} values; "
                f"training=True uses the statistics of the batch"
            )
        mean = _per_channel("running_mean", running_mean, x, C).detach()
        var = _per_channel("running_var", running_var, x, C).detach()
        return ChannelAffine()(x, mean, weight * pow(var + eps, -0.5), bias)
    M = x.numel() // max(C, 1)
    if M == 1:
        raise ShapeError(
            f"batch_norm: x has shape {x.shape}, 1 value per channel, expected at least 2: with "
            f"training=True the variance comes from the batch"
        )
    mean, var = (Tensor(stat) for stat in k.moments(x.data))
    if M > 1:
        unbiased = Scale(M / (M - 1))(var)
        _move("running_mean", running_mean, mean, momentum, x, C)
        _move("running_var", running_var, unbiased, momentum, x, C)
    return BatchNorm(eps)(x, weight, bias, mean, var)


def _move(
    name: str, running: Tensor | Array | None, batch: Tensor, momentum: float, x: Tensor, C: int
) -> None:
    """running = (1 - momentum) running + momentum batch, in place."""
    if running is not None:
        running = _per_channel(name, running, x, C)
        with no_grad():
            running.copy_(running * (1 - momentum) + batch * momentum)


def _check_input(x: Tensor) -> int:
    if x.dtype.kind != "f":
        raise TypeError(f"batch_norm: dtype of x is {x.dtype}, expected a floating type")
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: x has shape {x.shape}, expected N C or N C H W")
    return x.shape[1]


def _per_channel(name: str, value: Tensor | Array, x: Tensor, C: int) -> Tensor:
    value = as_tensor(value)
    if value.shape != (C,):
        raise ShapeError(
            f"batch_norm: {name} has shape {value.shape}, but axis 1 (C) of x is {C}, "
            f"expected ({C},)"
        )
    if value.dtype != x.dtype:
        raise TypeError(
            f"batch_norm: dtype of {name} is {value.dtype}, but dtype of x is {x.dtype}; convert "
            f"one with .astype()"
        )
    return value
