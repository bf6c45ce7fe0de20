"""Peak memory of the training step of step.py, minifcn against PyTorch, each in its own process.

PSS    sampled some 30 times a second while the side trains, summed over its processes; the most
HWM    each process's own peak as Linux keeps it, summed (shared pages count in each)
base   PSS before the first step: interpreter, library, weights, one batch

python benchmarks/memory.py --json benchmarks/results/memory.json
"""

from __future__ import annotations

import os
from typing import Any

from bench.report import finish, parser, table
from bench.side import Side, minifcn_sides, running, torch_sides
from bench.tree import Peak, high_water, pss

SIZE, QUICK_SIZE = (8, 192, 256), (2, 16, 24)
STEPS = 6
TARGET = 1.1
HEAD = ("side", "base MiB", "peak PSS MiB", "peak HWM MiB", "/ NCHW", "/ channels_last")


def measure(side: Side, size: tuple[int, int, int], steps: int) -> dict[str, float]:
    """Train a few steps in a fresh process; its memory in MiB."""
    with running([side], "training", size=size) as (child,):
        sessions = {child.pid}
        base = pss(sessions)
        with Peak(sessions) as peak:
            child.ask("run", count=steps)
        found = {"base": base, "peak PSS": peak.most, "peak HWM": high_water(sessions)}
        return {**found, "looks": peak.looks}


def main() -> None:
    """One side after the other."""
    made = parser(__doc__)
    arguments = made.parse_args()
    if not os.path.exists("/proc/self/smaps_rollup"):
        raise SystemExit("memory.py reads /proc/PID/smaps_rollup, which only Linux has")
    size = QUICK_SIZE if arguments.quick else SIZE
    found: dict[str, dict[str, Any]] = {}
    for side in minifcn_sides() + torch_sides():
        if side.lacks:
            print(f"{side.title}: {side.lacks}")
        else:
            found[side.title] = measure(side, size, 2 if arguments.quick else STEPS)
    rows: list[list[Any]] = []
    for title, row in found.items():
        for layout in ("NCHW", "channels_last"):
            if (other := found.get(f"PyTorch {layout}")) is not None:
                row[layout] = row["peak PSS"] / other["peak PSS"]
        rows.append([title, *(round(row[k]) for k in ("base", "peak PSS", "peak HWM")),
                     row.get("NCHW"), row.get("channels_last")])  # fmt: skip
    print(table(HEAD, rows))
    verdicts = [
        f"{title}: {row['NCHW']:.2f} of PyTorch NCHW, target {TARGET}: "
        + ("met" if row["NCHW"] <= TARGET else "MISSED")
        for title, row in found.items()
        if title.startswith("minifcn") and "NCHW" in row and not arguments.quick
    ]
    print("\n".join(verdicts) or "toy sizes, or no PyTorch: nothing to judge")
    finish({"size N H W": size, "MiB": found, "verdicts": verdicts}, arguments.json)


if __name__ == "__main__":
    main()
