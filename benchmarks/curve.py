"""Training with the fast convolutions, and with im2col alone: the same curve but for noise?

    fast     as `choose` picks                                   seed 0
    im2col   mf.conv_algorithm("im2col"): the readable path      seed 0
    others   as `choose` picks                                   seeds 1, 2

Same seed, same first weights, same batches: only roundings differ, and training magnifies them. The
question is whether they matter more than a seed does. Curves are smoothed over 25 steps. Target:
the fast one lies no further from im2col's, on average over the steps, than two seeds may.

    python benchmarks/curve.py --json benchmarks/results/curve.json \\
        --plot benchmarks/results/curve.png
    python benchmarks/curve.py CAMVID       a folder as for `minifcn train`, at half its size
"""

from __future__ import annotations

import io
import itertools
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bench.report import finish, parser, table
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import minifcn as mf
from minifcn.data import FolderDataset, HotDogs, Shrunk
from minifcn.train.recipe import Recipe, prepare

STEPS, SMOOTH = 300, 25
RUNS = (("fast", 0), ("im2col", 0), ("fast", 1), ("fast", 2))
HEAD = ("run", "first loss", "last 25", "seconds", "differs from fast, seed 0")


def dataset(folder: Path | None, quick: bool) -> Any:
    """CamVid at half its size, or drawn scenes."""
    if folder is not None:
        return Shrunk(FolderDataset(folder, "train", cache=False), 2)
    return HotDogs(16, (32, 48)) if quick else HotDogs(400)


def losses(data: Any, seed: int, steps: int, quick: bool, im2col: bool) -> list[float]:
    """The loss of each step of a training as `minifcn train` sets it up."""
    recipe = replace(Recipe(), seed=seed)
    if quick:
        recipe = replace(recipe, width=4, depth=3, batch_size=4)
    trainer, _ = prepare(recipe, data, None, out=io.StringIO())
    trainer.model.train()
    seen: list[float] = []
    with mf.conv_algorithm("im2col") if im2col else nullcontext():
        for epoch in itertools.count():
            for x, target in trainer.loader.epoch(epoch):
                if len(seen) == steps:
                    return seen
                seen.append(trainer.step(x, target))
                trainer.batch += 1
    raise AssertionError("the epochs never end")


def smoothed(values: list[float], width: int) -> NDArray[Any]:
    """Means over `width` steps, each as a vector of its own place."""
    kernel = np.ones(width) / width
    return np.convolve(np.array(values), kernel, "valid")


def apart(one: list[float], two: list[float], width: int) -> float:
    """Mean distance of two smoothed curves."""
    return float(abs(smoothed(one, width) - smoothed(two, width)).mean())


def judge(runs: dict[str, list[float]], width: int) -> dict[str, Any]:
    """How far the fast curve lies from im2col's, and the seeds' from each other."""
    seeds = [name for name in runs if name.startswith("fast")]
    noise = {
        f"{a} - {b}": apart(runs[a], runs[b], width) for a, b in itertools.combinations(seeds, 2)
    }
    off = apart(runs["fast, seed 0"], runs["im2col, seed 0"], width)
    pairs = zip(runs["fast, seed 0"], runs["im2col, seed 0"], strict=True)
    first = next((k for k, (a, b) in enumerate(pairs) if abs(a - b) > 0.01 * abs(b)), None)
    return {
        "fast - im2col": off,
        "seeds": noise,
        "within seed noise": off <= max(noise.values()),
        "first step that differs by 1 %": first,
    }


def draw(runs: dict[str, list[float]], width: int, path: Path) -> None:
    """The smoothed curves, the raw ones of seed 0 faint behind them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7.5, 4.2))
    for name, values in runs.items():
        colour, style = _look(name)
        if name.endswith("seed 0"):
            axis.plot(values, color=colour, alpha=0.2, linewidth=0.8)
        at = np.arange(len(values) - width + 1) + (width - 1) / 2
        axis.plot(at, smoothed(values, width), style, color=colour, label=name)
    axis.set_xlabel("step")
    axis.set_ylabel(f"training loss, mean over {width} steps")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _look(name: str) -> tuple[str, str]:
    if name.startswith("im2col"):
        return "tab:blue", "--"
    return ("tab:red", "-") if name.endswith("seed 0") else ("0.55", "-")


def main() -> None:
    """Train four times, print, judge, draw."""
    made = parser(__doc__)
    made.add_argument("data", type=Path, nargs="?", help="a folder of photos (drawn scenes)")
    made.add_argument("--steps", type=int, help=f"of each run ({STEPS})")
    made.add_argument("--plot", type=Path, help="also draw the curves into this PNG")
    arguments = made.parse_args()
    steps = arguments.steps or (6 if arguments.quick else STEPS)
    width = min(SMOOTH, max(steps // 3, 1))
    data = dataset(arguments.data, arguments.quick)
    runs: dict[str, list[float]] = {}
    rows = []
    with threadpool_limits(1):
        for kind, seed in RUNS:
            name, began = f"{kind}, seed {seed}", time.perf_counter()
            runs[name] = losses(data, seed, steps, arguments.quick, kind == "im2col")
            took = time.perf_counter() - began
            print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)
            rows.append([name, runs[name][0], float(np.mean(runs[name][-width:])), took,
                         apart(runs[name], runs["fast, seed 0"], width)])  # fmt: skip
    verdict = judge(runs, width)
    print(table(HEAD, rows))
    word = "within" if verdict["within seed noise"] else "NOT within"
    noise = ", ".join(f"{value:.4f}" for value in verdict["seeds"].values())
    print(
        f"fast and im2col lie {verdict['fast - im2col']:.4f} apart, seeds {noise}: "
        f"{word} seed noise"
    )
    first = verdict["first step that differs by 1 %"]
    print(f"the first step whose losses differ by 1 %: {'none' if first is None else first}")
    if arguments.plot:
        draw(runs, width, arguments.plot)
    finish({"steps": steps, "smoothed over": width, **verdict, "losses": runs}, arguments.json)


if __name__ == "__main__":
    main()
