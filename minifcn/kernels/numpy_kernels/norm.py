"""Batch normalisation over all axes of x (N C ...) but 1; mean, var, weight, bias: C.

Some rows of an image at a time go through all ufuncs of a formula while they are in the cache. What
is one number per channel is worked out first, so that an image takes few passes: subtract, multiply
and, unless it is merged with the subtraction, add.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...device import Array
from .elementwise import cut, relu_grad
from .halves import rounded, widened
from .memory import SMALL, empty
from .rows import Scratch, Sums, blocks, grid, image, tiled
from .statistics import exact_moments, few_moments, near_mean
from .threads import each, shares

__all__ = [
    "batch_norm", "batch_norm_grad", "batch_norm_relu", "batch_norm_relu_grad",
    "batch_norm_weight", "channel_affine", "channel_affine_relu", "moments", "move_running",
]  # fmt: skip

Totals = Callable[[Array, Array], tuple[Array, Array]]

SLIGHT = 4.0  # what an origin may amount to in the result, for an error of two roundings of 1


@np.errstate(all="ignore")  # it is called outside of operators too, see Op.__call__
def moments(
    x: Array,
    running: tuple[Array | None, Array | None] = (None, None),
    momentum: float = 0.0,
    count: Array | None = None,
) -> tuple[Array, Array]:
    """(mean, biased variance) of every channel, in float32 if x is half; of no values 0.

    On the way the running statistics move towards them, by the unbiased variance, if there are
    several values per channel; and the number of batches becomes one more.
    """
    x = widened(x)
    exact = few_moments(x) if x.nbytes < SMALL else exact_moments(image(x))
    mean, var = (stat.astype(x.dtype) for stat in exact)
    M = x.size // max(x.shape[1], 1)
    if M > 1:
        move_running(running, mean, var, momentum, M / (M - 1))
    if count is not None:
        count += 1
    return mean, var


def move_running(
    running: tuple[Array | None, Array | None],
    mean: Array,
    var: Array,
    momentum: float,
    unbias: float,
) -> None:
    """running = (1 - momentum) running + momentum (mean, unbias var), in place where not None."""
    for own, batch, factor in zip(running, (mean, var), (1.0, unbias), strict=True):
        if own is not None:
            own *= 1 - momentum
            own += momentum * (factor * batch)


@rounded
def batch_norm(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """y = weight (x - mean) r + bias,  r = 1 / sqrt(var + eps)."""
    return _affine(x, mean, weight / np.sqrt(var + eps), bias, near_mean(mean, var), False)


@rounded
def batch_norm_relu(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> Array:
    """y = max(weight (x - mean) r + bias, 0)."""
    return _affine(x, mean, weight / np.sqrt(var + eps), bias, near_mean(mean, var), True)


@rounded
def channel_affine(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    """y = (x - origin) scale + shift, each one number per channel."""
    return _affine(x, origin, scale, shift, bool((np.abs(origin * scale) <= SLIGHT).all()), False)


@rounded
def channel_affine_relu(x: Array, origin: Array, scale: Array, shift: Array) -> Array:
    """y = max((x - origin) scale + shift, 0)."""
    return _affine(x, origin, scale, shift, bool((np.abs(origin * scale) <= SLIGHT).all()), True)


def _affine(x: Array, origin: Array, scale: Array, shift: Array, near: bool, relu: bool) -> Array:
    """y = (x - origin) scale + shift; then max(y, 0) if wanted.

    With an origin near 0 that is (x - moved) scale, moved = origin - shift / scale: a pass less.
    """
    if x.nbytes < SMALL:
        y = np.subtract(x, _column(origin, x))
        y *= _column(scale, x)
        y += _column(shift, x)
        return np.maximum(y, 0, out=y) if relu else y
    values = image(x)
    y = empty(values.shape, x.dtype)
    moved = (origin - shift / scale.astype(np.float64)).astype(x.dtype) if near else origin
    near = near and bool(np.isfinite(moved).all())
    origin = tiled(moved if near else origin, values)
    scale, shift = tiled(scale, values), tiled(shift, values)
    out, rows = grid(y), grid(values)

    def work(share: slice) -> None:
        for to, part in blocks(out[share], rows[share]):
            np.subtract(part, origin, out=to)  # first, so that no two large products cancel
            np.multiply(to, scale, out=to)
            if not near:
                np.add(to, shift, out=to)
            if relu:
                np.maximum(to, 0, out=to)

    each(work, shares(len(out), out.size))
    return y.reshape(x.shape)


def _column(c: Array, x: Array) -> Array:
    """C as 1 C 1 1, to go with a small x."""
    return c.reshape(1, -1, *(1,) * (x.ndim - 2))


@rounded
def batch_norm_weight(gy: Array, x: Array, mean: Array, var: Array, eps: float) -> Array:
    """gw = sum gy (x - mean) r."""
    values, r = image(x), 1 / np.sqrt(var + eps)
    g, rows = grid(image(gy)), grid(values)
    gw, gb, near = Sums(rows, values.shape), Sums(rows, values.shape), near_mean(mean, var)
    scratch, origin = Scratch(rows.shape, x.dtype), tiled(mean, values)
    for v, part in blocks(g, rows):
        if near:
            gw.add_product(part, v)
            gb.add(v)
        else:
            gw.add_product(np.subtract(part, origin, out=scratch.like(part)), v)
    return np.asarray(r * (gw.by_channel() - mean * gb.by_channel()), x.dtype)


@rounded
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
    r, M, near = 1 / np.sqrt(var + eps), max(M, 1), near_mean(mean, var)
    slope, level = -r * gw / M, -gb / M  # gx = weight r (gy + slope (x - mean) + level)
    if near:
        level = (level - mean.astype(np.float64) * slope).astype(x.dtype)
    a, origin, slope, level = (tiled(c, x) for c in (weight * r, mean, slope, level))
    rows = grid(x)

    def work(share: slice) -> None:
        scratch = Scratch(rows[share].shape, x.dtype)
        for to, g, part in blocks(gx[share], gy[share], rows[share]):
            d = scratch.like(part)
            if near:
                np.multiply(part, slope, out=d)
            else:
                np.subtract(part, origin, out=d)
                np.multiply(d, slope, out=d)
            np.add(d, level, out=d)
            np.add(g, d, out=to)
            np.multiply(to, a, out=to)

    each(work, shares(len(rows), rows.size))


@rounded
def batch_norm_relu_grad(
    gy: Array,
    y: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    eps: float,
    M: int,
    totals: Totals,
) -> tuple[Array, Array, Array]:
    """(gx, gw, gb) of batch_norm_relu: relu_grad, both sums, and batch_norm_grad, in two walks.

    `totals` adds up (gw, gb) over the processes that share the batch. Between the walks gx holds
    what relu_grad gives.
    """
    if x.nbytes < SMALL:
        return _few_relu_grad(gy, y, x, weight, mean, 1 / np.sqrt(var + eps), max(M, 1), totals)
    values, r, near = image(x), 1 / np.sqrt(var + eps), near_mean(mean, var)
    gx, origin = empty(values.shape, x.dtype), tiled(mean, values)
    rows, out = grid(values), grid(gx)
    grads, results = grid(image(gy)), grid(image(y))

    def work(share: slice) -> tuple[Array, Array]:
        own = rows[share]
        products, plain = Sums(own, values.shape), Sums(own, values.shape)
        drops, scratch = Scratch(own.shape, np.bool_), Scratch(own.shape, x.dtype)
        for to, g, result, part in blocks(out[share], grads[share], results[share], own):
            drop = drops.like(result)
            np.less_equal(result, 0, out=drop)
            cut(g, drop, to)
            d = part if near else np.subtract(part, origin, out=scratch.like(part))
            products.add_product(to, d)
            plain.add(to)
        return products.by_channel(), plain.by_channel()

    found = each(work, shares(len(rows), rows.size))
    gw, gb = (sum(parts[1:], parts[0]) for parts in zip(*found, strict=True))
    if near:
        gw -= mean * gb
    sums = np.asarray(r * gw, x.dtype), gb.astype(x.dtype)
    _input_rows(out, out, values, weight, mean, var, *totals(*sums), eps, M)
    return gx.reshape(x.shape), *sums


def _few_relu_grad(
    gy: Array, y: Array, x: Array, weight: Array, mean: Array, r: Array, M: int, totals: Totals
) -> tuple[Array, Array, Array]:
    """batch_norm_relu_grad of small arrays, as the formulas have it."""
    axes = (0, *range(2, x.ndim))
    g, n = relu_grad(gy, y), np.subtract(x, _column(mean, x))
    n *= _column(r, x)
    sums = np.add.reduce(g * n, axes), np.add.reduce(g, axes)
    gw, gb = totals(*sums)
    gx = np.subtract(g, _column(gb / M, x))
    gx -= n * _column(gw / M, x)
    gx *= _column(weight * r, x)
    return gx, *sums
