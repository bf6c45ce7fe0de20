"""FolderDataset: pairs of files, resizing at load, and errors that name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minifcn.data import Classes, DataError, FolderDataset
from minifcn.images import ImageError, resize_image, resize_label, write_png

CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"
VOID = 3


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def folder(tmp_path, rng):
    """Three pairs of 6 x 8 pixels: labels 0..2 and void 3, one label with a palette."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Classes(("sky", "road", "tree", "void"), void=VOID).save(tmp_path / "classes.json")
    for k, name in enumerate(("a", "b", "c")):
        image = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        label = rng.integers(0, 4, (6, 8), dtype=np.uint8)
        write_png(tmp_path / "images" / f"{name}.png", image)
        palette = [(9, 9, 9), (8, 0, 0), (0, 8, 0), (0, 0, 8)] if k == 1 else None
        write_png(tmp_path / "labels" / f"{name}.png", label, palette)
        np.savez(tmp_path / f"{name}.npz", image=image, label=label)
    return tmp_path


def truth(folder, name):
    with np.load(folder / f"{name}.npz") as arrays:
        return arrays["image"], arrays["label"]


def refused(words, folder, *arguments, read=None, error=ValueError, **keywords):
    """Build (and read) a dataset, expect an error whose message has all the words."""
    with pytest.raises(error) as caught:
        dataset = FolderDataset(folder, *arguments, **keywords)
        if read is not None:
            dataset[read]
    message = str(caught.value)
    assert not message.endswith(".")
    for word in words:
        assert str(word) in message


def test_images_and_labels_come_as_stored_whether_grey_or_palette(folder):
    dataset = FolderDataset(folder)
    assert dataset.names == ["a", "b", "c"] and len(dataset) == 3
    for i, name in enumerate(dataset.names):
        image, label = truth(folder, name)
        np.testing.assert_array_equal(dataset[i][0], image)
        np.testing.assert_array_equal(dataset[i][1], label)
        assert dataset.paths(i)[1] == folder / "labels" / f"{name}.png"


@pytest.mark.parametrize("i", [3, -1])
def test_an_index_outside_is_refused(folder, i):
    with pytest.raises(IndexError, match=rf"{i} of 3.*0\.\.2"):
        FolderDataset(folder)[i]


def test_size_resizes_image_and_label_at_load(folder):
    dataset = FolderDataset(folder, size=(3, 4))
    image, label = truth(folder, "b")
    np.testing.assert_array_equal(dataset[1][0], resize_image(image, (3, 4)))
    np.testing.assert_array_equal(dataset[1][1], resize_label(label, (3, 4)))


def test_cache_reads_once_and_keeps_read_only_arrays(folder):
    kept, fresh = FolderDataset(folder), FolderDataset(folder, cache=False)
    before = kept[0][0].copy()
    fresh[0]
    (folder / "images" / "a.png").unlink()
    np.testing.assert_array_equal(kept[0][0], before)
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0][0, 0, 0] = 1
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        fresh[0]


def test_split_reads_its_folder_and_the_classes_above(folder):
    val = folder / "val"
    val.mkdir()
    for part in ("images", "labels"):
        (folder / part).rename(val / part)
    by_split, by_path = FolderDataset(folder, "val"), FolderDataset(val)
    assert by_split.classes == by_path.classes == Classes.load(folder / "classes.json")
    np.testing.assert_array_equal(by_split[2][1], by_path[2][1])
    refused(["images", "val", "split"], folder)


def test_classes_beside_the_images_come_before_those_above(folder):
    split = folder / "val"
    split.mkdir()
    for part in ("images", "labels"):
        (folder / part).rename(split / part)
    own = Classes(("w", "x", "y", "z"))
    own.save(split / "classes.json")
    assert FolderDataset(folder, "val").classes == own


def test_void_that_has_no_name_is_allowed(folder):
    Classes(("sky", "road", "tree"), void=255).save(folder / "classes.json")
    label = np.full((6, 8), 255, dtype=np.uint8)
    write_png(folder / "labels" / "a.png", label)
    np.testing.assert_array_equal(FolderDataset(folder)[0][1], label)


def test_hidden_and_foreign_files_are_no_images(folder):
    (folder / "images" / "._a.png").write_bytes(b"resource fork")
    (folder / "images" / "notes.txt").write_text("hello")
    assert FolderDataset(folder).names == ["a", "b", "c"]


