"""detect: Find things: boxes with class and score, from any network that says what is where.

MODEL is a run, a file of minifcn, or weights of a known network. A thing is what hangs together of
one class; its score is the mean probability inside. What is called "background" is no thing. For
each photo NAME, DIR gets NAME.png, the things over the photo; boxes.json has them in COCO's result
format, and images.json says what its numbers mean.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from .arguments import folder
from .class_names import find_classes
from .common import add_device, add_sizes, check_device, count, open_predictor
from .things import Findings, area, photos_of, readable

EXAMPLES = """examples:
  minifcn detect demo photo.jpg --out found
  minifcn detect espnet.pth street/ --out found --classes car,pedestrian
  minifcn detect runs/camvid street/ --out found --threshold 0.6 --threshold car=0.8
  minifcn detect demo photos/ --out found --minimum-area 200 --masks
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL PHOTO... --out DIR, what counts as a thing, and where to compute."""
    parser.add_argument("weights", metavar="MODEL", help="folder of a run, or a file of weights")
    parser.add_argument("photos", metavar="PHOTO", nargs="+", help="photos, or folders of photos")
    parser.add_argument(
        "--out", metavar="DIR", type=folder, required=True, help="folder for the pictures"
    )
    parser.add_argument("--model", metavar="NAME", help="which network, if the file does not tell")
    parser.add_argument(
        "--classes", metavar="NAMES", help="look for these only, with commas between"
    )
    parser.add_argument(
        "--threshold",
        metavar="[CLASS=]P",
        action="append",
        default=[],
        type=threshold,
        help="least score of a thing, for all classes or for one (0.5)",
    )
    parser.add_argument(
        "--minimum-area",
        metavar="AREA",
        type=area,
        default=area("0.1%"),
        help="least area, in pixels, or as a share of the photo (0.1%%)",
    )
    parser.add_argument("--masks", action="store_true", help="boxes.json has the outlines too")
    add_sizes(parser)
    add_device(parser, "where to compute")


def threshold(text: str) -> tuple[str, float]:
    """`0.6` for all classes, or `car=0.6` for one."""
    name, _, value = text.rpartition("=")
    try:
        least = float(value)
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected 0..1, as 0.6 or car=0.6")
    return name.strip(), least


def run(arguments: argparse.Namespace) -> int:
    """Look at every photo; one that cannot be read is named, the others are done."""
    check_device(arguments.device)
    opened = open_predictor(arguments.weights, arguments.model, arguments.device)
    predictor = replace(opened, memory_limit=arguments.memory << 20)
    names = predictor.classes.names
    rules = {
        "classes": names,
        "thresholds": _thresholds(arguments.threshold, names),
        "clear": _clear(arguments.classes, names),
    }
    photos = photos_of(arguments.photos)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    findings = Findings(photos, names, masks=arguments.masks)
    sized: dict[int, Any] = {}  # each measures its memory once
    failed = 0
    try:
        for path, photo in readable("detect", photos):
            if photo is None:
                failed += 1
                continue
            start = time.perf_counter()
            k = arguments.shrink or predictor.shrink_for(photo)
            see = sized.setdefault(k, replace(predictor, shrink=k))
            found = _things(see, photo, arguments.minimum_area.pixels(photo), rules)
            seconds = time.perf_counter() - start
            _draw(out / f"{path.stem}.png", photo, found, predictor.classes)
            findings.add(path, photo, found)
            print(_line(path.name, photo, k, seconds, found))
    finally:  # after Ctrl-C too: all that was found so far
        findings.write(out)
    print(
        f"{count(len(findings.results), 'thing')} on {count(len(findings.images), 'photo')} "
        f"in {out}",
        file=sys.stderr,
    )
    return 1 if failed else 0


def _thresholds(given: list[tuple[str, float]], names: tuple[str, ...]) -> dict[str, float]:
    """For each class the last that was given for it, else the last for all."""
    common = [least for name, least in given if not name]
    limits = dict.fromkeys(names, common[-1] if common else 0.5)
    for name, least in given:
        if name:
            limits.update({names[k]: least for k in find_classes(name, [(n,) for n in names])})
    return limits


def _clear(asked: str | None, names: tuple[str, ...]) -> list[int] | None:
    """The classes that are no things; None: the background alone."""
    if asked is None:
        return None
    wanted = find_classes(asked, [(name,) for name in names])
    return [k for k in range(len(names)) if k not in wanted]


def _things(see: Any, photo: Any, least: int, rules: dict[str, Any]) -> list[Any]:
    from ..infer import regions

    seen = see(photo, probability=True)
    return regions(seen.class_map, seen.probability, minimum_area=least, **rules)


def _draw(path: Path, photo: Any, found: list[Any], classes: Any) -> None:
    """The things in their colours over the photo, each in its box."""
    import numpy as np

    from ..images import write_png
    from ..infer import draw_boxes, overlay

    nothing = len(classes.names)
    class_map = np.full(photo.shape[:2], nothing, np.int32)
    for region in found:
        x, y, width, height = region.box
        class_map[y : y + height, x : x + width][region.mask] = region.category
    drawn = overlay(photo, class_map, (*classes.colours, (0, 0, 0)), clear=[nothing])
    write_png(path, draw_boxes(drawn, found, classes.colours))


def _line(name: str, photo: Any, k: int, seconds: float, found: list[Any]) -> str:
    """`a.jpg (640 x 480, shrink 2, 0.1 s): 2 car, 1 pedestrian`."""
    H, W = photo.shape[:2]
    kinds = Counter(region.label for region in found).most_common()
    words = ", ".join(f"{number} {label}" for label, number in kinds) or "nothing"
    return f"{name} ({W} x {H}, shrink {k}, {seconds:.2f} s): {words}"
