"""Image files and arrays: read, write, resize. All pictures of the package are opened here.

Photos are uint8 H W 3 (RGB), labels uint8 H W (one class index per pixel). Pillow is imported when
a function needs it; this module imports nothing else of the package.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from PIL import Image

FilePath = str | os.PathLike[str]
UInt8 = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")

SENT = ("JPEG", "PNG", "WEBP")  # what browsers make; the fewer decoders, the fewer surprises
MOST_SCANS = 200  # of a progressive JPEG; cameras and editors write about ten

# Pillow unpacks grey PNGs of 2 and 4 bits to the full range 0..255; an index is what was stored.
GREY_STEP = {"L;2": 85, "L;4": 17}


class ImageError(ValueError):
    """A file that is no readable image, or not the kind of image that was asked for."""


class ImageSizeError(ImageError):
    """An image of more pixels than are wanted."""


def pictures_in(folder: FilePath) -> list[Path]:
    """The picture files of a folder, sorted by name; those that start with a dot are hidden."""
    return sorted(
        file
        for file in Path(folder).iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )


def read_image(path: FilePath) -> UInt8:
    """Read a photo of any kind that Pillow opens.

    The EXIF orientation is applied; grey, palette and CMYK become RGB; transparency is laid over
    white; 16-bit grey is scaled by 255/65535. Float pictures have no known range and are refused.

    Shape   H W 3
    """
    with opened("read_image", path, path) as image:
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)
        return np.array(to_rgb(upright, path))


def decode_image(data: bytes, *, name: str, most: int) -> UInt8:
    """Read a photo that a stranger sent: JPEG, PNG or WebP, of at most `most` pixels.

    The size is read from the header, before anything is unpacked. A JPEG of very many scans, each
    of which goes over all pixels, is refused too.

    Shape   H W 3
    """
    with opened("decode_image", io.BytesIO(data), name, SENT) as image:
        from PIL import ImageOps

        W, H = image.size
        if H * W > most:
            raise ImageSizeError(
                f"decode_image: {name}: has {H} x {W} = {H * W} pixels, expected at most {most}"
            )
        scans = data.count(b"\xff\xda") if image.format == "JPEG" else 0
        if scans > MOST_SCANS:
            raise ImageError(
                f"decode_image: {name}: has {scans} scans, expected at most {MOST_SCANS}"
            )
        return np.array(to_rgb(ImageOps.exif_transpose(image), name))


def read_label(path: FilePath) -> UInt8:
    """Read a label: the palette indices or grey values of a PNG, as they were stored.

    Shape   H W
    """
    with opened("read_label", path, path) as image:
        if image.format == "JPEG":
            raise ImageError(
                f"read_label: {path}: is a JPEG, whose compression changes class indices; use a PNG"
            )
        if image.mode not in ("P", "L", "1") and not image.mode.startswith("I"):
            raise ImageError(
                f"read_label: {path}: mode is {image.mode}, expected palette (P) or grey (L): "
                f"one class index per pixel"
            )
        step = GREY_STEP.get(_rawmode(image), 1)
        values = np.array(image).astype(np.int64) // step
    if values.min() < 0 or values.max() > 255:
        raise ImageError(
            f"read_label: {path}: class indices reach from {values.min()} to {values.max()}, "
            f"expected 0..255"
        )
    return values.astype(np.uint8)


def write_png(
    path: FilePath, array: UInt8, palette: ArrayLike | None = None, *, level: int = 6
) -> None:
    """Write a PNG: RGB from H W 3, grey or (with a palette of K RGB colours) indices from H W.

    `level` is that of zlib: 1 takes a third of the time of 6, and a photo gets an eighth larger.

    Shape   array: H W or H W 3, palette: K 3
    """
    from PIL import Image

    _check_picture("write_png", array)
    picture = Image.fromarray(np.ascontiguousarray(array))
    if palette is not None:
        picture.putpalette(_palette_bytes(array, palette))
    with write_aside(path) as file:
        picture.save(file, format="PNG", compress_level=level)


@contextmanager
def write_aside(path: FilePath) -> Iterator[BinaryIO]:
    """Open a file beside `path` that takes its place once it is complete and on the disk.

    Whoever reads `path` sees the old content or the whole new one; an exception leaves the old.
    """
    path = Path(path)
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(aside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:  # a full disk says what, but not where
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


def resize_image(image: UInt8, size: tuple[int, int]) -> UInt8:
    """Resize a picture to `size` = (H, W): bilinear, antialiased where it shrinks.

    Shape   h w [3] -> H W [3]
    """
    from PIL import Image

    _check_picture("resize_image", image)
    H, W = _check_size("resize_image", size)
    if image.shape[:2] == (H, W):
        return image.copy()
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.array(picture.resize((W, H), Image.Resampling.BILINEAR))


def resize_label(label: UInt8, size: tuple[int, int]) -> UInt8:
    """Resize a label to `size` = (H, W): the value at the nearest pixel centre.

        y_ij = x[floor((i + 1/2) h/H), floor((j + 1/2) w/W)]

    Shape   h w -> H W
    """
    if label.ndim != 2 or 0 in label.shape:
        raise ValueError(f"resize_label: label has shape {label.shape}, expected H W, both >= 1")
    H, W = _check_size("resize_label", size)
    h, w = label.shape
    i = (2 * np.arange(H) + 1) * h // (2 * H)
    j = (2 * np.arange(W) + 1) * w // (2 * W)
    resized: UInt8 = label[i[:, None], j]
    return resized


@contextmanager
def opened(
    reader: str,
    source: FilePath | io.BytesIO,
    path: FilePath,
    formats: tuple[str, ...] | None = None,
) -> Iterator[Image.Image]:
    """Open and decode a file; whatever Pillow says of a bad one becomes an ImageError naming it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source, formats=formats) as image:
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError:
        if isinstance(source, io.BytesIO):
            size, known = len(source.getbuffer()), f"of {', '.join(formats or ())}"
        else:
            size, known = os.path.getsize(source), "that Pillow knows"
        what = f"no image format {known}" if size else "an empty file"
        raise ImageError(f"{reader}: {path}: is {what}") from None
    except Exception as error:  # damaged bytes make Pillow's decoders raise almost any type
        if isinstance(error, OSError) and error.filename is not None:
            raise  # not found, no permission, a folder: the system's own message names the file
        raise ImageError(
            f"{reader}: {path}: cannot be decoded ({type(error).__name__}: {error})"
        ) from error


