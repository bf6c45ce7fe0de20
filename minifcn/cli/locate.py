"""locate: Say where a class is, with a network that was trained to say what.

CLASS is any of the names that the network has for a class, in any case, or its number; several go
with commas between. FILE holds the weights of a classifier: SqueezeNet 1.1, ResNet or VGG16, or a
file of minifcn with a map of classes. For each photo NAME, DIR gets NAME.png, the heat of the class
over the photo, and its boxes; boxes.json and images.json have the boxes in COCO's result format,
and seen.json says what the network takes the photo for as a whole, and where each class is surest.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from .arguments import folder, number, whole
from .class_names import find_classes
from .common import add_device, check_device, count, write_json
from .things import Findings, area, photos_of, readable

EXAMPLES = """examples:
  minifcn locate "hot dog" photo.jpg --weights squeezenet1_1.safetensors --out seen
  minifcn locate "banana, Granny Smith" photos/ --weights squeezenet1_1.pth --out seen
  minifcn locate "traffic light" street.jpg --weights squeezenet1_1.pth --out seen --side 800
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CLASS PHOTO... --weights FILE --out DIR, and how to look."""
    parser.add_argument("asked", metavar="CLASS", help='what to look for, as "hot dog"')
    parser.add_argument("photos", metavar="PHOTO", nargs="+", help="photos, or folders of photos")
    parser.add_argument("--weights", metavar="FILE", required=True, help="weights of a classifier")
    parser.add_argument(
        "--out", metavar="DIR", type=folder, required=True, help="folder for the pictures"
    )
    parser.add_argument("--model", metavar="NAME", help="which network, if the file does not tell")
    parser.add_argument(
        "--side",
        metavar="PIXELS",
        type=whole(0),
        help="shorter side that the network sees of a photo: more finds smaller things; "
        "0: each as it is (384)",
    )
    parser.add_argument(
        "--window",
        metavar="CELLS",
        type=whole(1),
        help="cells that decide together (7; 1 where each has seen a whole window)",
    )
    parser.add_argument(
        "--threshold",
        metavar="P",
        type=number(0),
        default=0.5,
        help="probability that a box needs everywhere (0.5)",
    )
    parser.add_argument(
        "--minimum-area",
        metavar="AREA",
        type=area,
        default=area("0.5%"),
        help="of a box's region, in pixels, or as a share of the photo (0.5%%)",
    )
    add_device(parser, "where to compute")


def run(arguments: argparse.Namespace) -> int:
    """Look at every photo; one that cannot be read is named, the others are done."""
    check_device(arguments.device)
    locator, words = _locator(arguments)
    wanted = find_classes(arguments.asked, words)
    names = [words[k][0] for k in wanted]
    slugs = ["_".join(name.split()) for name in names] if len(wanted) > 1 else [""]
    photos = photos_of(arguments.photos, [f"_{slug}" if slug else "" for slug in slugs])
    print(f"looking for {', '.join(map(_called, wanted, (words[k] for k in wanted)))}")

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    findings = Findings(photos, locator.names)
    seen: dict[str, Any] = {}
    failed = 0
    try:
        for path, photo in readable("locate", photos):
            if photo is None:
                failed += 1
                continue
            start = time.perf_counter()
            located = locator(photo, wanted)
            spots = _large(located.spots, arguments.minimum_area.pixels(photo))
            seconds = time.perf_counter() - start
            for slug, spot in zip(slugs, spots, strict=True):
                _draw(out / f"{path.stem}{f'_{slug}' if slug else ''}.png", photo, spot)
            findings.add(path, photo, [r for spot in spots for r in spot.regions])
            seen[path.name] = _summary(located.likely, spots, locator.names)
            print(_line(path.name, photo, seconds, seen[path.name]))
    finally:  # after Ctrl-C too: all that was seen so far
        findings.write(out)
        write_json(out / "seen.json", seen)
    print(f"{count(len(seen), 'photo')} in {out}", file=sys.stderr)
    return 1 if failed else 0


def _locator(arguments: argparse.Namespace) -> tuple[Any, list[tuple[str, ...]]]:
    """What looks at photos, and for each class the words for it."""
    from ..infer import Locator
    from ..infer.locate import SIDE
    from ..interop import open_model

    opened = open_model(arguments.weights, arguments.model, arguments.device)
    try:
        model, window = opened.mapped()
    except ValueError as error:
        raise ValueError(
            f"{arguments.weights}: {error}; `minifcn detect` takes other networks"
        ) from None
    names = opened.classes.names
    locator = Locator(
        model,
        names,
        opened.normalize,
        side=SIDE if arguments.side is None else arguments.side or None,
        window=arguments.window or window,
        threshold=arguments.threshold,
        minimum_share=0,
    )
    return locator, opened.words


def _large(spots: list[Any], pixels: int) -> list[Any]:
    """Without the regions of fewer pixels."""
    from dataclasses import replace

    return [replace(spot, regions=[r for r in spot.regions if r.area >= pixels]) for spot in spots]


def _draw(path: Path, photo: Any, spot: Any) -> None:
    from ..images import write_png
    from ..infer import draw_boxes, lay_over, with_scale

    hot = draw_boxes(lay_over(photo, spot.heat), spot.regions)
    write_png(path, with_scale(hot, f"{spot.label}: probability"))


def _summary(likely: Any, spots: list[Any], names: Any) -> dict[str, Any]:
    """What the photo is as a whole, and where each class is, for JSON."""
    best = (-likely).argsort(kind="stable")[:5].tolist()
    return {
        "whole": [{"label": names[k], "score": round(float(likely[k]), 6)} for k in best],
        "where": [
            {
                "label": spot.label,
                "category_id": spot.category,
                "peak": list(spot.peak),
                "score": round(spot.score, 6),
                "boxes": len(spot.regions),
            }
            for spot in spots
        ],
    }


def _line(name: str, photo: Any, seconds: float, seen: dict[str, Any]) -> str:
    """`a.jpg (640 x 480, 0.1 s): hot dog 0.98 around (439, 199), 2 boxes; in all: plate 0.51`."""
    H, W = photo.shape[:2]
    where = ", ".join(
        f"{spot['label']} {spot['score']:.2f} around ({spot['peak'][0]}, {spot['peak'][1]}), "
        f"{count(spot['boxes'], 'box', 'boxes')}"
        for spot in seen["where"]
    )
    first = seen["whole"][0]
    return (
        f"{name} ({W} x {H}, {seconds:.2f} s): {where}; "
        f"the whole is {first['label']} by {first['score']:.2f}"
    )


def _called(category: int, words: tuple[str, ...]) -> str:
    """`hotdog (934: hot dog, red hot)`."""
    others = f": {', '.join(words[1:])}" if len(words) > 1 else ""
    return f"{words[0]} ({category}{others})"
