"""Tiled inference gives what the whole image gives.

The stand-in network has small integer weights in float64: its sums are exact, so equality is exact
whatever the order of summation.
"""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.infer.tiles import plan, predict_classes

STRIDE = 4
K = 3
# The last convolution looks one pixel, and with it one 4x4 cell, beyond the cell of a pixel; below
# it lie a 3x3 convolution at each of the strides 4, 2 and 1.
RADIUS = 4 + 4 + 2 + 1


def conv3x3(x, w):
    """Zero-padded, one output slice at a time."""
    N, C, H, W = x.shape
    padded = np.zeros((N, C, H + 2, W + 2))
    padded[:, :, 1:-1, 1:-1] = x
    y = np.zeros((N, len(w), H, W))
    for o in range(len(w)):
        for c in range(C):
            for u in range(3):
                for v in range(3):
                    y[:, o] += w[o, c, u, v] * padded[:, c, u : u + H, v : v + W]
    return y


def pool2x2(x):
    """Max over 2x2 cells; an odd last row or column is a cell of its own (ceil mode)."""
    N, C, H, W = x.shape
    padded = np.full((N, C, H + H % 2, W + W % 2), -np.inf)
    padded[:, :, :H, :W] = x
    return np.maximum.reduce([padded[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)])


def enlarge(x, size):
    """Nearest upsampling by 2, cropped to a size."""
    return x.repeat(2, axis=2).repeat(2, axis=3)[:, :, : size[0], : size[1]]


def network(seed):
    """Three resolutions with skips: N 2 H W -> N K H W, stride 4."""
    rng = np.random.default_rng(seed)
    w1, w2, w3, w4 = (
        rng.integers(-2, 3, shape).astype(float)
        for shape in [(K, 2, 3, 3), (K, K, 3, 3), (K, K, 3, 3), (K, K, 3, 3)]
    )

    def forward(x):
        a = np.maximum(conv3x3(x, w1), 0)
        b = np.maximum(conv3x3(pool2x2(a), w2), 0)
        c = conv3x3(pool2x2(b), w3)
        b = b + enlarge(c, b.shape[2:])
        return conv3x3(a + enlarge(b, a.shape[2:]), w4)

    return forward


def image(seed, *shape):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(float)


SIDE = st.one_of(st.just(1), st.integers(1, 70))


@given(SIDE, SIDE, st.integers(1, 2), st.integers(0, 3), st.integers(40 * 40, 70 * 50))
def test_tiles_give_what_the_whole_image_gives(H, W, N, seed, pixels):
    forward, x = network(seed), image(seed, N, 2, H, W)
    got = predict_classes(
        forward, x, stride=STRIDE, margin=RADIUS, bytes_per_pixel=1, memory_limit=N * pixels
    )
    np.testing.assert_array_equal(got.class_map, forward(x).argmax(axis=1))


@pytest.mark.parametrize("margin, equal", [(RADIUS, 8), (RADIUS - STRIDE, 0)])
def test_the_margin_is_what_makes_it_so(margin, equal):
    """With one cell less, every one of eight images shows it somewhere."""
    same = 0
    for seed in range(8):
        forward, x = network(seed), image(seed, 1, 2, 128, 128)
        got = predict_classes(
            forward, x, stride=STRIDE, margin=margin, bytes_per_pixel=8, memory_limit=8 * 40 * 40
        )
        same += np.array_equal(got.class_map, forward(x).argmax(axis=1))
    assert same == equal


@pytest.mark.parametrize("N", [1, 3])
def test_no_tile_is_larger_than_the_limit(N):
    forward, x = network(0), image(0, N, 2, 64, 64)
    sizes = []

    def watched(tile):
        sizes.append(tile.shape[0] * tile.shape[2] * tile.shape[3])
        return forward(tile)

    predict_classes(
        watched, x, stride=STRIDE, margin=RADIUS, bytes_per_pixel=8, memory_limit=8 * 60 * 60
    )
    assert len(sizes) > 1 and max(sizes) <= 60 * 60


