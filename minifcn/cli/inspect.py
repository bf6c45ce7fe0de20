"""inspect: What a network costs, what it sees, and where its cells lie.

MODEL is a name (vgg16, fcn_vgg16, espnet ...), a model file, or the folder of a run. Nothing is
computed: the network runs on shapes alone. Multiply-adds count products of convolutions and
matrices; memory is derived from how long arrays live, without the kernels' scratch memory. With
--measure it is run as well, on an image of zeros.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

IMAGE, SMALL = (360, 480), 96  # of photos, and of drawings

EXAMPLES = """examples:
  minifcn inspect fcn_vgg16 --input 3x360x480
  minifcn inspect fcn_vgg16 --set skips=0 --set geometry=zero --draw crops.svg
  minifcn inspect fcn --set encoder=resnet18 --layers
  minifcn inspect runs/camvid --json > cost.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL [--input CxHxW] [--set NAME=VALUE] [what to print] [--draw FILE]."""
    parser.add_argument("model", metavar="MODEL", help="a name, a model file, or a run's folder")
    parser.add_argument(
        "--input",
        metavar="CxHxW",
        type=image_size,
        help="the image, or NxCxHxW for a batch (3x360x480)",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=option,
        help="an argument of a model that is named, such as classes=2; repeatable",
    )
    parser.add_argument("--layers", action="store_true", help="a line for every layer")
    parser.add_argument(
        "--derive", action="store_true", help="how stride and offset come about, step by step"
    )
    parser.add_argument(
        "--measure", action="store_true", help="run it on zeros, and say time and memory"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable, to standard output")
    parser.add_argument(
        "--draw", metavar="FILE", type=Path, help="draw where the cells lie, as .svg or .png"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print totals, tables where asked for, and draw."""
    from ..study import cost, derivation, measured, report
    from ..study.words import large

    model = _opened(arguments.model, dict(arguments.set))
    config = getattr(model, "config", {})
    channels = {**config.get("encoder", {}), **config}.get("in_channels", 3)
    image = arguments.input or (channels, *IMAGE)
    found = cost(model, image)
    if arguments.draw:
        small = (*image[:-2], SMALL, SMALL)  # cells that are large enough to be seen
        derivation(model, arguments.input or small).save(arguments.draw)
        print(f"drawn: {arguments.draw}", file=sys.stderr)
    seconds, peak = measured(model, image) if arguments.measure else (0.0, 0)
    if arguments.json:
        whole = found.json() | {"coordinates": derivation(model, image).json()}
        if arguments.measure:
            whole["measured"] = {"seconds": seconds, "inference_bytes": peak}
        print(json.dumps(whole, indent=1, allow_nan=False))
        return 0
    print(report(found, arguments.layers))
    if arguments.measure:
        print(f"measured here      {seconds:.3f} s, {large(peak, 'B')} inference")
    if arguments.derive:
        print()
        print(derivation(model, image).table())
    return 0


def image_size(text: str) -> tuple[int, ...]:
    """`3x360x480` as (3, 360, 480)."""
    try:
        sizes = tuple(int(word) for word in text.lower().split("x"))
    except ValueError:
        sizes = ()
    if len(sizes) not in (3, 4) or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected CxHxW, such as 3x360x480")
    return sizes


def option(text: str) -> tuple[str, Any]:
    """`skips=0` as ("skips", 0); what is no JSON is a word."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=VALUE, such as classes=2")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _opened(name: str, options: dict[str, Any]) -> Any:
    """A model by its name, or from a file or folder."""
    from ..models.registry import ENCODERS, MODELS
    from ..study.named import model_of

    if name in MODELS or name in ENCODERS:
        return model_of({"name": name, **options})
    if not Path(name).exists():
        known = ", ".join(dict.fromkeys((*MODELS, *ENCODERS)))
        raise ValueError(f"{name}: no such file, and no model's name: {known}")
    if options:
        raise ValueError(f"{name}: --set is for models by name; a file says what it holds")
    from ..interop import open_model

    return open_model(name).model
