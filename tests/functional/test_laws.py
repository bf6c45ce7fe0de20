"""Laws that hold for every shape and window: broadcasting, pooling, resizing, padding, unfolding.

Nothing here compares with another implementation of the same formula; each law relates an operator
to itself, to its adjoint, or to NumPy's own broadcasting.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import minifcn as mf
import minifcn.functional as F


@pytest.fixture(autouse=True)
def on_every_device(device: str) -> Iterator[None]:
    """Every test of this file runs once per device: new tensors are made there."""
    with mf.device(device):
        yield


pairs = mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0)
seeds = st.integers(0, 1000)


def normal(shape: Any, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(tuple(shape))


def leaf(array: Any) -> mf.Tensor:
    return mf.tensor(array, requires_grad=True)


def summed_to(g: Any, shape: tuple[int, ...]) -> Any:
    """What a broadcast's gradient must be: every element collects from all its copies."""
    total = np.zeros(shape)
    source = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), g.shape)
    for place in np.ndindex(*g.shape):
        total.flat[source[place]] += g[place]
    return total


# ---- broadcasting ------------------------------------------------------------------------------

OPERATIONS: dict[str, tuple[Any, Any, Any]] = {  # y, dy/da, dy/db
    "add": (lambda a, b: a + b, lambda a, b: 1 + 0 * (a + b), lambda a, b: 1 + 0 * (a + b)),
    "sub": (lambda a, b: a - b, lambda a, b: 1 + 0 * (a + b), lambda a, b: -1 + 0 * (a + b)),
    "mul": (lambda a, b: a * b, lambda a, b: b + 0 * a, lambda a, b: a + 0 * b),
    "div": (lambda a, b: a / b, lambda a, b: 1 / b + 0 * a, lambda a, b: -a / b**2),
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(shapes=pairs, seed=seeds)
def test_arithmetic_broadcasts_as_numpy_and_sums_back(name: str, shapes: Any, seed: int) -> None:
    y, dy_da, dy_db = OPERATIONS[name]
    a, b = normal(shapes.input_shapes[0], seed), normal(shapes.input_shapes[1], seed + 1)
    b = np.asarray(np.sign(b) * (0.5 + abs(b)))  # away from a division by 0
    ta, tb = leaf(a), leaf(b)
    got = y(ta, tb)
    assert got.shape == shapes.result_shape
    np.testing.assert_allclose(got.numpy(), y(a, b), rtol=1e-13)
    gy = normal(shapes.result_shape, seed + 2)
    ga, gb = mf.grad(got, [ta, tb], mf.tensor(gy))
    np.testing.assert_allclose(
        ga.numpy(), summed_to(gy * dy_da(a, b), a.shape), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        gb.numpy(), summed_to(gy * dy_db(a, b), b.shape), rtol=1e-10, atol=1e-12
    )


@given(pairs, seeds)
def test_broadcasting_and_summing_are_adjoint(shapes: Any, seed: int) -> None:
    x, target = normal(shapes.input_shapes[0], seed), shapes.result_shape
    assert mf.adjoint_check(lambda x: x.broadcast_to(target), [x])


@given(st.lists(st.integers(0, 3), max_size=4), st.data())
def test_sums_over_any_axes(shape: list[int], data: st.DataObject) -> None:
    """A sum over several axes is the sums over each, in any order; numpy agrees."""
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True)) if shape else []
    x = normal(shape)
    got = mf.tensor(x).sum(axis=tuple(axes))
    np.testing.assert_allclose(got.numpy(), x.sum(axis=tuple(axes)), rtol=1e-12, atol=1e-13)
    one = mf.tensor(x)
    for axis in sorted(axes, reverse=True):
        one = one.sum(axis=axis)
    np.testing.assert_allclose(got.numpy(), one.numpy(), rtol=1e-12, atol=1e-13)


@given(st.integers(1, 3), st.integers(1, 4), st.floats(-5, 5))
def test_the_mean_of_a_constant_is_it_and_its_variance_is_none(n: int, m: int, c: float) -> None:
    x = mf.tensor(np.full((n, m), c))
    assert x.mean().item() == pytest.approx(c) and x.mean(axis=1).shape == (n,)
    assert x.var(correction=0).item() == pytest.approx(0, abs=1e-20)


# ---- pooling -----------------------------------------------------------------------------------


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Any]:
    """Legal arguments of a pooling, and an image that it fits."""
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    image = tuple(draw(st.integers(k, k + 4)) for k in kernel)
    options: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding}
    options["ceil_mode"] = draw(st.booleans())
    return {"image": image, "options": options}


@given(pools(), seeds)
def test_max_pooling_commutes_with_what_keeps_the_order(pool: Any, seed: int) -> None:
    """max f(x) = f(max x) for increasing f; pads never win, however negative f gets."""
    x = mf.tensor(normal((2, 2, *pool["image"]), seed))
    after = F.max_pool2d(x, **pool["options"]).exp() - 100.0
    before = F.max_pool2d(x.exp() - 100.0, **pool["options"])
    np.testing.assert_allclose(after.numpy(), before.numpy(), rtol=1e-14)


