"""Batch normalisation over all axes of x (N C ...) but 1; mean, var, weight, bias: C.

The values of a channel are measured from an origin near to them before they are squared: the mean
of their first row. Since the rows of H have a variance of at least (their means' distance)^2 / H,
what the two sums of  var = sum d^2 / M - (sum d / M)^2  lose by cancelling is bounded by H, for
mean 10,000 and deviation 1 too. Rows are added up in x's dtype, and these sums in float64.

Where all means are as small as the deviations, no origin is subtracted: a pass less.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...device import Array
from .elementwise import cut
from .memory import SMALL, empty
from .rows import Scratch, Sums, blocks, grid, image, tiled

__all__ = [
    "add_bias", "add_bias_relu", "batch_norm", "batch_norm_grad", "batch_norm_relu",
    "batch_norm_relu_grad", "batch_norm_weight", "channel_affine", "channel_affine_relu", "moments",
    "move_running",
]  # fmt: skip

NEAR = 2.0  # deviations; an origin so near to the mean costs about as many roundings more
SLIGHT = 4.0  # what an origin may amount to in the result, for an error of two roundings of 1


@np.errstate(all="ignore")  # it is called outside of operators too, see Op.__call__
def moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) of every channel, in x's dtype; of no values 0."""
    exact = _few_moments(x) if x.nbytes < SMALL else exact_moments(image(x))
    mean, var = (stat.astype(x.dtype) for stat in exact)
    return mean, var


def _few_moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) of a small array, all of it in float64."""
    C, M = x.shape[1], x.size // max(x.shape[1], 1)
    if M == 0:
        return np.zeros(C), np.zeros(C)
    values = x.swapaxes(0, 1).reshape(C, M).astype(np.float64)
    mean = np.add.reduce(values, 1) / M
    values -= mean[:, None]
    return mean, np.einsum("cm,cm->c", values, values) / M


def move_running(running: Array, batch: Array, momentum: float) -> None:
    """running = (1 - momentum) running + momentum batch, in place."""
    running *= 1 - momentum
    running += momentum * batch


def exact_moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) in float64."""
    C, rows = x.shape[1], grid(x)
    M = x.size // max(C, 1)
    if M == 0:
        return np.zeros(C), np.zeros(C)
    origin, var = _first_row(rows, C)
    if (np.square(origin) <= NEAR**2 * var).all():
        origin[:] = 0
    origin = origin.astype(x.dtype)  # exactly what the rows are measured from
    sums, squares = _power_sums(rows, origin, x)
    rest = sums / M
    return origin + rest, np.maximum(squares / M - np.square(rest), 0)


def _first_row(rows: Array, C: int) -> tuple[Array, Array]:
    """(mean, variance) of the first row, in float64."""
    row = rows[0].reshape(-1, C).astype(np.float64)
    mean = row.mean(0)
    row -= mean
    return mean, np.square(row, out=row).mean(0)


def _power_sums(rows: Array, origin: Array, x: Array) -> tuple[Array, Array]:
    """(sum d, sum d^2) of d = x - origin; rows: grid(x)."""
    scratch, sums, squares = Scratch(rows.shape, x.dtype), Sums(rows, x.shape), Sums(rows, x.shape)
    moved, tile = bool(origin.any()), tiled(origin, x)
    for (part,) in blocks(rows):
        d = np.subtract(part, tile, out=scratch.like(part)) if moved else part
        sums.add(d)
        squares.add_product(d, d)
    return sums.by_channel(), squares.by_channel()


def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """y = weight (x - mean) r + bias,  r = 1 / sqrt(var + eps)."""
    return _affine(x, mean, weight / np.sqrt(var + eps), bias, _near(mean, var), False)


