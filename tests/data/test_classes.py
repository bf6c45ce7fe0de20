"""Classes: what classes.json may say, and what is refused with the file and the entry named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minifcn.data import Classes, voc_colours


def write(path, **content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_save_and_load_give_the_same_value(tmp_path):
    classes = Classes(("himmel", "straße", "void"), ((1, 2, 3), (4, 5, 6), (0, 0, 0)), void=2)
    classes.save(tmp_path / "classes.json")
    assert Classes.load(tmp_path / "classes.json") == classes


def test_void_as_last_name_is_not_scored():
    classes = Classes(("a", "b", "void"), void=2)
    assert (classes.count, classes.scored, classes.values) == (2, ("a", "b"), (0, 1, 2))


def test_void_above_the_names_leaves_all_of_them_scored():
    classes = Classes(("a", "b"), void=255)
    assert (classes.count, classes.scored, classes.values) == (2, ("a", "b"), (0, 1, 255))


def test_no_void_scores_every_name():
    assert Classes(("a", "b")).count == 2
    assert Classes(("a", "b")).values == (0, 1)


def test_keys_that_are_not_ours_are_left_alone(tmp_path):
    path = write(tmp_path / "classes.json", names=["a", "b"], class_fraction={"train": [0.5, 0.5]})
    assert Classes.load(path) == Classes(("a", "b"))


def test_voc_colours_follow_the_definition():
    """Bit 3 m of the class is bit 7 - m of red, bit 3 m + 1 of green, bit 3 m + 2 of blue."""
    for k, colour in enumerate(voc_colours(256)):
        for channel in range(3):
            bits = f"{colour[channel]:08b}"
            assert bits[3:] == "00000"
            assert [int(bit) for bit in bits[:3]] == [
                (k >> (3 * m + channel)) & 1 for m in range(3)
            ]


def test_palette_has_a_colour_for_every_value():
    classes = Classes(("a", "b"), ((9, 8, 7), (6, 5, 4)), void=255)
    palette = classes.palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    assert palette[:2].tolist() == [[9, 8, 7], [6, 5, 4]]
    assert tuple(palette[255]) == voc_colours(256)[255]


def test_more_classes_than_a_label_holds_have_no_palette():
    many = Classes(tuple(f"c{k}" for k in range(257)))
    assert many.count == 257 and len(set(many.colours)) == 257
    with pytest.raises(ValueError, match="257 names, expected at most 256"):
        many.palette()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"names": []}, ["names", "empty"]),
        ({"names": ["a", 3]}, ["names[1]", "3"]),
        ({"names": ["a", "b", "a"]}, ["names[2]", "names[0]", "'a'"]),
        ({"names": ["a", "b"], "colours": [[1, 2, 3]]}, ["1 colours", "2 names"]),
        ({"names": ["a", "b"], "colours": [[1, 2, 3], [4, 5]]}, ["colours[1]", "(b)", "(4, 5)"]),
        ({"names": ["a", "b"], "colours": [[1, 2, 300], [4, 5, 6]]}, ["colours[0]", "300", "255"]),
        ({"names": ["a"], "colours": ["red"]}, ["colours[0]", "'red'"]),
        ({"names": ["a"], "colours": {"a": 1}}, ["colours", "expected a list"]),
        ({"names": ["a", "v", "b"], "void": 1}, ["void is 1 (v)", "b comes after", "0..count-1"]),
        ({"names": ["a", "b"], "void": 256}, ["void", "256", "0..255"]),
        ({"names": ["a", "b"], "void": True}, ["void", "True"]),
        ({"names": ["a"], "void": 0}, ["void", "no class is left"]),
        ({"colours": []}, ["names"]),
    ],
)
def test_a_wrong_entry_is_named_with_its_file(tmp_path, content, words):
    path = write(tmp_path / "classes.json", **content)
    with pytest.raises(ValueError) as caught:
        Classes.load(path)
    message = str(caught.value)
    assert not message.endswith(".")
    for word in [str(path), *words]:
        assert word in message


@pytest.mark.parametrize("content", [b"names: a, b", b"\xff\xfe{", b"", b"[1, 2]"])
def test_a_file_that_is_no_json_object_is_named(tmp_path, content):
    path = tmp_path / "classes.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"classes\.json"):
        Classes.load(path)