@given(pools(), seeds)
def test_max_pooling_finds_what_its_indices_say(pool: Any, seed: int) -> None:
    x = normal((2, 3, *pool["image"]), seed)
    y, where = F.max_pool2d(mf.tensor(x), **pool["options"], return_indices=True)
    flat = x.reshape(2, 3, -1)
    for n, c in np.ndindex(2, 3):
        assert np.array_equal(flat[n, c][where.numpy()[n, c]], y.numpy()[n, c])


@given(pools(), seeds)
def test_the_mean_lies_under_the_maximum(pool: Any, seed: int) -> None:
    x = mf.tensor(normal((1, 2, *pool["image"]), seed))
    most, mean = (
        F.max_pool2d(x, **pool["options"]),
        F.avg_pool2d(x, **pool["options"], count_include_pad=False),
    )
    assert most.shape == mean.shape and (mean.numpy() <= most.numpy() + 1e-12).all()


@given(pools(), st.floats(-3, 3))
def test_pooling_keeps_a_constant(pool: Any, value: float) -> None:
    x = mf.tensor(np.full((1, 1, *pool["image"]), value))
    for y in (
        F.max_pool2d(x, **pool["options"]),
        F.avg_pool2d(x, **pool["options"], count_include_pad=False),
    ):
        np.testing.assert_allclose(y.numpy(), value, rtol=1e-14)


@given(pools(), st.booleans())
def test_average_pooling_is_linear_with_a_right_adjoint(pool: Any, include: bool) -> None:
    def average(x: mf.Tensor) -> mf.Tensor:
        return F.avg_pool2d(x, **pool["options"], count_include_pad=include)

    assert mf.adjoint_check(average, [np.zeros((2, 1, *pool["image"]))])


@given(pools(), st.booleans())
def test_average_pooling_is_a_convolution_where_windows_are_full(pool: Any, include: bool) -> None:
    """Without padding and remainders, the mean is a convolution with 1 / (KH KW)."""
    options = {**pool["options"], "padding": 0, "ceil_mode": False}
    KH, KW = options["kernel_size"]
    x = mf.tensor(normal((2, 1, *pool["image"])))
    w = mf.tensor(np.full((1, 1, KH, KW), 1 / (KH * KW)))
    expected = F.conv2d(x, w, stride=options["stride"])
    np.testing.assert_allclose(
        F.avg_pool2d(x, **options, count_include_pad=include).numpy(), expected.numpy(), atol=1e-13
    )


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), seeds)
def test_adaptive_pooling_keeps_the_mean_of_what_divides(
    H: int, W: int, P: int, Q: int, seed: int
) -> None:
    x = normal((1, 2, H * P, W * Q), seed)
    y = F.adaptive_avg_pool2d(mf.tensor(x), (P, Q)).numpy()
    np.testing.assert_allclose(y, x.reshape(1, 2, P, H, Q, W).mean(axis=(3, 5)), atol=1e-13)
    once = F.global_avg_pool2d(mf.tensor(x)).numpy()
    np.testing.assert_allclose(once.ravel(), y.mean(axis=(2, 3)).ravel(), atol=1e-13)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), seeds)
def test_unpooling_puts_back_what_pooling_took(KH: int, KW: int, P: int, Q: int, seed: int) -> None:
    """Windows side by side: pool(unpool(pool(x))) = pool(x), and the rest is 0."""
    x = mf.tensor(np.abs(normal((2, 1, KH * P, KW * Q), seed)) + 1)
    y, where = F.max_pool2d(x, (KH, KW), return_indices=True)
    back = F.max_unpool2d(y, where, (KH, KW))
    assert np.array_equal(F.max_pool2d(back, (KH, KW)).numpy(), y.numpy())
    assert np.count_nonzero(back.numpy()) == y.numpy().size
    assert np.array_equal(back.numpy()[back.numpy() != 0], x.numpy()[back.numpy() != 0])


# ---- resizing ----------------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 6), st.integers(1, 6))
modes = st.sampled_from(
    [
        {"mode": "nearest"},
        {"mode": "nearest-exact"},
        {"mode": "bilinear", "align_corners": False},
        {"mode": "bilinear", "align_corners": True},
    ]
)


@given(sizes, sizes, modes)
def test_resizing_is_linear_with_a_right_adjoint(image: Any, size: Any, mode: Any) -> None:
    assert mf.adjoint_check(lambda x: F.interpolate(x, size, **mode), [np.zeros((1, 2, *image))])


@given(sizes, modes, seeds)
def test_resizing_to_the_same_size_changes_nothing(image: Any, mode: Any, seed: int) -> None:
    x = normal((2, 1, *image), seed)
    assert np.array_equal(F.interpolate(mf.tensor(x), image, **mode).numpy(), x)


