"""How long `import minifcn` takes on top of `import numpy`.

    cost = median over rounds of (numpy and minifcn) - (numpy alone)      target: cost <= numpy / 2

Each time is that of the import statements in a fresh interpreter: what Python needs to start
is left out. The two programs take turns, so that a slow minute of the machine hits both.

    python benchmarks/import_time.py --rounds 31 --json import_time.json
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

PROGRAMS = {"numpy": "import numpy", "numpy + minifcn": "import numpy, minifcn"}
TARGET = 0.5  # of NumPy's own import time


def seconds(program: str) -> float:
    """Run one program in a fresh interpreter; return how long its imports took."""
    timed = f"import time; t = time.perf_counter(); {program}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure(rounds: int) -> dict[str, list[float]]:
    """Times of each program, one per round; the first round fills the caches and is dropped."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(rounds + 1):
        for name, program in PROGRAMS.items():
            took = seconds(program)
            if turn > 0:
                times[name].append(took)
    return times


def report(times: dict[str, list[float]]) -> dict[str, object]:
    """Medians in milliseconds, and the share of NumPy's time that minifcn adds."""
    ms = {name: 1e3 * statistics.median(ts) for name, ts in times.items()}
    paired = zip(times["numpy + minifcn"], times["numpy"], strict=True)
    added = 1e3 * statistics.median(both - alone for both, alone in paired)
    return {
        "median_ms": {name: round(value, 2) for name, value in ms.items()},
        "added_ms": round(added, 2),
        "added_share_of_numpy": round(added / ms["numpy"], 3),
        "target_share": TARGET,
        "rounds": len(times["numpy"]),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time import minifcn on top of import numpy.")
    parser.add_argument("--rounds", type=int, default=31, help="interpreters per program (31)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    times = measure(arguments.rounds)
    result = report(times)
    print(f"{'program':18}{'median ms':>10}{'fastest':>10}{'slowest':>10}")
    for name, ts in times.items():
        row = (1e3 * statistics.median(ts), 1e3 * min(ts), 1e3 * max(ts))
        print(f"{name:18}" + "".join(f"{value:10.1f}" for value in row))
    share = result["added_share_of_numpy"]
    print(f"minifcn adds {result['added_ms']} ms, {share} of NumPy's own time (target {TARGET})")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
