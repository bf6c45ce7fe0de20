"""export: Write a network as an ONNX file, for any batch and image size.

The file runs wherever ONNX does; parameters keep their names, and classes, normalisation and
channel order stand in its metadata. With --check the result is compared with onnxruntime's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = """examples:
  minifcn export runs/camvid camvid.onnx              the network of a training run
  minifcn export espnet.pth espnet.onnx --check       known weights; compared in onnxruntime
  minifcn export net.safetensors net.onnx --size 360x480 --fixed
  minifcn export squeezenet1_1 empty.onnx             a network with random weights
"""

DYNAMIC: dict[str, bool | str] = {"any": True, "batch": "batch", "fixed": False}
TOLERANCE = 1e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE_OR_MODEL", help="a run, a file of weights, a name")
    parser.add_argument("out", metavar="OUT.onnx", type=Path, help="the file to write")
    parser.add_argument("--model", help="what network the weights are of, if they do not tell")
    parser.add_argument(
        "--size", type=size, default=(64, 64), metavar="HxW", help="an image that it takes (64x64)"
    )
    group = parser.add_mutually_exclusive_group()
    for word, text in (("batch", "any batch, but images of --size"), ("fixed", "one of --size")):
        group.add_argument(
            f"--{word}", dest="dynamic", action="store_const", const=word, default="any", help=text
        )
    parser.add_argument("--check", action="store_true", help="compare with onnxruntime's result")


def size(text: str) -> tuple[int, int]:
    """360x480 as (360, 480)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected HEIGHTxWIDTH such as 360x480")
    return int(parts[0]), int(parts[1])


def run(arguments: argparse.Namespace) -> int:
    from ..interop import onnx

    model = _model(arguments.source, arguments.model)
    network: Any = getattr(model, "model", model)
    channels = next(p for p in network.parameters() if p.ndim == 4).shape[1]
    H, W = arguments.size
    dynamic = DYNAMIC[arguments.dynamic]
    proto = onnx.export(model, arguments.out, (1, channels, H, W), dynamic)
    print(
        f"{arguments.out}: {len(proto.graph.node)} nodes, {len(proto.graph.initializer)} arrays, "
        f"{arguments.out.stat().st_size / 1e6:.1f} MB"
    )
    if arguments.check:
        batches = (1, 3) if dynamic else (1,)
        more = ((H + 7, W + 26),) if dynamic is True else ()
        shapes = [(n, channels, h, w) for n in batches for h, w in ((H, W), *more)]
        return _check(network, arguments.out, shapes)
    return 0


def _model(source: str, name: str | None) -> Any:
    """A Predictor of a run or file, classifiers too, or an untrained network of a name."""
    from ..interop import open_model
    from ..models import build
    from ..models.registry import MODELS

    if not Path(source).exists() and source in MODELS:
        return build({"name": source}, np.random.default_rng(0))
    if not Path(source).exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    return open_model(source, name).predictor()


def _check(network: Any, path: Path, shapes: Sequence[tuple[int, ...]]) -> int:
    """The largest difference from onnxruntime, of the largest value; 1 if it is too large."""
    from .. import no_grad, tensor
    from ..interop.onnx.check import run_elsewhere

    network.eval()
    worst = 0.0
    for shape in shapes:
        x = np.random.default_rng(shape[2]).standard_normal(shape).astype(np.float32)
        with no_grad():
            y = network(tensor(x))
        ours = (y if hasattr(y, "numpy") else next(iter(y.values()))).numpy()
        theirs = run_elsewhere(path, x)
        worst = max(worst, float(abs(ours - theirs).max() / max(abs(ours).max(), 1e-12)))
    print(f"onnxruntime differs by {worst:.1e} of the largest value, at {len(shapes)} shapes")
    return 0 if worst <= TOLERANCE else 1