def test_a_misaligned_tile_would_differ():
    """Half a stride off, the pools see other cells."""
    forward, x = network(0), image(0, 1, 2, 64, 64)
    whole = forward(x)[:, :, 24:40, 24:40]
    aligned = forward(x[:, :, 8:56, 8:56])[:, :, 16:32, 16:32]
    off = forward(x[:, :, 10:54, 10:54])[:, :, 14:30, 14:30]
    np.testing.assert_array_equal(aligned, whole)
    assert not np.array_equal(off, whole)


@given(SIDE, SIDE, st.integers(0, 3))
def test_the_probability_is_that_of_the_softmax(H, W, seed):
    forward, x = network(seed), image(seed, 1, 2, H, W) / 16
    got = predict_classes(
        forward,
        x,
        stride=STRIDE,
        margin=RADIUS,
        bytes_per_pixel=1,
        memory_limit=40 * 40,
        probability=True,
    )
    logits = forward(x).astype(np.longdouble)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert got.probability is not None
    np.testing.assert_allclose(got.probability, softmax.max(axis=1), rtol=1e-5)


# -------------------------------------------------------------------------------------- the plan


@st.composite
def plans(draw):
    H, W = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    stride, margin = draw(st.sampled_from([1, 2, 3, 8, 32])), draw(st.integers(0, 40))
    smallest = stride + 2 * -(-margin // stride) * stride
    pixels = draw(st.integers(smallest**2, 2 * smallest**2 + 300**2))
    return (H, W), stride, margin, pixels


@given(plans())
def test_cores_cover_every_pixel_once(case):
    size, stride, margin, pixels = case
    rows, columns = plan(size, stride=stride, margin=margin, pixels=pixels)
    hits = np.zeros(size, int)
    for i in rows:
        for j in columns:
            hits[i.core, j.core] += 1
    assert (hits == 1).all()


@given(plans())
def test_windows_are_aligned_wide_enough_and_small_enough(case):
    size, stride, margin, pixels = case
    both = plan(size, stride=stride, margin=margin, pixels=pixels)
    for S, spans in zip(size, both, strict=True):
        for span in spans:
            assert span.start % stride == 0 and (span.stop % stride == 0 or span.stop == S)
            assert span.start == 0 or span.first - span.start >= margin
            assert span.stop == S or span.stop - span.last >= margin
            assert 0 <= span.start <= span.first < span.last <= span.stop <= S
            inside = slice(span.start + span.inner.start, span.start + span.inner.stop)
            assert inside == span.core
    rows, columns = both
    longest = max(i.stop - i.start for i in rows) * max(j.stop - j.start for j in columns)
    assert longest <= pixels


@given(st.integers(1, 300), st.integers(1, 300))
def test_what_fits_is_not_cut(H, W):
    rows, columns = plan((H, W), stride=8, margin=20, pixels=H * W)
    assert len(rows) == len(columns) == 1
    assert rows[0].window == slice(0, H) and columns[0].window == slice(0, W)


@pytest.mark.parametrize(
    "size, border, pixels",
    [((480, 360), 24, 40_000), ((64, 360), 40, 11_000), ((480, 300), 64, 40_000)],
)
def test_no_plan_is_cheaper(size, border, pixels):
    """Against every number of rows and columns, the cost counted tile by tile."""
    stride = 8

    def cut(S, count):
        units = -(-S // stride)
        edges = [min(k * units // count * stride, S) for k in range(count + 1)]
        return [
            min(b + border, S) - max(a - border, 0) for a, b in zip(edges, edges[1:], strict=False)
        ]

    costs = []
    for r in range(1, 61):
        for c in range(1, 46):
            heights, widths = cut(size[0], r), cut(size[1], c)
            if max(heights) * max(widths) <= pixels:
                costs.append(sum(heights) * sum(widths))
    rows, columns = plan(size, stride=stride, margin=border, pixels=pixels)
    work = sum(i.stop - i.start for i in rows) * sum(j.stop - j.start for j in columns)
    assert work == min(costs)


# ------------------------------------------------------------------------------------------ memory


def test_the_peak_stays_below_the_limit():
    """4000 x 3000 with 12 classes: logits of the whole would take 576 MB, the limit is 64 MB."""
    x = np.zeros((1, 3, 3000, 4000), np.uint8)
    x[0, 0, 5:, 7] = 11

    def forward(tile):
        logits = np.zeros((1, 12, *tile.shape[2:]), np.float32)
        logits[:, 11] = tile[:, 0]
        return logits

    tracemalloc.start()
    got = predict_classes(
        forward, x, stride=8, margin=40, bytes_per_pixel=12 * 4, memory_limit=64 << 20
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    want = np.zeros((1, 3000, 4000), np.uint8)
    want[0, 5:, 7] = 11
    np.testing.assert_array_equal(got.class_map, want)
    assert peak < (64 << 20) * 1.25 + got.class_map.nbytes


# ------------------------------------------------------------------------------------------ errors


def call(forward=lambda x: x, x=None, **changes):
    x = np.zeros((1, 2, 100, 90)) if x is None else x
    given = {"stride": 8, "margin": 30, "bytes_per_pixel": 10, "memory_limit": 10**6} | changes
    return predict_classes(forward, x, **given)


def test_a_limit_too_small_names_the_smallest_tile():
    with pytest.raises(ValueError, match=r"tiles of 40 pixels.*100 x 90 image is \d+ x \d+"):
        call(memory_limit=400)


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 0, 5), (0, 3, 5, 5)])
def test_x_of_another_shape(shape):
    with pytest.raises(ValueError, match="predict: x has shape .*expected N C H W"):
        call(x=np.zeros(shape))


def test_a_network_that_shrinks_its_image():
    with pytest.raises(ValueError, match=r"returned shape \(1, 2, 50, 45\).*1 K 100 90"):
        call(lambda x: x[:, :, ::2, ::2])


@pytest.mark.parametrize("k", [0, 1])
def test_a_network_that_gives_nan(k):
    def poisoned(x):
        y = x.copy()
        y[0, k, 7, 8] = np.nan
        return y

    with pytest.raises(ValueError, match="forward returned NaN logits"):
        call(poisoned)


def test_strides_and_margins():
    with pytest.raises(ValueError, match="stride is 0 and margin 30"):
        call(stride=0)
    with pytest.raises(ValueError, match="stride is 8 and margin -1"):
        call(margin=-1)


def test_the_first_of_equal_classes_wins_and_minus_infinity_never():
    def forward(x):
        logits = np.zeros((1, 300, *x.shape[2:]))
        logits[:, :298] = -np.inf
        return logits

    assert (call(forward).class_map == 298).all()


def test_a_limit_below_the_smallest_tile_says_how_much_would_do():
    """What the error asks for is enough; a little less is not."""
    forward, x = network(0), image(0, 1, 2, 200, 200)

    def predict(limit):
        predict_classes(
            forward, x, stride=STRIDE, margin=RADIUS, bytes_per_pixel=1, memory_limit=limit
        )

    with pytest.raises(ValueError, match="memory_limit allows") as caught:
        predict(100)
    smallest = int(re.findall(r"= (\d+) pixels", str(caught.value))[0])
    factor = float(re.findall(r"expected ([\d.]+) times the limit", str(caught.value))[0])
    assert factor == pytest.approx(smallest / 100, abs=0.05)
    predict(smallest)
    with pytest.raises(ValueError, match="memory_limit allows"):
        predict(smallest - 1)
    with pytest.raises(ValueError, match="memory_limit is 0, expected at least 1 byte"):
        predict(0)
