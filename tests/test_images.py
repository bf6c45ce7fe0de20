"""Picture files: what is read is what was drawn, and a bad file is named."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.images import (
    ImageError,
    read_image,
    read_label,
    resize_image,
    resize_label,
    write_aside,
    write_png,
)

pytest.importorskip("PIL")
from PIL import Image

SIDE = st.integers(1, 9)
SEED = st.integers(0, 2**32 - 1)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# ----------------------------------------------------------------------------------------- photos


@given(SIDE, SIDE, SEED)
def test_a_png_returns_what_was_written(tmp_path_factory, H, W, seed):
    path = tmp_path_factory.mktemp("png") / "photo.png"
    x = noise(seed, H, W, 3)
    write_png(path, x)
    np.testing.assert_array_equal(read_image(path), x)


def test_grey_is_repeated_over_the_channels(tmp_path):
    x = noise(0, 4, 5)
    write_png(tmp_path / "grey.png", x)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([x, x, x], axis=2))


def test_a_palette_picture_is_read_in_its_colours(tmp_path):
    palette = noise(1, 6, 3)
    index = noise(2, 4, 5) % 6
    write_png(tmp_path / "p.png", index, palette)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), palette[index])


def test_transparency_is_laid_over_white(tmp_path):
    x = noise(3, 4, 5, 4)
    x[..., 3] = np.where(x[..., 3] < 128, 0, 255)
    Image.fromarray(x).save(tmp_path / "rgba.png")
    opaque = x[..., 3:] == 255
    np.testing.assert_array_equal(
        read_image(tmp_path / "rgba.png"), np.where(opaque, x[..., :3], np.uint8(255))
    )


def test_half_transparency_lies_half_way_to_white(tmp_path):
    Image.new("RGBA", (1, 1), (0, 100, 200, 128)).save(tmp_path / "half.png")
    got = read_image(tmp_path / "half.png")[0, 0].astype(float)
    a = 128 / 255
    np.testing.assert_allclose(got, [255 - 255 * a, 255 - 155 * a, 255 - 55 * a], atol=1)


def test_a_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=1)
    assert read_image(tmp_path / "p.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_sixteen_bit_grey_is_scaled_by_its_range(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (16, 16), dtype=np.uint16)
    deep[0, :2] = 0, 65535
    Image.fromarray(deep).save(tmp_path / "deep.png")
    got = read_image(tmp_path / "deep.png")[..., 0]
    assert np.abs(got - deep * (255 / 65535)).max() <= 0.5


def test_cmyk_white_and_black(tmp_path):
    image = Image.new("CMYK", (2, 1))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.save(tmp_path / "c.tiff")
    assert read_image(tmp_path / "c.tiff").tolist() == [[[255] * 3, [0] * 3]]


def test_a_float_picture_is_refused(tmp_path):
    Image.fromarray(np.ones((2, 3), np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(ImageError, match="f.tiff.*mode is F"):
        read_image(tmp_path / "f.tiff")


# What the eight EXIF orientations ask a viewer to do with the stored rows.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(tmp_path, orientation):
    x = noise(4, 3, 5, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(x).save(tmp_path / "o.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "o.png"), UPRIGHT[orientation](x))


# ----------------------------------------------------------------------------------------- labels


@given(SIDE, SIDE, st.integers(1, 256), SEED)
def test_palette_labels_give_indices(tmp_path_factory, H, W, K, seed):
    path = tmp_path_factory.mktemp("label") / "label.png"
    label = (np.random.default_rng(seed).integers(0, K, (H, W))).astype(np.uint8)
    write_png(path, label, noise(seed, K, 3))
    np.testing.assert_array_equal(read_label(path), label)


def test_grey_labels_give_values(tmp_path):
    label = noise(5, 4, 5)
    write_png(tmp_path / "grey.png", label)
    np.testing.assert_array_equal(read_label(tmp_path / "grey.png"), label)


def grey_png(values: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, byte by byte from the format's specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    H, W = values.shape
    header = W.to_bytes(4, "big") + H.to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    rows = b""
    for row in values:
        text = "".join(format(value, f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_labels_of_few_bits_are_not_stretched(tmp_path, bits):
    label = noise(6, 5, 7) & ((1 << bits) - 1)
    (tmp_path / "few.png").write_bytes(grey_png(label, bits))
    np.testing.assert_array_equal(read_label(tmp_path / "few.png"), label)


def test_sixteen_bit_labels_within_a_byte_are_read(tmp_path):
    label = noise(7, 3, 4)
    Image.fromarray(label.astype(np.uint16)).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_label(tmp_path / "deep.png"), label)


def test_sixteen_bit_labels_beyond_a_byte_are_refused(tmp_path):
    Image.fromarray(np.array([[7, 300]], np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ImageError, match=r"deep\.png: class indices reach from 7 to 300"):
        read_label(tmp_path / "deep.png")


@pytest.mark.parametrize("mode, name", [("RGB", "c.png"), ("RGBA", "c.png"), ("L", "c.jpg")])
def test_colours_and_jpeg_are_no_labels(tmp_path, mode, name):
    Image.new(mode, (3, 2)).save(tmp_path / name)
    word = "JPEG" if name.endswith("jpg") else f"mode is {mode}"
    with pytest.raises(ImageError, match=f"{name}.*{word}"):
        read_label(tmp_path / name)


# -------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize("read", [read_image, read_label])
@pytest.mark.parametrize("content, reason", [(b"", "empty file"), (b"no picture", "no image form")])
def test_no_image(tmp_path, read, content, reason):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ImageError, match=f"{read.__name__}: .*bad.png.*{reason}"):
        read(tmp_path / "bad.png")


@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        read(tmp_path / "nowhere.png")


@pytest.mark.parametrize("name", ["whole.png", "whole.jpg", "whole.gif", "whole.webp"])
def test_a_file_cut_anywhere_is_named_or_complete(tmp_path, name):
    Image.fromarray(noise(8, 16, 16, 3)).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    cut = tmp_path / f"cut_{name}"
    failures = 0
    for end in range(0, len(content), max(1, len(content) // 40)):
        cut.write_bytes(content[:end])
        try:
            assert read_image(cut).shape == (16, 16, 3)
        except ImageError as error:
            assert cut.name in str(error)
            failures += 1
    assert failures > 30


@given(st.data())
def test_damaged_bytes_give_an_image_or_name_the_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "damaged.png"
    write_png(path, noise(9, 6, 6) % 4, noise(10, 4, 3))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    for read in (read_image, read_label):
        try:
            read(path)
        except ImageError as error:
            assert "damaged.png" in str(error)


# ---------------------------------------------------------------------------------------- writing


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "kept.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), write_aside(path) as file:
        file.write(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["kept.png"]


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match="No space left on device") as told, write_aside(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write to the file does
    assert told.value.filename == str(path) and told.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_the_old_content_stays_visible_until_the_new_is_complete(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_bytes(b"old")
    with write_aside(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    "array, palette, words",
    [
        (np.zeros((2, 2)), None, "array is float64, expected uint8"),
        (np.zeros((2, 2, 4), np.uint8), None, r"shape \(2, 2, 4\), expected H W or H W 3"),
        (np.zeros((0, 2), np.uint8), None, r"shape \(0, 2\)"),
        (np.full((2, 2), 3, np.uint8), [[0, 0, 0]] * 3, "index 3 .* palette has 3 colours"),
        (np.zeros((2, 2, 3), np.uint8), [[0, 0, 0]], r"expected H W with a palette"),
        (np.zeros((2, 2), np.uint8), [[0, 0, 256]], r"palette has values 0..256"),
        (np.zeros((2, 2), np.uint8), [[0, 0]], r"palette has shape \(1, 2\)"),
    ],
)
def test_write_png_says_what_it_wants(tmp_path, array, palette, words):
    with pytest.raises(ValueError, match=f"write_png: .*{words}"):
        write_png(tmp_path / "x.png", array, palette)
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------- resizing


@given(SIDE, SIDE, SIDE, SIDE, SEED)
def test_a_resized_label_takes_the_nearest_centre(h, w, H, W, seed):
    x = noise(seed, h, w)
    y = resize_label(x, (H, W))
    assert y.shape == (H, W) and y.dtype == x.dtype
    for i in range(H):
        for j in range(W):
            near = np.abs((np.arange(h) + 0.5) / h - (i + 0.5) / H)
            rows = np.flatnonzero(near <= near.min() + 1e-12)
            near = np.abs((np.arange(w) + 0.5) / w - (j + 0.5) / W)
            columns = np.flatnonzero(near <= near.min() + 1e-12)
            assert y[i, j] in x[np.ix_(rows, columns)]


@given(SIDE, SIDE, st.integers(1, 4), SEED)
def test_enlarging_a_label_by_a_whole_factor_repeats_it(h, w, factor, seed):
    x = noise(seed, h, w)
    want = x.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(resize_label(x, (h * factor, w * factor)), want)


@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 255))
def test_a_flat_image_stays_flat(h, w, H, W, value):
    y = resize_image(np.full((h, w, 3), value, np.uint8), (H, W))
    np.testing.assert_array_equal(y, np.full((H, W, 3), value, np.uint8))


def test_shrinking_an_image_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    y = resize_image(stripes, (8, 8))
    assert abs(y.astype(int) - 127).max() <= 16  # a point sample would give 0 or 255


def test_resize_halves_the_ramp():
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 8, axis=0)
    y = resize_image(ramp, (8, 32))
    np.testing.assert_allclose(y[0, 1:-1], (ramp[0, ::2] + 2.0)[1:-1], atol=1)


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 2)])
def test_an_empty_size_is_refused(size):
    for resize, x in ((resize_image, noise(0, 4, 4, 3)), (resize_label, noise(0, 4, 4))):
        with pytest.raises(ValueError, match=rf"{resize.__name__}: size is {size[0]} x {size[1]}"):
            resize(x, size)


def test_the_inputs_are_untouched():
    x = noise(11, 5, 6, 3)
    x.setflags(write=False)
    resize_image(x, (3, 3))
    resize_image(x, (5, 6))[:] = 0
    assert x.tobytes() == noise(11, 5, 6, 3).tobytes()


def test_paths_may_be_strings(tmp_path):
    write_png(str(tmp_path / "s.png"), noise(0, 2, 2, 3))
    assert read_image(str(tmp_path / "s.png")).shape == (2, 2, 3)
    assert Path(tmp_path / "s.png").stat().st_size > 0