def batch_norm_relu(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> Array:
    """y = max(weight (x - mean) r + bias, 0)."""
    return _affine(x, mean, weight / np.sqrt(var + eps), bias, _near(mean, var), True)


def channel_affine(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    """y = (x - origin) scale + shift, each one number per channel."""
    return _affine(x, origin, scale, shift, bool((np.abs(origin * scale) <= SLIGHT).all()), False)


def channel_affine_relu(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    """y = max((x - origin) scale + shift, 0)."""
    return _affine(x, origin, scale, shift, bool((np.abs(origin * scale) <= SLIGHT).all()), True)


def _near(mean: Array, var: Array) -> bool:
    """Whether measuring from another origin than the mean costs next to no digits."""
    return bool((np.square(mean) <= NEAR**2 * var).all())


def _affine(x: Array, origin: Array, scale: Array, shift: Array, near: bool, relu: bool) -> Array:
    """y = (x - origin) scale + shift; then max(y, 0) if wanted.

    With an origin near 0 that is (x - moved) scale, moved = origin - shift / scale: a pass less.
    """
    if x.nbytes < SMALL:
        column = (1, -1, *(1,) * (x.ndim - 2))
        y = np.subtract(x, origin.reshape(column))
        y *= scale.reshape(column)
        y += shift.reshape(column)
        return np.maximum(y, 0, out=y) if relu else y
    values = image(x)
    y = empty(values.shape, x.dtype)
    moved = (origin - shift / scale.astype(np.float64)).astype(x.dtype) if near else origin
    near = near and bool(np.isfinite(moved).all())
    origin = tiled(moved if near else origin, values)
    scale, shift = tiled(scale, values), tiled(shift, values)
    for to, part in blocks(grid(y), grid(values)):
        np.subtract(part, origin, out=to)  # first, so that no two large products cancel
        np.multiply(to, scale, out=to)
        if not near:
            np.add(to, shift, out=to)
        if relu:
            np.maximum(to, 0, out=to)
    return y.reshape(x.shape)


def add_bias(x: Array, b: Array) -> Array:
    """y = x + b, one number per channel."""
    values = image(x)
    y = empty(values.shape, x.dtype)
    np.add(grid(values), tiled(b, values), out=grid(y))
    return y.reshape(x.shape)


def add_bias_relu(x: Array, b: Array) -> Array:
    """y = max(x + b, 0)."""
    values = image(x)
    y, shift = empty(values.shape, x.dtype), tiled(b, values)
    for to, part in blocks(grid(y), grid(values)):
        np.add(part, shift, out=to)
        np.maximum(to, 0, out=to)
    return y.reshape(x.shape)


def batch_norm_weight(gy: Array, x: Array, mean: Array, var: Array, eps: float) -> Array:
    """gw = sum gy (x - mean) r."""
    values, r = image(x), 1 / np.sqrt(var + eps)
    g, rows = grid(image(gy)), grid(values)
    gw, gb, near = Sums(rows, values.shape), Sums(rows, values.shape), _near(mean, var)
    scratch, origin = Scratch(rows.shape, x.dtype), tiled(mean, values)
    for v, part in blocks(g, rows):
        if near:
            gw.add_product(part, v)
            gb.add(v)
        else:
            gw.add_product(np.subtract(part, origin, out=scratch.like(part)), v)
    return np.asarray(r * (gw.by_channel() - mean * gb.by_channel()), x.dtype)


def batch_norm_grad(
    gy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    gw: Array,
    gb: Array,
    eps: float,
    M: int,
) -> Array:
    """gx = weight r (gy - gb/M - (x - mean) r gw/M),  M = values per channel."""
    values = image(x)
    gx = empty(values.shape, x.dtype)
    _input_rows(grid(gx), grid(image(gy)), values, weight, mean, var, gw, gb, eps, M)
    return gx.reshape(x.shape)


def _input_rows(
    gx: Array,
    gy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    gw: Array,
    gb: Array,
    eps: float,
    M: int,
) -> None:
    """batch_norm_grad of the grid gy into the grid gx, which may be the same."""
    r, M, near = 1 / np.sqrt(var + eps), max(M, 1), _near(mean, var)
    slope, level = -r * gw / M, -gb / M  # gx = weight r (gy + slope (x - mean) + level)
    if near:
        level = (level - mean.astype(np.float64) * slope).astype(x.dtype)
    a, origin, slope, level = (tiled(c, x) for c in (weight * r, mean, slope, level))
    rows = grid(x)
    scratch = Scratch(rows.shape, x.dtype)
    for to, g, part in blocks(gx, gy, rows):
        d = scratch.like(part)
        if near:
            np.multiply(part, slope, out=d)
        else:
            np.subtract(part, origin, out=d)
            np.multiply(d, slope, out=d)
        np.add(d, level, out=d)
        np.add(g, d, out=to)
        np.multiply(to, a, out=to)


def batch_norm_relu_grad(
    gy: Array,
    y: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    eps: float,
    M: int,
    totals: Callable[[Array, Array], tuple[Array, Array]],
) -> tuple[Array, Array, Array]:
    """(gx, gw, gb) of batch_norm_relu: relu_grad, both sums, and batch_norm_grad, in two walks.

    `totals` adds up (gw, gb) over the processes that share the batch. Between the walks gx holds
    what relu_grad gives.
    """
    values, r, near = image(x), 1 / np.sqrt(var + eps), _near(mean, var)
    gx, origin = empty(values.shape, x.dtype), tiled(mean, values)
    rows, out = grid(values), grid(gx)
    products, plain = Sums(rows, values.shape), Sums(rows, values.shape)
    drops, scratch = Scratch(rows.shape, np.bool_), Scratch(rows.shape, x.dtype)
    for to, g, result, part in blocks(out, grid(image(gy)), grid(image(y)), rows):
        drop = drops.like(result)
        np.less_equal(result, 0, out=drop)
        cut(g, drop, to)
        d = part if near else np.subtract(part, origin, out=scratch.like(part))
        products.add_product(to, d)
        plain.add(to)
    gw, gb = products.by_channel(), plain.by_channel()
    if near:
        gw -= mean * gb
    sums = np.asarray(r * gw, x.dtype), gb.astype(x.dtype)
    _input_rows(out, out, values, weight, mean, var, *totals(*sums), eps, M)
    return gx.reshape(x.shape), *sums
