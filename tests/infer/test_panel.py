"""A panel shows every picture whole, at its row and column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from minifcn.infer.legend import Entry, legend, with_legend
from minifcn.infer.panel import panel

pytest.importorskip("PIL")


def flat(value, H, W):
    """A picture of one colour; text is grey, so nothing else on a sheet has it."""
    return np.broadcast_to(np.array([value, 0, 200], np.uint8), (H, W, 3))


def place_of(sheet, value):
    """Top, left, height and width of the rectangle of this colour; it must be whole."""
    same = (sheet == flat(value, 1, 1)).all(axis=2)
    i, j = np.flatnonzero(same.any(axis=1)), np.flatnonzero(same.any(axis=0))
    assert same[i[0] : i[-1] + 1, j[0] : j[-1] + 1].all()
    return i[0], j[0], len(i), len(j)


@given(st.lists(st.tuples(st.integers(240, 300), st.integers(100, 300)), min_size=6, max_size=6))
def test_pictures_stand_in_rows_and_columns(sizes):
    cells = [flat(80 + 3 * k, *size) for k, size in enumerate(sizes)]
    sheet = panel([cells[:3], cells[3:]], ["photo", "truth", "prediction"])
    places = [place_of(sheet, 80 + 3 * k) for k in range(6)]
    for (_, _, h, w), size in zip(places, sizes, strict=True):
        assert (h, w) == size
    top, left, height, width = np.array(places).reshape(2, 3, 4).transpose(2, 0, 1)
    assert (np.ptp(top, axis=1) == 0).all() and (np.ptp(left, axis=0) == 0).all()
    assert top[1].min() >= (top[0] + height[0]).max()
    for j in (0, 1):
        assert left[0, j + 1] >= (left[:, j] + width[:, j]).max()


def test_pictures_come_through_unchanged():
    photo = np.random.default_rng(0).integers(0, 256, (240, 30, 3), dtype=np.uint8)
    sheet = panel([[photo]], ["photo"])
    windows = sliding_window_view(sheet, photo.shape)
    assert (windows[:, :, 0, 0, 0] == photo[0, 0]).all(axis=2).any()
    hits = (windows[:, :, 0] == photo).all(axis=(2, 3, 4))
    assert hits.sum() == 1


def test_tiny_pictures_grow_by_one_whole_factor():
    sheet = panel([[flat(80, 96, 128), flat(90, 48, 64)]], ["a", "b"])
    assert place_of(sheet, 80)[2:] == (192, 256) and place_of(sheet, 90)[2:] == (96, 128)


def ink(part):
    return int((part < 100).all(axis=2).sum())


def columns_of_ink(part):
    return np.flatnonzero([ink(part[:, j : j + 1]) for j in range(part.shape[1])])


def test_titles_stand_over_their_columns_and_captions_below_their_rows():
    cells = [[flat(150, 200, 250)] * 2, [flat(160, 200, 250)] * 2]
    plain = panel(cells, ["", ""])
    titled = panel(cells, ["", "truth"])
    assert ink(plain) == 0
    j = columns_of_ink(titled)
    W = titled.shape[1]
    assert j[0] > W / 2 and (j[0] + j[-1]) / 2 == pytest.approx(W * 3 / 4, abs=5)
    for k, notes in enumerate([["mIoU 0.93", ""], ["", "mIoU 0.93"]]):
        noted = panel(cells, ["", ""], notes)
        i = columns_of_ink(noted.swapaxes(0, 1))
        left = noted[:, : W // 2]
        above, _, height, _ = place_of(left, 150 + 10 * k)
        below = len(noted) if k else place_of(left, 160)[0]
        assert len(i) > 8 and above + height <= i[0] <= i[-1] < below


def test_a_long_caption_is_not_cut():
    short = panel([[flat(150, 240, 240)]], [""], ["x" * 10])
    long = panel([[flat(150, 240, 240)]], [""], ["x" * 200])
    assert ink(long) == pytest.approx(20 * ink(short), rel=0.05)


def test_a_legend_stands_beside_or_below():
    entries = [Entry((200, 30, 40), "hot dog", "12 %"), Entry(None, "background", "88 %")]
    photo = flat(150, 300, 400)
    assert with_legend(photo, entries).shape[0] == 300
    wide = flat(150, 100, 900)
    assert with_legend(wide, entries).shape[1] == 900
    for picture in (photo, wide):
        sheet = with_legend(picture, entries)
        np.testing.assert_array_equal(sheet[: len(picture), : picture.shape[1]], picture)
        assert (sheet == np.array([200, 30, 40], np.uint8)).all(axis=2).sum() >= 81


def test_columns_of_a_legend_hold_every_entry():
    entries = [Entry((10 * k, 200, 0), f"class {k}", "1 %") for k in range(7)]
    for columns in range(1, 8):
        sheet = legend(entries, 14, columns)
        for entry in entries:
            assert (sheet == np.array(entry.colour, np.uint8)).all(axis=2).sum() >= 81, (
                columns,
                entry,
            )
    assert legend([], 14).ndim == 3


@pytest.mark.parametrize(
    "rows, titles, captions, words",
    [
        ([], ["a"], (), "0 rows and 1 titles"),
        ([[flat(0, 2, 2)]], ["a", "b"], (), "row 0 has 1 pictures, but there are 2 titles"),
        ([[flat(0, 2, 2)[..., 0]]], ["a"], (), r"picture 0 of row 0 has shape \(2, 2\)"),
        ([[flat(0, 2, 2)]], ["a"], ["x", "y"], "2 captions, but there are 1 rows"),
    ],
)
def test_panel_says_what_it_wants(rows, titles, captions, words):
    with pytest.raises(ValueError, match=f"panel: {words}"):
        panel(rows, titles, captions)
