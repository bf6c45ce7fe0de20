"""How the time of a training step grows with pixels, batch, channels and processes.

    t = a + b n     n = pixels, or images of a batch; relative least squares, a >= 0

Target: no point lies more than 25 % off its line. Channels grow between linearly (memory) and
quadratically (products): shown, not judged. Every point is a process of its own; they take turns on
a quiet machine.

    python benchmarks/scaling.py --json benchmarks/results/scaling.json \\
        --plot benchmarks/results/scaling.png
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from bench.report import finish, parser, patience_of, table
from bench.side import Running, Side, minifcn_sides
from bench.turns import take_turns

Case = tuple[int, dict[str, Any]]  # n, and the options of its training
LIMIT = 0.25
PIXELS = ((48, 64), (96, 128), (144, 192), (192, 256), (288, 384))
SMALL = (96, 128)
LABELS = {
    "pixels": "thousand pixels, in a batch of 8",
    "batch": "images of a batch, 96 x 128",
    "channels": "channels of the first stage, 8 x 96 x 128",
    "processes": "processes, 8 x 192 x 256",
}
HEAD = ("series", "n", "median s", "min s", "line s", "off", "s per n")


def cases(quick: bool) -> dict[str, list[Case]]:
    """For each series its points; small ones where it need only run."""
    if quick:
        return {
            "pixels": [(2 * H * 24, {"size": (2, H, 24)}) for H in (16, 32)],
            "batch": [(N, {"size": (N, 16, 24)}) for N in (1, 2)],
            "channels": [(C, {"size": (2, 16, 24), "widths": (C, C, C)}) for C in (4, 8)],
            "processes": [(n, {"size": (2, 16, 24)}) for n in _process_counts()],
        }
    return {
        "pixels": [(8 * H * W, {"size": (8, H, W)}) for H, W in PIXELS],
        "batch": [(N, {"size": (N, *SMALL)}) for N in (1, 2, 4, 8, 16)],
        "channels": [
            (C, {"size": (8, *SMALL), "widths": (C, 2 * C, 4 * C)}) for C in (8, 16, 32, 64)
        ],
        "processes": [(n, {"size": (8, *PIXELS[3])}) for n in _process_counts()],
    }


def _process_counts() -> list[int]:
    """One, and as many as minifcn's last side has, if it runs here."""
    return sorted({side.processes for side in minifcn_sides() if not side.lacks})


def line(n: list[float], t: list[float]) -> dict[str, Any]:
    """The line t = a + b n, and how far the points lie off it: t / line - 1."""
    x, y = np.array(n, float), np.array(t, float)
    rows = np.stack([1 / y, x / y], axis=1)
    a, b = np.linalg.lstsq(rows, np.ones(len(x)), rcond=None)[0]
    if a < 0:  # no step takes less than nothing: the best line through the origin
        a, b = 0.0, (x / y).sum() / ((x / y) ** 2).sum()
    fitted = a + b * x
    return {"a": float(a), "b": float(b), "line": fitted.tolist(), "off": (y / fitted - 1).tolist()}


def measure(points: list[Case], series: str, rounds: int, patience: float) -> dict[str, Any]:
    """The times of one series and, where it is judged, their line."""
    with ExitStack() as stack:
        children = []
        for n, options in points:
            processes = n if series == "processes" else 1
            side = Side(f"{series} {n}", threads=1, processes=processes)
            child = Running(side, "training", **options)
            stack.callback(child.close)
            children.append(child)
        times = list(take_turns(children, rounds, patience=patience).values())
    found: dict[str, Any] = {"n": [n for n, _ in points]}
    found["times"] = [t.summary() for t in times]
    if series in ("pixels", "batch"):
        found.update(line(found["n"], [t.median for t in times]))
    return found


def rows_of(result: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """A row for each point."""
    rows = []
    for series, found in result.items():
        for k, (n, took) in enumerate(zip(found["n"], found["times"], strict=True)):
            line, off = (found[key][k] if key in found else None for key in ("line", "off"))
            rows.append([series, n, took["median s"], took["min s"], line,
                         None if off is None else f"{off:+.0%}", took["median s"] / n])  # fmt: skip
    return rows


def draw(result: dict[str, dict[str, Any]], path: Path) -> None:
    """A panel for each series: the points, the line, and 25 % around it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7))
    for axis, (series, found) in zip(axes.flat, result.items(), strict=True):
        unit = 1000 if series == "pixels" else 1
        n = np.array(found["n"], float)
        seconds = [took["median s"] for took in found["times"]]
        if "line" in found:
            ends = np.array([0, n.max() * 1.05])
            fitted = found["a"] + found["b"] * ends
            axis.fill_between(ends / unit, (1 - LIMIT) * fitted, (1 + LIMIT) * fitted, color="0.9")
            axis.plot(ends / unit, fitted, color="0.5", label="a + b n, and 25 % around it")
            axis.legend(loc="upper left", frameon=False, fontsize=8)
        axis.plot(n / unit, seconds, "o" if "line" in found else "o-", color="tab:red")
        axis.set_xlabel(LABELS[series])
        axis.set_ylabel("seconds per training step")
        axis.set_xlim(left=0)
        axis.set_ylim(0, 1.1 * max([*seconds, *found.get("line", ())]))
        if series != "pixels":
            axis.set_xticks(found["n"])
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Measure each series, print, judge, draw."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="turns of each point (5)")
    made.add_argument("--plot", type=Path, help="also draw the curves into this PNG")
    arguments = made.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    result = {
        series: measure(points, series, rounds, patience_of(arguments))
        for series, points in cases(arguments.quick).items()
    }
    print(table(HEAD, rows_of(result)))
    verdicts = []
    for series, found in result.items():
        if "off" in found and not arguments.quick:
            off = max(map(abs, found["off"]))
            word = "met" if off <= LIMIT else "MISSED"
            verdicts.append(f"{series}: at most {off:.0%} off the line, target {LIMIT:.0%}: {word}")
    print("\n".join(verdicts) or "toy sizes: nothing to judge")
    if arguments.plot:
        draw(result, arguments.plot)
    finish({"series": result, "verdicts": verdicts}, arguments.json)


if __name__ == "__main__":
    main()
