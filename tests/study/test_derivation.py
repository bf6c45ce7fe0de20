"""The derivation as a table and as a drawing."""

import re
import xml.etree.ElementTree as ET
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifcn import nn
from minifcn.images import read_image
from minifcn.study import derivation
from minifcn.study.canvas import Box, Canvas, Strokes, Words
from minifcn.study.words import aligned, large

NARROW: dict[str, Any] = {"name": "fcn_vgg16", "width": 1}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("skips, crops", [(0, [19]), (1, [5, 27]), (2, [5, 9, 31])])
def test_the_table_tells_every_crop_and_why(skips, crops):
    table = derivation({**NARROW, "skips": skips}).table()
    told = [line.split() for line in table.splitlines()]
    assert [int(words[2]) for words in told if words[1:2] == ["crop"]] == crops
    formulas = [line.split(" = ") for line in table.splitlines() if " = " in line]
    assert [int(right) for _, right in formulas] == crops
    for left, right in formulas:
        (numbers,) = re.findall(r"\((\S+) - (\S+)\) / (\S+)", left)
        later, earlier, S = numbers
        assert (float(later) - float(earlier)) / float(S) == int(right)


def test_the_table_follows_the_map():
    for line in derivation(NARROW).table(moves=True).splitlines():
        words = line.split()
        if words[0] == "classifier.0":
            assert words[2:] == ["7", "1", "0", "32", "12.5", "404"]
            return
    raise AssertionError("fc6 is missing")


def test_without_crops_there_is_none_to_tell():
    assert "crop" not in derivation({**NARROW, "geometry": "zero"}).table()


def test_branches_that_lie_apart_are_told():
    class Askew(nn.Module):
        def __init__(self) -> None:
            self.pool = nn.AvgPool2d(2)
            self.conv = nn.Conv2d(1, 1, 3, stride=2, padding=1)

        def forward(self, x: Any) -> Any:
            return self.pool(x) + self.conv(x)

    assert "0.5 pixels apart" in derivation(Askew(), (1, 8, 8)).table()


def test_height_and_width_may_differ():
    table = derivation(nn.Conv2d(1, 1, (3, 5), (2, 1), (1, 0)), (1, 9, 9)).table()
    assert table.splitlines()[-1].split(maxsplit=2)[2].split("  ")[0] == "3 x 5"
    assert "2 x 1" in table and "0 x 2" in table


def test_the_drawing_is_whole_xml_with_a_row_for_every_move():
    found = derivation(NARROW)
    tree = ET.fromstring(found.svg())
    texts = [node.text for node in tree.iter(f"{SVG}text")]
    for words in ("image", "score_pool4  crop 5", "score_pool3  crop 9", "upscore8  crop 31"):
        assert words in texts
    width, height = (float(tree.attrib[k]) for k in ("width", "height"))
    for box in tree.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.attrib.get(k, 0)) for k in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= width + 0.01 and 0 <= y and y + h <= height


def test_a_band_lies_in_the_drawing_where_its_cells_lie_in_the_image():
    """By the colours: the image's own band, and the last crop's, cover the same columns."""
    tree = ET.fromstring(derivation(NARROW).svg())
    image = [box.attrib for box in tree.iter(f"{SVG}rect") if box.attrib["fill"] == "#e0a43a"]
    assert len(image) == 2
    assert image[0]["x"] == image[1]["x"] and image[0]["width"] == image[1]["width"]


def test_it_is_saved_as_svg_and_png(tmp_path):
    found = derivation(NARROW)
    found.save(tmp_path / "a.svg")
    found.save(tmp_path / "a.png")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == found.svg()
    picture = read_image(tmp_path / "a.png")
    tree = ET.fromstring(found.svg())
    assert picture.shape[1] == 2 * float(tree.attrib["width"])
    assert (picture == np.array([0xE0, 0xA4, 0x3A])).all(2).any(), "the image's band"
    with pytest.raises(ValueError, match=r"a\.gif: suffix is '\.gif', expected \.svg or \.png"):
        found.save(tmp_path / "a.gif")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg"]


def test_a_long_name_keeps_its_end():
    deep = nn.Sequential(nn.Conv2d(1, 1, 3, 2))
    for name in ("one_of_many_layers", "another_of_many_layers"):
        deep = nn.Sequential(OrderedDict({name: deep}))
    found = derivation(deep, (1, 20, 20))
    texts = [node.text or "" for node in ET.fromstring(found.svg()).iter(f"{SVG}text")]
    assert any(text.startswith("...") and text.endswith("layers.0  conv2d") for text in texts)
    assert "another_of_many_layers.one_of_many_layers.0" in str(found)


def test_words_in_a_drawing_cannot_break_it():
    canvas = Canvas(50, 20)
    canvas.add(Words(1, 1, 'a < b & "c"'), Box(1, 1, 5, 5, "#000000"))
    canvas.add(Strokes(((1, 1, 1, 19),), "#ff0000", dashed=True))
    assert 'a < b & "c"' in [node.text for node in ET.fromstring(canvas.svg()).iter(f"{SVG}text")]
    assert canvas.png()[:8] == b"\x89PNG\r\n\x1a\n"


def test_dashes_have_gaps_in_a_png_too(tmp_path):
    for dashed in (False, True):
        canvas = Canvas(20, 60)
        canvas.add(Strokes(((10, 2, 10, 58),), "#000000", dashed=dashed))
        (tmp_path / "a.png").write_bytes(canvas.png())
        dark = (read_image(tmp_path / "a.png") == 0).all(2).any(1)
        assert dark[6] and dark[76]
        assert dark[6:76].all() != dashed


@pytest.mark.parametrize(
    "number, text",
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (99_990, "99.99 k"), (2.5e12, "2.50 T")],
)
def test_large_numbers_in_few_digits(number, text):
    assert large(number) == text


def test_columns_stand_under_each_other():
    lines = aligned([["a", "1"], ["long", "22"]]).splitlines()
    assert lines == ["a      1", "long  22"]


def test_the_pictures_of_the_page_are_what_is_drawn_now(root: Path):
    """docs/images/fcn_*.svg are committed; whoever changes the drawing draws them anew."""
    for name, config in {
        "fcn_2015.svg": {"name": "fcn_vgg16"},
        "fcn_zero.svg": {"name": "fcn_vgg16", "geometry": "zero"},
    }.items():
        drawn = derivation({**config, "width": 1}).svg()
        committed = (root / "docs" / "images" / name).read_text(encoding="utf-8")
        assert drawn == committed, f"minifcn inspect fcn_vgg16 ... --draw docs/images/{name}"