def test_a_photo_lies_as_its_exif_orientation_says(folder, rng):
    from PIL import Image

    stored = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to view
    Image.fromarray(stored).save(folder / "images" / "a.png", exif=exif)
    np.testing.assert_array_equal(FolderDataset(folder)[0][0], np.rot90(stored, -1))


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "I;16"])
def test_photos_of_other_kinds_become_rgb(folder, mode):
    from PIL import Image

    (folder / "images" / "a.png").unlink()
    suffix = "tif" if mode == "CMYK" else "png"
    grey = np.full((6, 8), 128, dtype=np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(grey)
        picture = picture.convert("P") if mode == "P" else picture.convert("RGB").convert(mode)
    picture.save(folder / "images" / f"a.{suffix}")
    image, _ = FolderDataset(folder)[0]
    assert image.shape == (6, 8, 3) and image.dtype == np.uint8
    assert abs(image.astype(int) - 128).max() <= 1


def test_missing_labels_are_all_reported_when_the_dataset_is_made(folder):
    for name in "abc":
        (folder / "labels" / f"{name}.png").unlink()
    refused(["labels", "3 of 3", "a.png", "b.png", "c.png"], folder, error=DataError)


def test_of_many_missing_labels_the_first_few_are_named(folder):
    for k in range(20):
        write_png(folder / "images" / f"x{k:02d}.png", np.zeros((2, 2, 3), dtype=np.uint8))
    refused(["20 of 23", "x00.png", "x04.png", "and 15 more"], folder, error=DataError)


def test_a_label_of_another_size_is_named_with_its_image(folder):
    write_png(folder / "labels" / "b.png", np.zeros((5, 8), dtype=np.uint8))
    words = [folder / "labels" / "b.png", folder / "images" / "b.png", "5 x 8", "6 x 8"]
    refused(words, folder, read=1, error=DataError)


def test_a_label_turned_against_its_photo_gets_a_hint(folder):
    write_png(folder / "labels" / "b.png", np.zeros((8, 6), dtype=np.uint8))
    refused(["8 x 6", "orientation"], folder, read=1, error=DataError)


@pytest.mark.parametrize("size", [None, (2, 2)])
def test_an_unknown_value_is_named_with_its_place_before_any_resizing(folder, size):
    label = np.zeros((6, 8), dtype=np.uint8)
    label[4, 7] = 77
    label[5, 0] = 78
    write_png(folder / "labels" / "c.png", label)
    words = [folder / "labels" / "c.png", "77", "row 4", "column 7", "2 pixels", "0..3"]
    refused(words, folder, read=2, size=size, error=DataError)


@pytest.mark.parametrize("part", ["images", "labels"])
@pytest.mark.parametrize("content", [b"", b"no picture at all", None])
def test_a_corrupt_file_is_named(folder, part, content):
    path = folder / part / "b.png"
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    refused([path], folder, read=1, error=ImageError)


def test_a_colour_picture_is_no_label(folder):
    write_png(folder / "labels" / "b.png", np.zeros((6, 8, 3), dtype=np.uint8))
    refused([folder / "labels" / "b.png", "RGB"], folder, read=1, error=ImageError)


def test_no_images_no_folder_no_classes(folder):
    refused(["nowhere", "images"], folder / "nowhere", error=DataError)
    (folder / "classes.json").unlink()
    refused(["classes.json", folder], folder, error=DataError)
    for file in (folder / "images").iterdir():
        file.unlink()
    refused([folder / "images", "no images", ".jpg"], folder, error=DataError)


def test_two_images_with_one_label_are_refused(folder):
    write_png(folder / "images" / "a.PNG.png", np.zeros((6, 8, 3), dtype=np.uint8))
    (folder / "images" / "a.PNG.png").rename(folder / "images" / "a.bmp")
    refused(["a.bmp", "a.png"], folder, error=DataError)


@pytest.mark.skipif(not CAMVID.is_dir(), reason="../shared/data/camvid is not here")
def test_camvid_reads_and_its_class_shares_are_those_of_its_readme():
    import json

    dataset = FolderDataset(CAMVID, "val")
    classes = dataset.classes
    assert len(dataset) == 101 and (classes.count, classes.void) == (11, 11)
    step = 10
    labels = np.stack([dataset[i][1] for i in range(0, 101, step)])
    share = np.bincount(labels.ravel(), minlength=12) / labels.size
    stated = json.loads((CAMVID / "classes.json").read_text())["class_fraction"]["val_480x360"]
    assert np.abs(share - stated).max() < 0.03  # one sequence: every tenth frame stands for all
