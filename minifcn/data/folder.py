"""Photos and their labels in a folder.

    root/[split/]images/NAME.jpg   with   root/[split/]labels/NAME.png

classes.json stands in the folder of `images` or in the one above. Every complaint names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import (
    SUFFIXES,
    FilePath,
    UInt8,
    pictures_in,
    read_image,
    read_label,
    resize_image,
    resize_label,
)
from .classes import Classes


class DataError(ValueError):
    """A folder of images and labels that does not fit together; the message names the files."""


class FolderDataset:
    """Images with a class index per pixel, read from files in the order of their names.

    With `size` = (H, W) everything is resized as it is read: images bilinear and antialiased,
    labels to the nearest pixel. With `cache` what was read is kept (read-only). Labels may be
    palette or grey PNGs; photos lie as their EXIF orientation says.

    Shape   ds[i] -> image H W 3, label H W; both uint8
    """

    def __init__(
        self,
        root: FilePath,
        split: str | None = None,
        size: tuple[int, int] | None = None,
        cache: bool = True,
    ) -> None:
        self.folder = Path(root) if split is None else Path(root) / split
        self.size = size
        self.cache = cache
        images = _images(self.folder)
        self._pairs = _pairs(images, self.folder / "labels")
        self.classes_path = _classes_path(self.folder)
        self.classes = Classes.load(self.classes_path)
        self._known = np.isin(np.arange(256), self.classes.values)
        self._kept: dict[int, tuple[UInt8, UInt8]] = {}

    @property
    def names(self) -> list[str]:
        """The file names of the images without their suffix, sorted."""
        return [image.stem for image, _ in self._pairs]

    def paths(self, i: int) -> tuple[Path, Path]:
        """The files of image i and its label."""
        return self._pairs[self._index(i)]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, i: int) -> tuple[UInt8, UInt8]:
        i = self._index(i)
        if i in self._kept:
            return self._kept[i]
        image, label = self._read(*self._pairs[i])
        if self.size is not None:
            image, label = resize_image(image, self.size), resize_label(label, self.size)
        if self.cache:
            image.flags.writeable = label.flags.writeable = False
            self._kept[i] = image, label
        return image, label

    def __repr__(self) -> str:
        size = "as on disk" if self.size is None else f"{self.size[0]} x {self.size[1]}"
        return f"FolderDataset({str(self.folder)!r}: {len(self)} images, {size})"

    def _index(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise IndexError(
                f"FolderDataset: image {i} of {len(self)}, expected 0..{len(self) - 1}"
            )
        return int(i)

    def _read(self, image_path: Path, label_path: Path) -> tuple[UInt8, UInt8]:
        image, label = read_image(image_path), read_label(label_path)
        (H, W, _), (h, w) = image.shape, label.shape
        if (h, w) != (H, W):
            turned = (
                ", turned: does the label lack the photo's orientation?" if (w, h) == (H, W) else ""
            )
            raise DataError(
                f"FolderDataset: {label_path}: is {h} x {w} (H x W), "
                f"but its image {image_path} is {H} x {W}{turned}"
            )
        known = self._known[label]
        if not known.all():
            self._refuse(label, known, label_path)
        return image, label

    def _refuse(self, label: UInt8, known: NDArray[Any], path: Path) -> None:
        i, j = (int(k) for k in np.argwhere(~known)[0])
        K = len(self.classes.names)
        void = self.classes.void
        extra = f" and {void} (void)" if void is not None and void >= K else ""
        raise DataError(
            f"FolderDataset: {path}: value {label[i, j]} at row {i}, column {j} "
            f"({int((~known).sum())} pixels have unknown values), "
            f"expected 0..{K - 1}{extra} as in {self.classes_path}"
        )


def _images(folder: Path) -> list[Path]:
    """The image files, of which no two may share a label."""
    place = folder / "images"
    if not place.is_dir():
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "no such folder"
            raise DataError(f"FolderDataset: {folder}: {what}, expected a folder with images/")
        inside = sorted(f.parent.name for f in folder.glob("*/images"))
        hint = f"; there is {', '.join(inside)}: choose one as split" if inside else ""
        raise DataError(f"FolderDataset: {place}: no such folder, expected the images there{hint}")
    files = pictures_in(place)
    if not files:
        raise DataError(f"FolderDataset: {place}: no images found, expected {', '.join(SUFFIXES)}")
    stems: dict[str, Path] = {}
    for file in files:
        if stems.setdefault(file.stem, file) is not file:
            raise DataError(
                f"FolderDataset: {file} and {stems[file.stem].name} have one label, "
                f"{file.stem}.png, expected different names"
            )
    return files


def _pairs(images: list[Path], labels: Path) -> list[tuple[Path, Path]]:
    """Each image with its label; all that miss one are reported at once."""
    pairs = [(image, labels / f"{image.stem}.png") for image in images]
    missing = [label.name for _, label in pairs if not label.is_file()]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(
            f"FolderDataset: {labels}: {len(missing)} of {len(images)} labels are missing: "
            f"{', '.join(missing[:5])}{more}"
        )
    return pairs


def _classes_path(folder: Path) -> Path:
    places = (folder / "classes.json", folder.resolve().parent / "classes.json")
    for path in places:
        if path.is_file():
            return path
    raise DataError(
        f"FolderDataset: no classes.json, neither {places[0]} nor {places[1]}; expected "
        f'{{"names": [...], "void": index or null}}'
    )