@given(sizes, sizes, modes, seeds)
def test_resizing_stays_within_the_values(image: Any, size: Any, mode: Any, seed: int) -> None:
    """Weights are a mean: constants stay, and no value overshoots."""
    x = normal((1, 1, *image), seed)
    y = F.interpolate(mf.tensor(x), size, **mode).numpy()
    assert y.min() >= x.min() - 1e-12 and y.max() <= x.max() + 1e-12
    ones = F.interpolate(mf.tensor(np.ones((1, 1, *image))), size, **mode).numpy()
    np.testing.assert_allclose(ones, 1, rtol=1e-14)


@given(sizes, sizes, modes, seeds)
def test_resizing_separates_into_rows_and_columns(
    image: Any, size: Any, mode: Any, seed: int
) -> None:
    x = mf.tensor(normal((1, 1, *image), seed))
    (P, Q), (H, W) = size, image
    rows_first = F.interpolate(F.interpolate(x, (P, W), **mode), (P, Q), **mode)
    columns_first = F.interpolate(F.interpolate(x, (H, Q), **mode), (P, Q), **mode)
    np.testing.assert_allclose(rows_first.numpy(), columns_first.numpy(), atol=1e-13)


@given(sizes, st.integers(1, 4), st.integers(1, 4), seeds)
def test_nearest_by_whole_numbers_repeats(image: Any, a: int, b: int, seed: int) -> None:
    x = normal((1, 2, *image), seed)
    expected = x.repeat(a, axis=2).repeat(b, axis=3)
    for mode in ("nearest", "nearest-exact"):
        got = F.interpolate(mf.tensor(x), scale_factor=(a, b), mode=mode).numpy()
        assert np.array_equal(got, expected)


@given(st.integers(2, 6), st.integers(2, 12))
def test_aligned_corners_keep_corners_and_straight_lines(H: int, P: int) -> None:
    ramp = np.linspace(-1, 3, H).reshape(1, 1, H, 1)
    y = F.interpolate(mf.tensor(ramp), (P, 1), mode="bilinear", align_corners=True).numpy()
    np.testing.assert_allclose(y.ravel(), np.linspace(-1, 3, P), atol=1e-13)


# ---- padding and unfolding ---------------------------------------------------------------------

amounts = st.tuples(*[st.integers(0, 2)] * 4)


@given(sizes, amounts, seeds)
def test_cropping_undoes_padding_and_is_its_adjoint(image: Any, amount: Any, seed: int) -> None:
    x = normal((1, 2, *image), seed)
    left, right, top, bottom = amount
    padded = F.pad(mf.tensor(x), amount, value=9.0)
    H, W = image
    assert padded.shape == (1, 2, H + top + bottom, W + left + right)
    assert np.array_equal(F.crop(padded, top, left, H, W).numpy(), x)
    assert (padded.numpy() == 9.0).sum() == padded.numpy().size - x.size
    assert mf.adjoint_check(lambda x: F.pad(x, amount), [x])
    assert mf.adjoint_check(lambda x: F.pad(x, amount), [x], lambda y: F.crop(y, top, left, H, W))


@given(sizes, amounts, st.sampled_from(["reflect", "replicate"]), seeds)
def test_mirrored_and_repeated_borders_have_their_adjoints(
    image: Any, amount: Any, mode: str, seed: int
) -> None:
    left, right, top, bottom = amount
    assume(mode == "replicate" or (max(left, right) < image[1] and max(top, bottom) < image[0]))
    assert mf.adjoint_check(lambda x: F.pad(x, amount, mode=mode), [np.zeros((1, 1, *image))])


@given(pools(), seeds)
def test_folding_what_was_unfolded_counts_the_visits(pool: Any, seed: int) -> None:
    """fold(unfold(x)) = x fold(unfold(1)); and the two are each other's adjoint."""
    x = normal((1, 2, *pool["image"]), seed)
    options = {key: pool["options"][key] for key in ("kernel_size", "stride", "padding")}

    def unfold(x: mf.Tensor) -> mf.Tensor:
        return F.unfold(x, **options)

    def fold(col: mf.Tensor) -> mf.Tensor:
        return F.fold(col, pool["image"], **options)

    visits = fold(unfold(mf.tensor(np.ones_like(x)))).numpy()
    np.testing.assert_allclose(fold(unfold(mf.tensor(x))).numpy(), x * visits, atol=1e-12)
    assert np.array_equal(visits, np.round(visits)) and visits.max() <= np.prod(
        options["kernel_size"]
    )
    assert mf.adjoint_check(unfold, [x], fold)


# ---- nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, 2),
        lambda x: F.interpolate(x, (3, 3)),
        lambda x: F.pad(x, (1, 1, 1, 1)),
        lambda x: F.unfold(x, 2),
        lambda x: F.relu(x)[:, 1:],
        lambda x: F.cat([x, x], dim=0),
        lambda x: F.softmax(x, dim=1),
        lambda x: x.permute(1, 0, 2, 3),
    ],
)
def test_an_empty_batch_passes_through_and_back(call: Any) -> None:
    x = leaf(np.zeros((0, 2, 4, 5)))
    y = call(x)
    assert 0 in y.shape
    (g,) = mf.grad(y, x, mf.tensor(np.zeros(y.shape)))
    assert g.shape == x.shape
