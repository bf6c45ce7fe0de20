"""common: data sets by name, and files that several subcommands write."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images import write_aside
from .arguments import whole

GENERATED = "hotdogs"


def count(number: int, noun: str, several: str = "") -> str:
    """`1 photo`, `2 photos`, or `2 processes` where `several` says so."""
    return f"{number} {noun if number == 1 else several or noun + 's'}"


def add_device(parser: argparse.ArgumentParser, text: str) -> None:
    """--device cpu|cuda."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help=f"{text} (cpu)")


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """--shrink K and --memory MB: how large the network sees a photo, and when by tiles."""
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


def check_device(device: str) -> None:
    """Say at once, in one sentence, what a GPU lacks."""
    from .. import cuda

    lacks = cuda.why_not() if device == "cuda" else ""
    if lacks:
        raise ValueError(lacks)


def open_predictor(path: str, model: str | None, device: str) -> Any:
    """What runs on photos: a run, a file of `Predictor.save`, or weights of a known network.

    Many photos of one size are seen by a plan.
    """
    from ..interop import open_model

    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    opened = open_model(path, model, device)
    if not hasattr(opened.model, "stride"):
        raise ValueError(
            f"{path} is a {type(opened.model).__name__}, which does not say what is where, as FCN "
            f"does; `minifcn locate` asks a classifier"
        )
    if getattr(opened.model, "full_size", True) is False:
        raise ValueError(
            f"{path} is a classifier that answers for squares of {opened.model.stride} pixels, "
            f"expected an answer for each, as convolutionize(..., full_size=True) makes it; "
            f"`minifcn locate` takes it as it is"
        )
    return replace(opened.predictor(), planned=True)


def open_split(path: str, split: str | None = None) -> Any:
    """A folder with images/ and labels/, or `hotdogs`: generated scenes."""
    from ..data import FolderDataset, HotDogs

    if path == GENERATED:
        scenes = HotDogs(1000)
        return scenes if split in (None, "train") else scenes.held_out(200)
    return FolderDataset(Path(path), split=split, cache=False)


def has_split(path: str, split: str) -> bool:
    """Whether `path` has a part called `split`."""
    return path == GENERATED or (Path(path) / split / "images").is_dir()


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; NaN, which is no JSON, is refused."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with write_aside(path) as file:
        file.write(f"{text}\n".encode())


def picture_examples(predictor: Any, dataset: Any, indices: Sequence[int], path: Path) -> None:
    """A PNG with photo, truth and prediction of some images of a data set."""
    from ..images import write_png
    from ..infer import background, overlay, panel

    classes = predictor.classes
    clear = background(classes)
    rows = []
    for index in indices:
        photo, label = dataset[index]
        drawn = [photo]
        for class_map in (_drawable(label, classes), predictor(photo).class_map):
            drawn.append(overlay(photo, class_map, classes.colours, alpha=0.6, clear=clear))
        rows.append(drawn)
    write_png(path, panel(rows, ("photo", "truth", "prediction")))


def _drawable(label: NDArray[np.uint8], classes: Any) -> NDArray[np.uint8]:
    """The label, with a void value above all names drawn as the first class."""
    return np.where(label < len(classes.names), label, 0).astype(np.uint8)


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` indices, evenly over 0 .. count - 1."""
    wanted = min(count, wanted)
    return [(2 * step + 1) * count // (2 * wanted) for step in range(wanted)]
