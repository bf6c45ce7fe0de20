"""Convolution layers, forward and both gradients, minifcn against PyTorch, one thread each.

CPU time (process_time) of calls that take turns in one process: other programs on the machine
disturb it little, but it says nothing of two cores. The ratio is the sum of the three directions
over that of PyTorch's better layout. The error is against float64, relative to the largest number.

With --algorithms a row follows for each algorithm that can do the layer, forced by
mf.conv_algorithm; a dash where it cannot do a direction.

    python benchmarks/conv.py --algorithms --json benchmarks/results/conv.json
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from bench.layers import DIRECTIONS, LAYERS, Calls, Layer, minifcn_calls, torch_calls
from bench.machine import missing
from bench.report import finish, parser, table
from threadpoolctl import threadpool_limits

import minifcn as mf
from minifcn.kernels.numpy_kernels.conv.choose import ALGORITHMS

LEAST = 0.02  # CPU seconds of a sample
HEAD = ("layer", "forward", "image", "weight", "sum ms", "NCHW", "ch.last", "/ best", "target",
        "error", "algorithms")  # fmt: skip


def cpu_ms(call: Callable[[], Any], least: float) -> float:
    """CPU milliseconds of one call, over as many calls as it takes to measure them."""
    count, began = 0, time.process_time()
    while True:
        call()
        count += 1
        took = time.process_time() - began
        if took >= least:
            return 1e3 * took / count


def measure(sides: dict[str, Calls], rounds: int, least: float) -> dict[str, dict[str, float]]:
    """Median CPU milliseconds of each side and direction; sides take turns."""
    samples: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 1):  # the first fills pools and caches
        for side, calls in sides.items():
            for direction, call in calls.items():
                took = cpu_ms(call, least if turn else 0.0)
                if turn:
                    samples.setdefault((side, direction), []).append(took)
    found: dict[str, dict[str, float]] = {side: {} for side in sides}
    for (side, direction), values in samples.items():
        found[side][direction] = statistics.median(values)
    for row in found.values():
        if len(row) == len(DIRECTIONS):
            row["sum"] = sum(row.values())
    return found


def errors(calls: Calls, exact: Calls) -> dict[str, float]:
    """max |y - y64| / max |y64| of each direction."""
    found = {}
    for direction, call in calls.items():
        want, got = exact[direction]().numpy(), call().numpy()
        found[direction] = float(abs(got - want).max() / abs(want).max())
    return found


def one_layer(layer: Layer, rounds: int, least: float, force: bool) -> dict[str, Any]:
    """All sides of one layer, and each algorithm that fits it, if asked."""
    ours = minifcn_calls(layer)
    exact = minifcn_calls(layer, np.float64)
    sides = {"minifcn": ours}
    if not missing("torch"):
        exact = torch_calls(layer, double=True)
        sides["NCHW"] = torch_calls(layer)
        sides["channels_last"] = torch_calls(layer, channels_last=True)
    found: dict[str, Any] = {"algorithms": picked(layer)}
    for name in ALGORITHMS if force else ():
        with mf.conv_algorithm(name):
            fits = [d for d, algorithm in picked(layer).items() if algorithm == name]
        if fits:
            sides[name] = {d: forced(name, ours[d]) for d in fits}
    found["CPU ms"] = times = measure(sides, rounds, least)
    found["error"] = {
        side: errors(calls, exact)
        for side, calls in sides.items()
        if side not in ("NCHW", "channels_last")
    }
    if "NCHW" in times:
        best = min(times[layout]["sum"] for layout in ("NCHW", "channels_last"))
        found["ratio"] = times["minifcn"]["sum"] / best
        found["target"] = layer.target
    return found


def forced(name: str, call: Callable[[], Any]) -> Callable[[], Any]:
    """The same call, by the algorithm of that name."""

    def by_name() -> Any:
        with mf.conv_algorithm(name):
            return call()

    return by_name


def picked(layer: Layer) -> dict[str, str]:
    """The algorithm of each direction."""
    x, w, _ = layer.shapes
    how = mf.explain_choice(x, w, layer.stride, layer.padding, layer.dilation, layer.groups,
                            transposed=layer.transposed)  # fmt: skip
    return {d: row.algorithm for d, row in zip(DIRECTIONS, how.rows, strict=True)}


def rows_of(found: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """A row for each layer, and one below it for each algorithm that was forced."""
    rows = []
    for name, result in found.items():
        times = result["CPU ms"]
        other = [times[k]["sum"] if k in times else None for k in ("NCHW", "channels_last")]
        best = min((s for s in other if s), default=None)
        for side, took in times.items():
            if side in ("NCHW", "channels_last"):
                continue
            first = side == "minifcn"
            whole = took.get("sum")
            how = dict.fromkeys(result["algorithms"].values())  # each once, in order
            rows.append([name if first else f"    {side}", *(took.get(d) for d in DIRECTIONS),
                         whole, *(other if first else (None, None)),
                         whole / best if best and whole else None,
                         result.get("target") if first else None,
                         max(result["error"][side].values()),
                         ", ".join(how) if first else "forced"])  # fmt: skip
    return rows


def judged(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A line for each layer that misses its target, and one for all."""
    ratios = {name: r for name, r in found.items() if "ratio" in r}
    for name, r in ratios.items():
        if r["ratio"] > r["target"]:
            yield f"{name}: {r['ratio']:.2f} of PyTorch's best, target {r['target']}: MISSED"
    met = sum(r["ratio"] <= r["target"] for r in ratios.values())
    if ratios:
        yield f"{met} of {len(ratios)} layers within their targets"


def main() -> None:
    """Time every layer, print, judge."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="samples of each call (5)")
    made.add_argument("--algorithms", action="store_true", help="also force each algorithm")
    made.add_argument("--only", nargs="+", metavar="WORD", help="layers with one of these words")
    arguments = made.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    layers = [x for x in LAYERS if not arguments.only or any(w in x.name for w in arguments.only)]
    found = {}
    with threadpool_limits(1), mf.no_grad():
        if missing("torch"):
            print("PyTorch is not installed")
        else:
            import torch

            torch.set_num_threads(1)
            torch.set_grad_enabled(False)
        for layer in layers:
            print(layer.name, file=sys.stderr, flush=True)
            shaped = layer.small() if arguments.quick else layer
            least = 0.0 if arguments.quick else LEAST
            found[layer.name] = one_layer(shaped, rounds, least, arguments.algorithms)
    print(table(HEAD, rows_of(found)))
    verdicts = [] if arguments.quick else [*judged(found)]
    print("\n".join(verdicts) or "toy sizes, or no PyTorch: nothing to judge")
    finish({"layers": found, "verdicts": verdicts}, arguments.json)


if __name__ == "__main__":
    main()
