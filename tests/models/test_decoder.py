"""Upsampling blocks are bilinear at first, for any factor and place; joins are what they say."""

from typing import cast

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn import nn
from minifcn.models.decoder import SkipJoin, UpsampleBlock, enlarging, fitted
from minifcn.shapes import ShapeError

FACTORS = [1, 2, 3, 4, 5, 7, 8, 16]


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(module, *arrays, **options):
    with mf.no_grad():
        return module(*(mf.tensor(a) for a in arrays), **options).numpy()


def between(x, f, D, P):
    """Rows of x at fine pixels 0 .. P - 1: pixel j lies at cell (j - D) / f, by plain loops."""
    y = np.full((*x.shape[:2], P, x.shape[3]), np.nan)
    for j in range(P):
        place = (j - D) / f
        low = int(np.floor(place))
        if low == place and 0 <= low < x.shape[2]:
            y[:, :, j] = x[:, :, low]
        elif 0 <= low < x.shape[2] - 1:
            y[:, :, j] = (low + 1 - place) * x[:, :, low] + (place - low) * x[:, :, low + 1]
    return y


@pytest.mark.parametrize("f", FACTORS)
def test_every_offset_is_bilinear_between_the_cells(f):
    """Against plain loops; where a pixel lies beyond the outermost cells, it fades into zeros."""
    x = image(2, 3, 5, 4)
    for D in np.arange(0, f - 0.5, 0.5):
        y = run(enlarging(3, f, D), x)
        H, W = y.shape[2:]
        assert H >= 5 * f and W >= 4 * f or (f - 1) / 2 != D
        rows = between(x.astype(np.float64), f, D, H)
        wanted = between(rows.swapaxes(2, 3), f, D, W).swapaxes(2, 3)
        inside = ~np.isnan(wanted)
        assert inside.mean() > 0.2
        assert np.abs(y - wanted)[inside].max() < 1e-5


@pytest.mark.parametrize("mode", ["transposed", "resize"])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("f", FACTORS)
def test_blocks_start_as_the_resize(f, grouped, mode, device):
    x = image(1, 2, 6, 7)
    block = UpsampleBlock(2, f, mode, grouped=grouped).to(device)
    with mf.no_grad():
        y = block(mf.tensor(x, device=device)).numpy()
    wanted = F.interpolate(mf.tensor(x), (6 * f, 7 * f), mode="bilinear", align_corners=False)
    assert y.shape == (1, 2, 6 * f, 7 * f)
    cut = f if mode == "transposed" else 0
    inside = np.s_[:, :, cut : 6 * f - cut, cut : 7 * f - cut]
    assert np.abs(y - wanted.numpy())[inside].max() < 1e-5


@pytest.mark.parametrize("mode", ["transposed", "resize"])
@pytest.mark.parametrize("size", [(13, 20), (1, 1), (15, 21), (17, 23)])
def test_a_size_that_is_asked_for_is_given(size, mode):
    assert run(UpsampleBlock(2, 3, mode), image(1, 2, 5, 7), size=size).shape == (1, 2, *size)


@pytest.mark.parametrize("mode", ["transposed", "resize"])
def test_frozen_blocks_do_not_learn_and_others_do(mode):
    for frozen in (True, False):
        block = UpsampleBlock(2, 3, mode, frozen)
        learning = [p for p in block.parameters() if p.requires_grad]
        assert bool(learning) != frozen
        if not frozen:
            block(mf.tensor(image(1, 2, 3, 3))).sum().backward()
            assert all(p.grad is not None and p.grad.numpy().any() for p in learning)


def test_grouped_blocks_mix_no_channels():
    for grouped, shape in ((False, (6, 6, 8, 8)), (True, (6, 1, 8, 8))):
        (weight,) = UpsampleBlock(6, 4, grouped=grouped).parameters()
        assert weight.shape == shape
    x = image(1, 6, 3, 3)
    assert np.allclose(run(UpsampleBlock(6, 4), x), run(UpsampleBlock(6, 4, grouped=True), x))


def test_the_sum_is_a_score_that_starts_at_zero():
    y, skip = image(1, 2, 4, 5), image(1, 3, 4, 5, seed=1)
    join = SkipJoin(2, 3)
    assert np.array_equal(run(join, y, skip), y)
    w = image(2, 3, 1, 1, seed=2)
    join.score.load_state_dict({"weight": w, "bias": np.array([1.0, -1.0], np.float32)})
    wanted = y + np.einsum("oc,nchw->nohw", w[:, :, 0, 0], skip) + np.array([1, -1])[:, None, None]
    assert np.abs(run(join, y, skip) - wanted).max() < 1e-5


def test_the_skip_is_cropped_where_it_begins_earlier():
    y, skip = np.zeros((1, 1, 4, 5), np.float32), image(1, 1, 9, 9)
    join = SkipJoin(1, 1, crop=(2, 3))
    join.score.load_state_dict({"weight": np.ones((1, 1, 1, 1), np.float32)}, strict=False)
    assert np.array_equal(run(join, y, skip), skip[:, :, 2:6, 3:8])
    assert run(join, image(1, 1, 20, 20), skip).shape == (1, 1, 7, 6), "the smaller of the two"
    with pytest.raises(ShapeError, match="of skip is 2, expected more than crop 2"):
        run(join, y, skip[:, :, :2])


def test_concatenation_sees_both():
    y, skip = image(1, 2, 4, 5), image(1, 3, 4, 5, seed=1)
    join = SkipJoin(2, 3, "concat", generator=np.random.default_rng(0))
    first = run(join, y, skip)
    assert first.shape == y.shape and (first >= 0).all()
    both = np.concatenate([y, skip], 1)
    plain = nn.Conv2d(5, 2, 3, padding=1)
    plain.load_state_dict(join.mix.state_dict())
    assert np.allclose(first, np.maximum(run(plain, both), 0))
    assert not np.allclose(first, run(join, y + 1, skip))
    assert not np.allclose(first, run(join, y, skip + 1))


def test_fitted_cuts_and_repeats():
    x = image(1, 1, 3, 4)
    assert np.array_equal(run(lambda t: fitted(t, (2, 3)), x), x[:, :, :2, :3])
    longer = run(lambda t: fitted(t, (5, 3)), x)
    assert np.array_equal(longer, x[:, :, [0, 1, 2, 2, 2], :3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: UpsampleBlock(2, 0), "factor is 0"),
        (lambda: UpsampleBlock(2, 2, "nearest"), "mode is 'nearest'"),
        (lambda: UpsampleBlock(2, 2, frozen=cast(bool, 3)), "frozen is 3"),
        (lambda: UpsampleBlock(2, 3, offset=0.25), "offset is 0.25 for factor 3"),
        (lambda: UpsampleBlock(2, 3, offset=3), "offset is 3 for factor 3"),
        (lambda: UpsampleBlock(2, 3, "resize", offset=0), "offset is 0 with mode 'resize'"),
        (lambda: SkipJoin(2, 3, "product"), "how is 'product'"),
        (lambda: SkipJoin(2, 3, crop=-1), "crop"),
    ],
)
def test_nonsense_is_refused_by_name(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()
