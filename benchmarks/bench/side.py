"""side: one contender of a benchmark, in a process of its own.

Side      what it is: library, threads, memory layout, malloc's settings
Running   its process: made once, asked through a pipe, stopped (SIGSTOP) while others are timed
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .machine import cores, missing

# PyTorch gives the memory of each large result back to the system and fetches it anew, zeros and
# all. With these settings glibc keeps it; few users know them, but they are the fairest opponent.
TUNED_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 33),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Side:
    """A contender: its library and how it is set."""

    title: str
    name: str = "minifcn"  # or torch
    threads: int = 1
    processes: int = 1
    channels_last: bool = False
    tuned: bool = False

    def options(self) -> dict[str, Any]:
        """For the job."""
        made: dict[str, Any] = {"name": self.name, "threads": self.threads}
        if self.channels_last:
            made["channels_last"] = True
        if self.processes > 1:
            made["processes"] = self.processes
        return made

    @property
    def lacks(self) -> str:
        """Why it cannot run here, or nothing."""
        if self.name == "torch":
            return "PyTorch is not installed" if missing("torch") else ""
        return "Trainer knows no processes" if self.processes > 1 and not _has_processes() else ""


def _has_processes() -> bool:
    from minifcn.train.trainer import Trainer

    return "processes" in inspect.signature(Trainer).parameters


def minifcn_sides(processes: bool = True) -> list[Side]:
    """One process with one thread, with one per core; and a process per core."""
    count = max(cores(), 2)
    sides = [
        Side("minifcn, 1 process", threads=1),
        Side(f"minifcn, 1 process, {count} threads", threads=count),
    ]
    if processes:
        sides.append(Side(f"minifcn, {count} processes", processes=count))
    return sides


def torch_sides(tuned: bool = True) -> list[Side]:
    """PyTorch eager with a thread per core: both layouts, malloc as it is and tuned."""
    count = max(cores(), 2)
    return [
        Side("PyTorch " + layout + how, "torch", count, 1, layout == "channels_last", how != "")
        for how in ("", ", tuned malloc")[: 2 if tuned else 1]
        for layout in ("NCHW", "channels_last")
    ]


class Running:
    """A side's process."""

    def __init__(self, side: Side, job: str, **options: Any) -> None:
        self.side = side
        folder = Path(__file__).resolve().parents[1]
        given = os.environ.get("PYTHONPATH", "")
        paths = [os.path.abspath(path) for path in given.split(os.pathsep) if path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        environment.update({name: str(side.threads) for name in THREADS})
        environment.update(TUNED_MALLOC if side.tuned else {})
        environment.setdefault("DEV", "CPU")  # tinygrad's device
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,  # where `bench` is found
            start_new_session=True,
        )
        job = f"shared {job}" if side.processes > 1 else job
        try:
            self.ask("make", job=job, **side.options(), **options)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Also the number of its session, to which the processes that it starts belong."""
        return self.process.pid

    def ask(self, what: str, **options: Any) -> Any:
        """Let it do something, and wait for the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, "with": options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.side.title}: ended with {self.process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"{self.side.title}: {what} failed\n{reply['error']}")
        return reply["answer"]

    def kill(self) -> None:
        """End it and the processes that it started, by force."""
        if hasattr(os, "killpg"):
            os.killpg(self.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it: politely, then by force."""
        try:
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.stdin.close()
            self.process.wait(10)
        except (subprocess.TimeoutExpired, OSError):
            self.kill()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


@contextmanager
def running(sides: list[Side], job: str, **options: Any) -> Iterator[list[Running]]:
    """The processes of some sides, each with the job made; all end with the block."""
    with ExitStack() as stack:
        made = []
        for side in sides:
            child = Running(side, job, **options)
            stack.callback(child.close)
            made.append(child)
        yield made
