"""How well a classifier says where: accuracy figures on the data pack; no timings.

SqueezeNet 1.1 with its weights of ImageNet: the largest difference from PyTorch's reference logits,
in how many photos the first five classes are the same, and in how many of the 60 mosaics "hot dog"
is surest in the right tile, by the windows and edges of docs/where.md.

    python benchmarks/where.py --data ../shared/data --head seen/scores.json \\
        --json benchmarks/results/where.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from bench.report import finish, parser, table

import minifcn as mf
from minifcn.images import read_image, resize_image
from minifcn.infer.heat import softmax, window_means
from minifcn.interop import open_model
from minifcn.models.squeezenet import SqueezeNet

TILE, ROWS, COLS, HOT_DOG = 224, 2, 3, 934
WINDOWS = (1, 3, 5, 7, 9, 11)
EDGES = ("zeros", "inside", "repeated", "counted")  # at 7 x 7


def means(class_map: np.ndarray, window: int, edge: str) -> tuple[np.ndarray, int]:
    """The means over windows, by one way to treat the edge, and how many cells are cut there."""
    half = window // 2
    zeros = window_means(class_map, window)
    if edge == "inside":
        return zeros[:, half:-half, half:-half], half
    if edge == "counted":
        return zeros / window_means(np.ones_like(class_map[:1]), window), 0
    if edge == "repeated":
        wide = np.pad(class_map, ((0, 0), (half, half), (half, half)), mode="edge")
        return window_means(wide, window)[:, half:-half, half:-half], 0
    return zeros, 0


def tile_of_peak(class_map: np.ndarray, window: int, edge: str, grid: Any) -> int:
    """The tile in which the class is surest, counted row by row."""
    y, cut = means(class_map, window, edge)
    heat = softmax(y)[HOT_DOG]
    i, j = np.unravel_index(int(heat.argmax()), heat.shape)
    row, col = (
        int((grid.step[a] * (k + cut) + grid.centre[a] + 0.5) // TILE)
        for a, k in enumerate((int(i), int(j)))
    )
    return row * COLS + col


def square(path: Path) -> np.ndarray:
    """The square in the middle of a photo."""
    photo = read_image(path)
    S = min(photo.shape[:2])
    top, left = ((side - S) // 2 for side in photo.shape[:2])
    return resize_image(photo[top : top + S, left : left + S], (TILE, TILE))


def mosaics(opened: Any, folder: Path, count: int) -> dict[str, int]:
    """In how many mosaics each way finds the right tile."""
    ways = [(window, "zeros") for window in WINDOWS] + [(7, edge) for edge in EDGES[1:]]
    right = dict.fromkeys((f"{w} x {w}, {edge}" for w, edge in ways), 0)
    plan = json.loads((folder / "mosaics_val.json").read_text(encoding="utf-8"))["mosaics"]
    for one in plan[:count]:
        tiles = [square(folder / "val" / tile) for tile in one["tiles"]]
        rows = [np.concatenate(tiles[r * COLS : (r + 1) * COLS], axis=1) for r in range(ROWS)]
        x = mf.tensor(opened.normalize(np.concatenate(rows))[None])
        with mf.no_grad():
            class_map = opened.model.class_map(x).numpy()[0]
        for window, edge in ways:
            tile = tile_of_peak(class_map, window, edge, opened.model.grid)
            right[f"{window} x {window}, {edge}"] += tile == one["hotdog"]
    return right


def references(opened: Any, data: Path) -> dict[str, float]:
    """The largest difference from the reference logits; photos whose first five are the same."""
    logits = np.load(data / "squeezenet_v1_1" / "reference_logits.npz")
    best = json.loads((data / "squeezenet_v1_1" / "reference_top5.json").read_text())
    worst, same = 0.0, 0
    for name, expected in best.items():
        photo = read_image(data / "demo_photos" / f"{name}_crop224.png")
        with mf.no_grad():
            y = opened.model(mf.tensor(opened.normalize(photo)[None])).numpy()[0]
        worst = max(worst, float(np.abs(y - logits[name]).max()))
        five = np.argsort(-y, kind="stable")[:5].tolist()
        same += five == [k for k, _, _ in expected["top5"]]
    return {"largest difference of logits": worst, "same first five": same, "photos": len(best)}


def main() -> None:
    """Count, print, write."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--head", type=Path, help="scores.json of where_is_the_hotdog.py")
    given = arguments.parse_args()
    if given.quick:  # does it run at all? without data: the map of drawn weights
        net = SqueezeNet(1000, generator=np.random.default_rng(0)).eval()
        with mf.no_grad():
            y = net.class_map(mf.tensor(np.zeros((1, 3, 448, 672), np.float32))).numpy()[0]
        tiles = {edge: tile_of_peak(y, 7, edge, net.grid) for edge in EDGES}
        print(table(("edge", "tile"), list(tiles.items())))
        finish({"tiles": tiles}, given.json)
        return
    opened = open_model(given.data / "squeezenet_v1_1" / "squeezenet_v1_1.safetensors")
    result: dict[str, Any] = {
        "SqueezeNet against PyTorch": references(opened, given.data),
        "mosaics of 60, ImageNet's own hot dog": mosaics(opened, given.data / "hotdog", 60),
    }
    if given.head is not None:
        result["head"] = json.loads(given.head.read_text(encoding="utf-8"))
        result["head"]["command"] = "python examples/where_is_the_hotdog.py PHOTOS --weights FILE"
    rows = [(key, value) for part in list(result.values())[:2] for key, value in part.items()]
    print(table(("what", "result"), rows))
    finish(result, given.json)


if __name__ == "__main__":
    main()
