"""Compile the CUDA kernels without a GPU, and say what each one uses.

    python tests/cuda_emu/nvrtc.py          the first build of every line, for sm_80 and sm_90
    python tests/cuda_emu/nvrtc.py --all    every build, for all cards
    python tests/cuda_emu/nvrtc.py conv --arch 75 --each

A kernel fails if it does not compile, if registers are spilled, if it uses local memory (a stack
frame) for which its header gives no reason, or if no build contains it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, from anywhere

from minifcn.kernels.cupy_kernels.launch import declarations, source
from tests.cuda_emu.nvrtc_builds import files, stack_allowed, tasks
from tests.cuda_emu.nvrtc_library import MISSING, NVRTC, Macros, installed

CARDS = (75, 80, 90, 120)
QUICK = (80, 90)


class Kernel(NamedTuple):
    """What one kernel uses in one build for one card; sizes in bytes."""

    file: str
    macros: Macros
    card: int
    name: str
    registers: int
    shared: int
    stack: int
    stores: int
    loads: int

    @property
    def problem(self) -> str:
        if self.stores or self.loads:
            return f"spills {self.stores} bytes out, {self.loads} in"
        if self.stack and self.name not in stack_allowed(self.file):
            return f"uses a stack of {self.stack} bytes, and no Stack line of the header says why"
        return ""


class Failure(NamedTuple):
    """A build that does not compile."""

    file: str
    macros: Macros
    card: int
    problem: str


@cache
def compiler() -> NVRTC:
    """One per process."""
    return NVRTC()


def kernels_in(log: str, file: str, macros: Macros, card: int) -> list[Kernel]:
    """Every kernel that ptxas tells of; functions it did not inline count to their kernel."""
    made = []
    for part in log.split("Compiling entry function '")[1:]:

        def total(pattern: str, part: str = part) -> int:
            return sum(map(int, re.findall(pattern, part)))

        made.append(
            Kernel(
                file,
                macros,
                card,
                part.partition("'")[0],
                total(r"Used (\d+) registers"),
                total(r"(\d+) bytes smem"),
                total(r"(\d+) bytes stack frame"),
                total(r"(\d+) bytes spill stores"),
                total(r"(\d+) bytes spill loads"),
            )
        )
    return made


def compiled(task: tuple[str, Macros, int]) -> list[Kernel] | Failure:
    """One build for one card."""
    file, macros, card = task
    try:
        log = compiler().compile(source(file), card, macros, f"{file}.cu")
    except RuntimeError as error:
        return Failure(file, macros, card, str(error))
    return kernels_in(log, file, macros, card) or Failure(file, macros, card, "has no kernel")


def compile_all(
    work: Sequence[tuple[str, Macros, int]], jobs: int = 0
) -> tuple[list[Kernel], list[Failure]]:
    """Every build, in parallel processes."""
    if installed() is None:
        raise RuntimeError(MISSING)
    kernels: list[Kernel] = []
    failures: list[Failure] = []
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        for made in pool.map(compiled, work):
            if isinstance(made, Failure):
                failures.append(made)
            else:
                kernels += made
    return kernels, failures


def shown(macros: Macros) -> str:
    return " ".join(f"{name}={value}" for name, value in macros)


def table(kernels: Sequence[Kernel], each: bool = False) -> str:
    """One row per kernel with its largest numbers, or one per kernel, build and card."""
    groups: dict[tuple[str, str, str], list[Kernel]] = {}
    for one in kernels:
        own = f"{shown(one.macros)} sm_{one.card}" if each else ""
        groups.setdefault((one.file, one.name, own), []).append(one)
    cards = sorted({one.card for one in kernels})
    rows = [["kernel", "builds", *(f"sm_{c}" for c in cards), "shared", "stack", "spill", ""]]
    for (file, name, own), found in groups.items():
        used = [max((k.registers for k in found if k.card == c), default=0) for c in cards]
        rows.append(
            [
                f"{file}.{name}",
                own or str(len({k.macros for k in found})),
                *(str(r) if r else "-" for r in used),
                str(max(k.shared for k in found)),
                str(max(k.stack for k in found)),
                f"{max(k.stores for k in found)}/{max(k.loads for k in found)}",
                "FAILS" if any(k.problem for k in found) else "",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if k < 2 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def problems(kernels: Sequence[Kernel], failures: Sequence[Failure]) -> list[str]:
    """What fails, one text each."""
    return [f"{k.file}.{k.name} for sm_{k.card}, {shown(k.macros)}: {k.problem}"
            for k in kernels if k.problem] + [
        f"{f.file}.cu for sm_{f.card}, {shown(f.macros)}: {f.problem}" for f in failures
    ]  # fmt: skip


def left_out(kernels: Sequence[Kernel], wanted: Sequence[str]) -> list[str]:
    """Kernels of these files that no build contains."""
    made = {(k.file, k.name) for k in kernels}
    return [
        f"{file}.{name}: no build contains it"
        for file in wanted
        for name in declarations(source(file), {})
        if (file, name) not in made
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="compile the CUDA kernels with NVRTC, no GPU")
    parser.add_argument("files", nargs="*", metavar="FILE", help="names of .cu files (all)")
    parser.add_argument("--all", action="store_true", help="every build, for every card")
    parser.add_argument("--arch", type=int, nargs="+", metavar="CARD", help="as in 75 80 90 120")
    parser.add_argument("--each", action="store_true", help="a row per build and card")
    parser.add_argument("--jobs", type=int, default=0, help="processes (as many as cores)")
    given = parser.parse_args()
    if installed() is None:
        parser.exit(2, f"{MISSING}\n")
    start = time.perf_counter()
    wanted = [Path(name).stem for name in given.files] or files()
    cards = given.arch or (CARDS if given.all else QUICK)
    work, wrong = [], []
    for file in wanted:
        try:
            work += tasks(file, given.all or given.each, cards)
        except (OSError, ValueError) as error:  # no such file, or a header that cannot be read
            wrong.append(str(error))
    kernels, failures = compile_all(work, given.jobs)
    print(table(kernels, given.each))
    wrong += problems(kernels, failures)
    broken = {f.file for f in failures}
    wrong += left_out(kernels, sorted({file for file, *_ in work} - broken))
    for text in wrong:
        print(f"FAILED  {text}")
    print(
        f"{len(work)} builds of {len(wanted)} files, {len(kernels)} kernels, "
        f"NVRTC {compiler().version()}, {time.perf_counter() - start:.0f} s: "
        f"{len(wrong) or 'nothing'} failed; registers are the most of all builds"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
