"""What is drawn over a photo is its classes; what stands beside it are their shares."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.infer.overlay import borders, figure, overlay, percent, shares

pytest.importorskip("PIL")

COLOURS = ((250, 10, 20), (30, 240, 40), (50, 60, 230), (245, 235, 5))
NAMES = ("tree", "hot dog", "bun", "plate")
SIDE = st.integers(1, 12)
SEED = st.integers(0, 2**32 - 1)


def scene(seed, H, W, K=4):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
    return image, rng.integers(0, K, (H, W), dtype=np.uint8)


@given(SIDE, SIDE, SEED, st.floats(0, 1))
def test_the_overlay_is_the_formula(H, W, seed, alpha):
    image, class_map = scene(seed, H, W)
    got = overlay(image, class_map, COLOURS, alpha=alpha, outline=False)
    for i in range(H):
        for j in range(W):
            for c in range(3):
                want = (1 - alpha) * image[i, j, c] + alpha * COLOURS[class_map[i, j]][c]
                assert abs(got[i, j, c] - want) <= 1


@given(SIDE, SIDE, SEED)
def test_clear_classes_stay_as_they_are(H, W, seed):
    image, class_map = scene(seed, H, W)
    got = overlay(image, class_map, COLOURS, alpha=1, clear=[0, 2])
    for k in range(4):
        want = (
            image if k in (0, 2) else np.broadcast_to(np.array(COLOURS[k], np.uint8), image.shape)
        )
        np.testing.assert_array_equal(got[class_map == k], want[class_map == k])


@given(SIDE, SIDE, SEED, st.integers(1, 3))
def test_borders_are_where_a_neighbour_differs(H, W, seed, width):
    _, class_map = scene(seed, H, W, K=2)
    got = borders(class_map, width)
    for i in range(H):
        for j in range(W):
            row = class_map[i, max(j - width, 0) : j + width + 1]
            column = class_map[max(i - width, 0) : i + width + 1, j]
            assert got[i, j] == bool(
                (row != class_map[i, j]).any() | (column != class_map[i, j]).any()
            )


def test_the_outline_has_the_full_colour():
    image, class_map = scene(0, 9, 9)
    class_map[:] = 0
    class_map[3:6, 3:6] = 1
    got = overlay(image, class_map, COLOURS, alpha=0)
    line = borders(class_map)
    np.testing.assert_array_equal(got[line], np.array(COLOURS, np.uint8)[class_map[line]])
    np.testing.assert_array_equal(got[~line], image[~line])
    assert line.any() and not line.all()


@given(SIDE, SIDE, SEED)
def test_shares_are_those_of_counting(H, W, seed):
    _, class_map = scene(seed, H, W)
    got = shares(class_map, NAMES)
    assert tuple(got) == NAMES and sum(got.values()) == pytest.approx(1)
    for k, name in enumerate(NAMES):
        assert got[name] == sum(v == k for v in class_map.ravel().tolist()) / (H * W)


def test_percent_never_hides_what_is_there():
    assert [percent(s) for s in (0.0, 0.0001, 0.0005, 0.1234, 1.0)] == [
        "0.0 %",
        "<0.1 %",
        "0.1 %",
        "12.3 %",
        "100.0 %",
    ]


# ------------------------------------------------------------------------------------------ figure


def rows_of(picture, colour):
    """The rows that hold a pixel of exactly this colour."""
    return np.flatnonzero((picture == np.array(colour, np.uint8)).all(axis=2).any(axis=1))


def test_the_legend_lists_what_occurs_the_largest_first():
    class_map = np.zeros((300, 300), np.uint8)
    class_map[:100] = 3
    class_map[100:110] = 1
    image = np.full((300, 300, 3), 128, np.uint8)
    got = figure(image, class_map, SimpleNamespace(names=NAMES, colours=COLOURS))
    np.testing.assert_array_equal(got[:300, :300], overlay(image, class_map, COLOURS))
    key = got[:, 300:]
    assert not rows_of(key, COLOURS[2]).size
    first = [rows_of(key, COLOURS[k])[0] for k in (0, 3, 1)]
    assert first == sorted(first) and len(set(first)) == 3
    assert (key < 100).all(axis=2).sum() > 50  # there are words


def test_background_is_the_photo_itself():
    image, class_map = scene(1, 300, 300)
    classes = SimpleNamespace(names=("Background", "a", "b", "c"), colours=COLOURS)
    got = figure(image, class_map, classes)
    np.testing.assert_array_equal(got[:300, :300][class_map == 0], image[class_map == 0])


@pytest.mark.parametrize(
    "H, W", [(1, 1), (1, 300), (300, 1), (7, 5), (30, 2000), (96, 128), (900, 60)]
)
def test_any_size_gives_a_figure_that_can_be_seen(H, W):
    image, class_map = scene(2, H, W)
    got = figure(image, class_map, SimpleNamespace(names=NAMES, colours=COLOURS))
    assert got.dtype == np.uint8 and got.ndim == 3
    assert max(got.shape[:2]) >= 240 and min(got.shape[:2]) >= 24
    assert got.shape[0] >= H and got.shape[1] >= W
    for k in np.unique(class_map):  # a swatch of at least 9 x 9 pixels
        same = (got == np.array(COLOURS[k], np.uint8)).all(axis=2)
        square = sum(same[i : i + 9].all(axis=0).sum() >= 9 for i in range(len(same) - 8))
        assert square, NAMES[k]


def test_names_beyond_ascii_are_drawn():
    class_map = np.zeros((240, 240), np.uint8)
    image = np.zeros((240, 240, 3), np.uint8)
    for name in ("Gebäude", "здание", "建物"):
        got = figure(image, class_map, SimpleNamespace(names=(name,), colours=COLOURS[:1]))
        assert (got[:, 240:] < 100).all(axis=2).sum() > 30


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "image, class_map, words",
    [
        (np.zeros((4, 5, 3)), np.zeros((4, 5), int), "image is float64 of shape"),
        (
            np.zeros((4, 5), np.uint8),
            np.zeros((4, 5), int),
            r"shape \(4, 5\), expected uint8 H W 3",
        ),
        (
            np.zeros((4, 5, 3), np.uint8),
            np.zeros((4, 6), int),
            r"class_map has shape \(4, 6\), but axis 1 \(W\) of image \(4, 5, 3\) is 5",
        ),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5)), "class_map is float64"),
        (np.zeros((1, 1, 3), np.uint8), np.full((1, 1), 4), r"has class 4, expected 0\.\.3"),
        (np.zeros((1, 1, 3), np.uint8), np.full((1, 1), -2), r"has class -2, expected 0\.\.3"),
    ],
)
def test_overlay_says_what_it_wants(image, class_map, words):
    with pytest.raises(ValueError, match=f"overlay: .*{words}"):
        overlay(image, class_map, COLOURS)


def test_other_mistakes():
    with pytest.raises(ValueError, match=r"overlay: alpha is 1.5, expected 0..1"):
        overlay(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), int), COLOURS, alpha=1.5)
    with pytest.raises(ValueError, match=r"shares: class_map has class 2, expected 0\.\.1"):
        shares(np.full((1, 1), 2), NAMES[:2])
