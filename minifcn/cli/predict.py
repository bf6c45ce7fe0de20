"""predict: Say what is where on photos of any size.

Large photos are shrunk to about the size of those that the network was trained on, unless --shrink
says otherwise. For each photo NAME, DIR gets NAME.png (the classes over the photo, with a legend),
NAME_classes.png (the class of each pixel as a palette image), and shares.json what share each has.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..images import SUFFIXES, pictures_in
from .arguments import folder, whole
from .common import add_device, check_device, count, write_json

EXAMPLES = """examples:
  minifcn predict runs/camvid street.jpg --out seen
  minifcn predict demo photos/ --out seen
  minifcn predict demo photos/ --out seen --device cuda
  minifcn predict runs/camvid huge.jpg --out seen --shrink 1 --memory 512
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN IMAGE... --out DIR [--shrink K] [--memory MB] [--device D]."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run, or a model file")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="photos, or folders of photos")
    parser.add_argument(
        "--out", metavar="DIR", type=folder, required=True, help="folder for the pictures"
    )
    parser.add_argument(
        "--shrink",
        metavar="K",
        type=whole(1),
        help="show the network photos K times smaller (by the size it was trained on)",
    )
    parser.add_argument(
        "--memory",
        metavar="MB",
        type=whole(1),
        default=1024,
        help="photos that need more go by tiles (1024)",
    )
    add_device(parser, "where to compute")


def run(arguments: argparse.Namespace) -> int:
    """Predict and draw every photo; a photo that cannot be read is named, the others are done."""
    from dataclasses import replace

    from ..images import ImageError, read_image
    from ..infer.predictor import Predictor

    check_device(arguments.device)
    loaded = Predictor.load(arguments.run_folder, arguments.device)
    predictor = replace(loaded, memory_limit=arguments.memory << 20)
    sized: dict[int, Predictor] = {}  # each measures its memory once
    photos = _photos(arguments.images)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, float]] = {}
    failed = 0
    try:
        for path in photos:
            try:
                photo = read_image(path)
            except (ImageError, OSError) as error:
                print(f"minifcn predict: {error}", file=sys.stderr)
                failed += 1
                continue
            k = arguments.shrink or predictor.shrink_for(photo)
            seen = sized.setdefault(k, replace(predictor, shrink=k))(photo)
            _draw(out / path.stem, photo, seen, predictor.classes)
            found[path.name] = {name: round(s, 6) for name, s in seen.shares.items() if s}
            print(_line(path.name, photo, k, seen))
    finally:  # after Ctrl-C too: the shares of all photos that were drawn
        write_json(out / "shares.json", found)
    print(f"{count(len(found), 'photo')} in {out}", file=sys.stderr)
    return 1 if failed else 0


def _draw(target: Path, photo: Any, seen: Any, classes: Any) -> None:
    """target.png, the classes over the photo, and target_classes.png, the class of each pixel."""
    from ..images import write_png
    from ..infer import figure

    write_png(target.with_name(f"{target.name}.png"), figure(photo, seen.class_map, classes))
    indices = target.with_name(f"{target.name}_classes.png")
    write_png(indices, seen.class_map, classes.palette())


def _line(name: str, photo: Any, k: int, seen: Any) -> str:
    """What was seen, the four largest shares first: `a.jpg (640 x 480, shrink 2, 0.1 s): ...`."""
    H, W = photo.shape[:2]
    largest = sorted(seen.shares.items(), key=lambda item: -item[1])[:4]
    words = ", ".join(f"{what} {100 * share:.1f} %" for what, share in largest if share)
    return f"{name} ({W} x {H}, shrink {k}, {seen.seconds:.2f} s): {words}"


def _photos(arguments: list[str]) -> list[Path]:
    """Files as they are, folders as the photos in them; no two may share a name."""
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
        for stem in (path.stem, f"{path.stem}_classes"):
            if first.setdefault(stem, path) != path:
                raise ValueError(
                    f"{first[stem]} and {path} would both be written to {stem}.png; run them apart"
                )
    return photos
