"""machine: what a benchmark ran on, and what else ran there meanwhile.

The load of others is what all processes took (/proc/stat) less what our own took, as a share of
all cores. Where there is no /proc it is unknown, and nobody waits.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "torch", "autograd", "tinygrad")
QUIET = 0.05  # share of the machine that others may take
WINDOW = 0.3  # seconds over which it is looked at


def missing(library: str) -> bool:
    """Whether a library is not installed here."""
    return importlib.util.find_spec(library) is None


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """The machine, the versions, and the command: what belongs to every result."""
    import minifcn

    found = {name: _version(name) for name in LIBRARIES if not missing(name)}
    script = Path(sys.argv[0]).name
    return {
        "machine": {
            "cpu": _cpu(),
            "cores": cores(),
            "memory GiB": _memory(),
            "system": f"{platform.system()} {platform.machine()}",
            "numpy's BLAS": _blas(),
        },
        "versions": {
            "python": platform.python_version(),
            "minifcn": minifcn.__version__,
            **found,
        },
        "command": " ".join(["python", f"benchmarks/{script}", *map(shlex.quote, sys.argv[1:])]),
        "date": time.strftime("%Y-%m-%d"),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {"model name": "", "cpu family": "", "model": ""}
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in fields:
            fields[key.strip()] = value.strip()
    if not fields["model name"]:
        return platform.machine()
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"


def _blas() -> str:
    """NumPy's library of matrix products, and for which cores it takes its code."""
    import numpy  # noqa: F401 - so that its library is loaded
    from threadpoolctl import threadpool_info

    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    words = [f"{b['internal_api']} {b['version']} {b.get('architecture', '')}" for b in found]
    asked = os.environ.get("OPENBLAS_CORETYPE")
    return ", ".join(words) + (f" (OPENBLAS_CORETYPE={asked})" if asked else "")


def _memory() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
    return round(total / 2**30, 1)


class Load:
    """What others took of the machine since this object was made; `sessions` are ours."""

    def __init__(self, sessions: Iterable[int] = ()) -> None:
        self.sessions = set(sessions)
        self.began = time.monotonic()
        self.busy, self.own, self.faults = _busy(), self._own(), self._faults()

    def seconds(self) -> float:
        """CPU seconds of our own processes."""
        return self._own() - self.own

    def others(self) -> float | None:
        """Their share of all cores."""
        busy = _busy()
        if busy is None or self.busy is None:
            return None
        took = busy - self.busy - self.seconds()
        return max(took, 0.0) / max(time.monotonic() - self.began, 1e-3) / (os.cpu_count() or 1)

    def page_faults(self) -> float:
        """Fresh pages that our processes had to be given, each filled with zeros by the system."""
        return self._faults() - self.faults

    def _faults(self) -> float:
        return sum(int(fields[7]) for pid in members(self.sessions) if (fields := _fields(pid)))

    def _own(self) -> float:
        """CPU seconds so far of this process and of all those in our sessions."""
        times = os.times()
        total = times.user + times.system
        for pid in members(self.sessions):
            total += _ticks(pid)
        return total


def members(sessions: set[int]) -> list[int]:
    """The processes of some sessions; none where there is no /proc."""
    if not sessions or not os.path.isdir("/proc/self"):
        return []
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _fields(int(name))
            if fields and int(fields[3]) in sessions:
                found.append(int(name))
    return found


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat after the program's name: state, parent, group, session, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _ticks(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _busy() -> float | None:
    """CPU seconds that all cores have worked since the start: user, system, interrupts, stolen."""
    try:
        with open("/proc/stat", encoding="utf-8") as file:
            user, nice, system, _, _, irq, soft, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(sessions: Iterable[int], patience: float) -> float | None:
    """Wait, at most `patience` seconds, until others take less than QUIET; their last share."""
    deadline = time.monotonic() + patience
    while True:
        load = Load(sessions)
        if load.busy is None or patience <= 0:
            return None
        time.sleep(WINDOW)
        others = load.others()
        if others is None or others < QUIET or time.monotonic() > deadline:
            return others
