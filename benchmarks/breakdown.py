"""Where the time of minifcn's training step goes: to which kernels, at which sizes.

The step of step.py in one process and one thread, CPU time. Every kernel that an operator calls is
timed from outside: what lies between them (recording, backward's walk, the loader's copy, Python
itself) is the row "between kernels". With --functions, instead, the functions inside the kernels by
Python's profiler, which slows those that are called often.

    python benchmarks/breakdown.py --json benchmarks/results/breakdown.json
"""

from __future__ import annotations

import cProfile
import inspect
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from bench.jobs import Training
from bench.report import finish, parser, table
from threadpoolctl import threadpool_limits

import minifcn as mf
from minifcn.kernels import numpy_kernels

SIZE, QUICK_SIZE = (8, 192, 256), (2, 16, 24)
BETWEEN = "between kernels"
Found = dict[str, list[float]]  # [CPU seconds, calls]


@contextmanager
def clocks() -> Iterator[Found]:
    """Within it the calls of every kernel are timed, by its name and the first array's shape."""
    found: Found = {}
    before = {
        name: kernel
        for name, kernel in vars(numpy_kernels).items()
        if inspect.isfunction(kernel) and not name.startswith("_")
    }
    for name, kernel in before.items():
        setattr(numpy_kernels, name, timed(name, kernel, found))
    try:
        yield found
    finally:
        for name, kernel in before.items():
            setattr(numpy_kernels, name, kernel)


def timed(name: str, kernel: Callable[..., Any], found: Found) -> Callable[..., Any]:
    """The kernel with a clock around it."""

    @wraps(kernel)
    def clocked(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        result = kernel(*arguments, **options)
        took = time.process_time() - began
        shape = next((a.shape for a in arguments if hasattr(a, "shape")), ())
        row = found.setdefault(f"{name} {'x'.join(map(str, shape))}", [0.0, 0.0])
        row[0] += took
        row[1] += 1
        return result

    return clocked


def by_kernel(job: Training, steps: int) -> Found:
    """CPU seconds and calls of `steps` steps."""
    with clocks() as found:
        job.once()  # fills the caches
        found.clear()
        began = time.process_time()
        for _ in range(steps):
            job.once()
        whole = time.process_time() - began
    found[BETWEEN] = [whole - sum(seconds for seconds, _ in found.values()), 0.0]
    return found


def by_function(job: Training, steps: int) -> Found:
    """The same by functions of minifcn; NumPy's work counts for whoever asked for it."""
    job.once()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(steps):
        job.once()
    profiler.disable()
    found: Found = {}
    root = Path(mf.__file__).parent
    entries: dict[tuple[str, int, str], tuple[Any, ...]] = vars(pstats.Stats(profiler))["stats"]
    for (file, _, function), (_, calls, own, *_) in entries.items():
        known = Path(file).is_relative_to(root)
        name = f"{Path(file).relative_to(root).as_posix()} {function}" if known else BETWEEN
        row = found.setdefault(name, [0.0, 0.0])
        row[0] += own
        row[1] += calls
    return found


def rows_of(found: Found, steps: int) -> list[list[Any]]:
    """Name, milliseconds of a step, share, calls of a step; the slowest first."""
    whole = sum(seconds for seconds, _ in found.values()) or 1.0
    ordered = sorted(found.items(), key=lambda item: -item[1][0])
    return [
        [name, 1e3 * seconds / steps, f"{seconds / whole:.1%}", calls / steps]
        for name, (seconds, calls) in ordered
    ]


def sums(found: Found) -> Found:
    """The rows of a kernel, or of a file, in one."""
    summed: Found = {}
    for name, (seconds, calls) in found.items():
        row = summed.setdefault(name if name == BETWEEN else name.split()[0], [0.0, 0.0])
        row[0] += seconds
        row[1] += calls
    return summed


def main() -> None:
    """Measure, print, write."""
    made = parser(__doc__)
    made.add_argument("--steps", type=int, help="to average over (5)")
    made.add_argument("--rows", type=int, default=30, help="of each table (30)")
    made.add_argument("--functions", action="store_true", help="functions inside the kernels")
    arguments = made.parse_args()
    steps = arguments.steps or (1 if arguments.quick else 5)
    measure = by_function if arguments.functions else by_kernel
    with threadpool_limits(1):
        job = Training("minifcn", size=QUICK_SIZE if arguments.quick else SIZE)
        found = measure(job, steps)
    totals, details = rows_of(sums(found), steps), rows_of(found, steps)
    first = "file" if arguments.functions else "kernel"
    second = "function" if arguments.functions else "kernel and first shape"
    for head, rows in ((first, totals), (second, details)):
        shown = rows[: arguments.rows]
        print(table((head, "ms a step", "share", "calls"), shown) + "\n")
    print(f"in all {sum(row[1] for row in totals):.0f} ms a step")
    finish({"steps": steps, first: totals, second: details[:100]}, arguments.json)


if __name__ == "__main__":
    main()
