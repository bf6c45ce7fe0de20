"""Where the time of minifcn's training step goes: the functions that took most of it.

The step of step.py in one process, under Python's profiler (cProfile). NumPy's work counts for the
function that asked for it. CPU time of one thread; the profiler itself adds a few per cent.

    python benchmarks/breakdown.py --json benchmarks/results/breakdown.json
"""

from __future__ import annotations

import cProfile
import pstats
import time
from pathlib import Path
from typing import Any

from bench.jobs import Training
from bench.report import finish, parser, table
from threadpoolctl import threadpool_limits

import minifcn as mf

SIZE, QUICK_SIZE = (8, 192, 256), (2, 16, 24)
HEAD = ("function", "ms a step", "share", "calls")
ROOT = Path(mf.__file__).parent


def profile(job: Training, steps: int) -> pstats.Stats:
    """Some steps under the profiler, after one that fills the caches."""
    job.once()
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    for _ in range(steps):
        job.once()
    profiler.disable()
    return pstats.Stats(profiler)


def place(file: str, function: str) -> str:
    """kernels/numpy_kernels/pool.py max_pool; what is not minifcn's is Python and NumPy."""
    try:
        return f"{Path(file).relative_to(ROOT).as_posix()} {function}"
    except ValueError:
        return "Python, NumPy and this script"


def times(stats: pstats.Stats, steps: int) -> list[dict[str, Any]]:
    """By place: milliseconds and calls of a step, the slowest first."""
    found: dict[str, dict[str, Any]] = {}
    entries: dict[tuple[str, int, str], tuple[Any, ...]] = vars(stats)["stats"]
    for (file, _, function), (_, calls, own, *_) in entries.items():
        name = place(file, function)
        row = found.setdefault(name, {"function": name, "ms": 0.0, "calls": 0.0})
        row["ms"] += 1e3 * own / steps
        row["calls"] += calls / steps
    whole = sum(row["ms"] for row in found.values())
    for row in found.values():
        row["share"] = row["ms"] / whole if whole else 0.0
    return sorted(found.values(), key=lambda row: -row["ms"])


def main() -> None:
    """Profile, print, write."""
    made = parser(__doc__)
    made.add_argument("--steps", type=int, help="under the profiler (5)")
    made.add_argument("--rows", type=int, default=30, help="of the table (30)")
    arguments = made.parse_args()
    steps = arguments.steps or (1 if arguments.quick else 5)
    with threadpool_limits(1):
        job = Training("minifcn", size=QUICK_SIZE if arguments.quick else SIZE)
        rows = times(profile(job, steps), steps)
    shown = [
        [row["function"], row["ms"], f"{row['share']:.1%}", row["calls"]]
        for row in rows[: arguments.rows]
    ]
    print(table(HEAD, shown))
    print(f"in all {sum(row['ms'] for row in rows):.0f} ms a step")
    finish({"steps": steps, "functions": rows[:100]}, arguments.json)


if __name__ == "__main__":
    main()
