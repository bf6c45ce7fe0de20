"""things: what `locate` and `detect` share: photos in, boxes out as JSON in COCO's formats.

boxes.json    COCO's result format: a list of {image_id, category_id, bbox, score}
images.json   what the numbers mean: {"images": [{id, file_name, width, height}],
              "categories": [{id, name}]}
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..images import SUFFIXES, pictures_in
from .common import write_json


@dataclass(frozen=True)
class Area:
    """The least area of a thing, in pixels or as a share of the photo."""

    value: float
    relative: bool

    def pixels(self, photo: Any) -> int:
        """In pixels of that photo, at least 1."""
        H, W = photo.shape[:2]
        return max(1, round(self.value * H * W if self.relative else self.value))


def area(text: str) -> Area:
    """`200` pixels, or `0.5%` of the photo."""
    number = text.removesuffix("%")
    relative = number != text
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= (100 if relative else 1e12):
        raise ArgumentTypeError(
            f"got {text!r}, expected pixels such as 200, or a share of the photo such as 0.5%"
        )
    return Area(value / 100 if relative else value, relative)


@dataclass
class Findings:
    """The regions of all photos so far."""

    paths: Sequence[Path]
    names: Sequence[str]
    masks: bool = False
    images: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    def add(self, path: Path, photo: Any, regions: Sequence[Any]) -> None:
        """Note the regions of one photo."""
        from ..infer import coco_results

        H, W = photo.shape[:2]
        number = self._number(path)
        self.images.append({"id": number, "file_name": path.name, "width": W, "height": H})
        self.results += coco_results(regions, number, size=(H, W) if self.masks else None)

    def write(self, out: Path) -> None:
        """Write boxes.json and images.json."""
        categories = [{"id": k, "name": name} for k, name in enumerate(self.names)]
        write_json(out / "boxes.json", self.results)
        write_json(out / "images.json", {"images": self.images, "categories": categories})

    def _number(self, path: Path) -> int:
        """The photo's number in its name, as COCO's have one; else its place, from 1."""
        stems = [path.stem for path in self.paths]
        numbered = all(stem.isascii() and stem.isdigit() for stem in stems)
        if numbered and len({int(stem) for stem in stems}) == len(stems):
            return int(path.stem)
        return self.paths.index(path) + 1


def photos_of(arguments: Sequence[str], endings: Sequence[str] = ("",)) -> list[Path]:
    """Files as they are, folders as the photos in them.

    A photo NAME gives NAME + ending + .png for each of `endings`; no two may be the same.
    """
    photos: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            inside = pictures_in(path)
            if not inside:
                raise ValueError(f"{path} has no photo in it ({', '.join(SUFFIXES)})")
            photos += inside
        elif path.is_file():
            photos.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
    first: dict[str, Path] = {}
    for path in photos:
        for target in (f"{path.stem}{ending}" for ending in endings):
            if first.setdefault(target, path) != path:
                raise ValueError(
                    f"{first[target]} and {path} would both be written to {target}.png; "
                    f"run them apart"
                )
    return list(dict.fromkeys(photos))


def readable(command: str, paths: Sequence[Path]) -> Iterator[tuple[Path, Any]]:
    """Each photo with its path; of one that cannot be read, why, and None."""
    from ..images import ImageError, read_image

    for path in paths:
        try:
            photo = read_image(path)
        except (ImageError, OSError) as error:
            print(f"minifcn {command}: {error}", file=sys.stderr)
            yield path, None
        else:
            yield path, photo
