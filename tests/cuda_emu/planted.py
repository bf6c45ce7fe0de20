"""Plant bugs in the CUDA kernels, one at a time, and see which check finds each.

    python tests/cuda_emu/planted.py                 every bug, every check: a table
    python tests/cuda_emu/planted.py barrier pack    the bugs with these words in their names
    python tests/cuda_emu/planted.py --checks values thread

values    a test of the suite fails: other numbers than NumPy's, or nan where nobody wrote
orders    the same with blocks, warps and lanes in the reverse order
reports   the emulator says what is wrong: a deadlock, a write beyond an array, a crash
address   AddressSanitizer or UndefinedBehaviorSanitizer
thread    ThreadSanitizer
nvrtc     it does not compile for a GPU, spills, or uses local memory

A bug that nothing finds is a failure. So is one that a check does not find whose name stands beside
it in planted_bugs.py, one whose text is no longer in the kernel, and whatever a check finds in the
kernels as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, from anywhere

from minifcn.kernels.cupy_kernels.launch import FOLDER
from tests.cuda_emu import sanitize
from tests.cuda_emu.nvrtc_library import installed
from tests.cuda_emu.planted_bugs import BUGS, Bug

RUNS = {  # run -> (sanitizer, order): what each learns stands under its checks
    "plain": ("", 0),
    "orders": ("", 3),
    "address": ("address", 0),
    "thread": ("thread", 0),
    "nvrtc": ("", 0),
}
CHECKS = ("values", "orders", "reports", "address", "thread", "nvrtc")
REPORTS = {"CUDADriverError", "CUDARuntimeError"}  # what the emulator raises
PATIENCE = 900  # seconds
WIDTH = max(len(bug.name) for bug in BUGS)
CHILD = Path(__file__).with_name("planted_child.py")


@dataclass(frozen=True)
class Found:
    """Which checks found something, in the words of the first."""

    checks: frozenset[str]
    said: str


def plant(bug: Bug, folder: Path) -> Path:
    """A copy of the kernels with one bug."""
    copy = folder / "cuda"
    shutil.copytree(FOLDER, copy)
    path = copy / bug.file
    text = path.read_text("utf-8")
    if text.count(bug.old) != 1:
        count = text.count(bug.old)
        raise LookupError(f"{bug.name}: {bug.file} has {count} times the text {bug.old!r}")
    path.write_text(text.replace(bug.old, bug.new), "utf-8")
    return copy


def look(run: str, kernels: Path, tests: Sequence[str], file: str) -> Found:
    """Run tests, or NVRTC, on these kernels."""
    sanitizer, order = RUNS[run]
    work = ["nvrtc", Path(file).stem] if run == "nvrtc" else ["pytest", *tests]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        try:
            done = subprocess.run(
                [sys.executable, str(CHILD), str(kernels), str(answer), *work],
                cwd=sanitize.ROOT,
                env={
                    **sanitize.environment(sanitizer, order),
                    "MINIFCN_CUDA": "emulator",
                    "PYTEST_ADDOPTS": "",  # of whoever tests this, perhaps with several workers
                },
                preexec_fn=sanitize.same_addresses,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return Found(frozenset({"reports"}), f"no end after {PATIENCE} s")
        said = json.loads(answer.read_text()) if answer.exists() else None
    printed = done.stdout + done.stderr
    report = sanitize.report(sanitizer, printed)
    if report:
        return Found(frozenset({run}), report)
    if done.returncode < 0 or "ERROR: ThreadSanitizer" in printed:
        return Found(frozenset({"reports"}), f"a crash, exit {done.returncode}")
    if said is None or not said["ran"]:
        raise RuntimeError(f"{run}: nothing was tested:\n{printed[-3000:]}")
    if run == "nvrtc":
        return Found(frozenset({run} if said["failed"] else ()), "".join(said["failed"][:1]))
    if sanitizer:
        return Found(frozenset(), "")  # what else fails, the plain run says
    kinds = {"reports" if kind in REPORTS else "values" for kind, _ in said["failed"]}
    if run == "orders" and "values" in kinds:
        kinds = {"orders"}
    return Found(frozenset(kinds), "".join(text for _, text in said["failed"][:1]))


def judge(bug: Bug, runs: list[str]) -> dict[str, Found]:
    """What every run finds."""
    with tempfile.TemporaryDirectory() as folder:
        kernels = plant(bug, Path(folder))
        return {run: look(run, kernels, bug.selection(), bug.file) for run in runs}


def seen(found: dict[str, Found]) -> set[str]:
    """The checks that found something."""
    return {check for one in found.values() for check in one.checks}


def wrong(bug: Bug, found: dict[str, Found], checks: Sequence[str]) -> list[str]:
    """What should have found the bug, of these checks."""
    asked = [check for check in bug.caught if check in checks]
    if asked and not seen(found):
        return [f"{bug.name}: nothing found it"]
    missing = [check for check in asked if check not in seen(found)]
    return [f"{bug.name}: {check} did not find it" for check in missing]


def clean(run: str, selection: tuple[str, ...]) -> list[str]:
    """What is found in the kernels as they are, by tests that are to find bugs."""
    found = look(run, FOLDER, selection, "")
    return [f"without a bug, {check} finds: {found.said}" for check in found.checks]


def row(bug: Bug, seen: Collection[str], checks: Sequence[str]) -> str:
    """A line of the table."""
    cells = "  ".join(("x" if c in seen else ".").center(len(c)) for c in checks)
    return f"{bug.name:{WIDTH}}  {bug.file:18}  {cells}"


def runs_of(checks: Sequence[str]) -> list[str]:
    """Which runs fill these columns."""
    wanted = {"plain" if c in ("values", "reports") else c for c in checks}
    return [run for run in RUNS if run in wanted and (run != "nvrtc" or installed())]


def main() -> int:
    parser = argparse.ArgumentParser(description="plant bugs in the kernels; who finds them?")
    parser.add_argument("words", nargs="*", help="parts of names of bugs (all)")
    parser.add_argument("--checks", nargs="+", default=list(CHECKS), choices=CHECKS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    bugs = [b for b in BUGS if not given.words or any(w in b.name for w in given.words)]
    runs = runs_of(given.checks)
    # nvrtc.py holds all kernels as they are against NVRTC
    sound = sorted({(run, bug.selection()) for run in runs for bug in bugs if run != "nvrtc"})
    said = []
    print(f"{'bug':{WIDTH}}  {'file':18}  " + "  ".join(given.checks), flush=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        planted = [(bug, pool.submit(judge, bug, runs)) for bug in bugs]
        untouched = [pool.submit(clean, *one) for one in sound]
        for bug, work in planted:
            try:
                found = work.result()
            except (LookupError, RuntimeError) as error:
                said.append(str(error))
                continue
            print(row(bug, seen(found), given.checks), flush=True)
            said += wrong(bug, found, given.checks)
        for waiting in untouched:
            said += waiting.result()
    for text in said:
        print(f"FAILED  {text}")
    print(f"{len(bugs)} bugs, {len(said) or 'no'} failures")
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