def _rawmode(image: Image.Image) -> str:
    """How the pixels lie in the file; Pillow forgets it when it loads them."""
    tiles = getattr(image, "tile", [])
    return str(tiles[0][3]) if tiles else ""


def to_rgb(image: Image.Image, path: FilePath) -> Image.Image:
    """Any mode as RGB, as `read_image` says."""
    from PIL import Image

    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", None)):
        raise ImageError(
            f"read_image: {path}: mode is {image.mode} (32 bits per pixel), whose range is not "
            f"known; convert it to 8 bits first"
        )
    if image.mode.startswith("I"):
        deep = np.array(image).astype(np.int64)
        image = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _check_picture(function: str, array: UInt8) -> None:
    if array.dtype != np.uint8:
        raise ValueError(f"{function}: array is {array.dtype}, expected uint8")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        raise ValueError(
            f"{function}: array has shape {array.shape}, expected H W or H W 3, both sides >= 1"
        )


def _check_size(function: str, size: tuple[int, int]) -> tuple[int, int]:
    H, W = size
    if H < 1 or W < 1:
        raise ValueError(f"{function}: size is {H} x {W} (H x W), expected both sides >= 1")
    return int(H), int(W)


def _palette_bytes(array: UInt8, palette: ArrayLike) -> Sequence[int]:
    colours = np.asarray(palette)
    if colours.ndim != 2 or colours.shape[1] != 3 or not 1 <= len(colours) <= 256:
        raise ValueError(
            f"write_png: palette has shape {colours.shape}, expected K 3 with K in 1..256"
        )
    if array.ndim != 2:
        raise ValueError(f"write_png: array has shape {array.shape}, expected H W with a palette")
    if array.max() >= len(colours):
        raise ValueError(
            f"write_png: index {array.max()} in array, but palette has {len(colours)} colours"
        )
    if colours.min() < 0 or colours.max() > 255:
        raise ValueError(
            f"write_png: palette has values {colours.min()}..{colours.max()}, expected 0..255"
        )
    flat: list[int] = colours.astype(np.uint8).ravel().tolist()
    return flat
