"""normalise: batch normalisation for its users: statistics of the batch, or running ones.

In training mean and var are those of the batch; of all processes' shares together, if several train
one model. With n_r values per channel in share r and M = sum n_r they are

    mean = sum n_r mean_r / M        var = sum n_r (var_r + (mean_r - mean)^2) / M

An image in half precision is normalised by numbers in float32, and rounded once.

Shape   x, y: N C ...    all others: C
Source  Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm, 1979
"""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..core import Tensor, as_tensor, full_like
from ..device import Array, is_floating, is_half
from ..modes import mode, no_grad
from ..shapes import ShapeError, flag, real
from .all_sum import AllSum, together
from .arithmetic import pow
from .batch_norm import Batch, BatchNorm
from .batch_norm_relu import BatchNormRelu, ChannelAffineRelu
from .broadcast import sum
from .cast import cast, wide
from .channel_affine import ChannelAffine
from .concat import cat, split
from .index import PutSlice
from .reshape import reshape


def batch_norm(
    x: Tensor | Array,
    running_mean: Tensor | Array | None,
    running_var: Tensor | Array | None,
    weight: Tensor | Array | None = None,
    bias: Tensor | Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: Tensor | None = None,
    sync: bool = True,
    relu: bool = False,
) -> Tensor:
    """Normalise every channel, by the batch in training, else by the running statistics.

    y = weight (x - mean) / sqrt(var + eps) + bias

    In training the running statistics move in place towards those of the batch, the variance being
    the unbiased one, over M - 1:  running = (1 - momentum) running + momentum batch; and
    `num_batches_tracked`, a whole number, becomes one more. With `sync` the batch is that of all
    processes that train together. With `relu` negative y are made 0 on the way, which is faster
    than a second operator.

    Shape   x: N C ..., all others: C -> y: as x

    >>> import minifcn as mf
    >>> x = mf.tensor([[1.0], [3.0]])
    >>> batch_norm(x, None, None, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """
    x, training = as_tensor(x), flag("batch_norm", "training", training)
    sync, relu = flag("batch_norm", "sync", sync), flag("batch_norm", "relu", relu)
    C = _check_input(x)
    eps, momentum = real("batch_norm", "eps", eps, 0), real("batch_norm", "momentum", momentum)
    names = ("running_mean", "running_var", "weight", "bias")
    others = zip(names, (running_mean, running_var, weight, bias), strict=True)
    given = {"x": x.data} | {name: as_tensor(a).data for name, a in others if a is not None}
    if num_batches_tracked is not None:
        given["num_batches_tracked"] = num_batches_tracked.data
    k = kernels.of("batch_norm", [*given.values()], [*given], mixed=True)  # on one device
    weight = Tensor(k.full((C,), 1, x.data)) if weight is None else weight
    bias = Tensor(k.full((C,), 0, x.data)) if bias is None else bias
    weight = wide(_per_channel("weight", weight, x, C))
    bias = wide(_per_channel("bias", bias, x, C))
    if not training:
        if running_mean is None or running_var is None:
            name = "running_mean" if running_mean is None else "running_var"
            raise ValueError(
                f"batch_norm: {name} is None, but training is False, expected {C} values; "
                f"training=True uses the statistics of the batch"
            )
        mean = wide(_per_channel("running_mean", running_mean, x, C).detach())
        var = wide(_per_channel("running_var", running_var, x, C).detach())
        affine = ChannelAffineRelu() if relu else ChannelAffine()
        return affine(x, mean, weight * pow(var + eps, -0.5), bias)
    running = {
        name: _per_channel(name, one, x, C)
        for name, one in (("running_mean", running_mean), ("running_var", running_var))
        if one is not None
    }
    if num_batches_tracked is not None:
        running["num_batches_tracked"] = num_batches_tracked
    shared = sync and together()
    mean, var, M = _statistics(x, {n: one.data for n, one in running.items()}, momentum, k, shared)
    for one in running.values():
        one.written("batch_norm")
    batch = Batch(eps, M, shared)
    norm = BatchNormRelu(batch) if relu else BatchNorm(batch)
    return norm(x, weight, bias, mean, var)


def _statistics(
    x: Tensor, running: dict[str, Array], momentum: float, k: Any, shared: bool
) -> tuple[Tensor, Tensor, int]:
    """(mean, biased variance, values per channel) of the batch; the running ones move."""
    moving = running.get("running_mean"), running.get("running_var")
    count, M = running.get("num_batches_tracked"), x.numel() // max(x.shape[1], 1)
    if mode.sketch:  # shapes alone are asked for
        zeros = Tensor(k.full(x.shape[1:2], 0, x.data))
        return zeros, zeros, M
    if not shared:
        _check_count(x, M)
        mean, var = (Tensor(stat) for stat in k.moments(x.data, moving, momentum, count))
        return mean, var, M
    mean, var = (Tensor(stat) for stat in k.moments(x.data))
    mean, var, M = _merged(mean, var, M)
    _check_count(x, M)
    if M > 1:
        k.move_running(moving, mean.data, var.data, momentum, M / (M - 1))
    if count is not None:
        k.count_up(count)
    return mean, var, M


def _check_count(x: Tensor, M: int) -> None:
    if M == 1:
        raise ShapeError(
            f"batch_norm: x has shape {x.shape}, 1 value per channel, expected at least 2: with "
            f"training=True the variance comes from the batch"
        )


@no_grad()
def _merged(mean: Tensor, var: Tensor, M: int) -> tuple[Tensor, Tensor, int]:
    """The same of all processes' shares together, in float64; one exchange."""
    dtype, C = str(mean.dtype), mean.shape[0]
    mean, var = cast(mean, "float64"), cast(var, "float64")
    row = cat([full_like(mean[:1], M) if C else mean, mean, var])
    width, rank, size = row.shape[0], mode.communicator.rank, mode.communicator.size
    place = (range(rank, rank + 1), range(width))
    shares = AllSum()(PutSlice(place, (size, width))(reshape(row, (1, width))))  # R 2C+1
    n, means, variances = split(shares, [width - 2 * C, C, C], 1)
    total = sum(n)
    M = int(total.item())
    n = n * (1 / max(M, 1))
    mean = sum(n * means, 0)
    var = sum(n * (variances + pow(means - mean, 2)), 0)
    return cast(mean, dtype), cast(var, dtype), M


def _check_input(x: Tensor) -> int:
    if not is_floating(x.dtype):
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
    if value.dtype != x.dtype and not (
        mode.autocast is not None and is_half(x.dtype) and value.dtype == "float32"
    ):
        raise TypeError(
            f"batch_norm: dtype of {name} is {value.dtype}, but dtype of x is {x.dtype}; convert "
            f"one with .astype()"
        )
    return value
