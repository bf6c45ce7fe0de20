"""Several processes: one result, and whatever ends one of them ends all."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minifcn.train import workers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes need Linux or macOS")

CREW = Path(__file__).parent / "crew.py"
METHODS = ["fork", "spawn"] if sys.platform == "linux" else ["spawn"]


def start(*arguments, **options):
    """The program, in a session of its own, as a shell would start it in a terminal."""
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, str(CREW), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


@functools.cache
def run(*arguments):
    """What the program printed, as JSON."""
    child = start(*arguments)
    try:
        output, errors = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 0 and output, errors
    return json.loads(output.splitlines()[-1])


def gone(pid, seconds=10.0):
    """Whether a process ends in time; one that nobody has waited for has ended too."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            stat = Path(f"/proc/{pid}/stat")
            if stat.exists() and stat.read_text().split(") ")[1].startswith("Z"):
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def segments():
    """Shared memory of Python's making that outlives its processes."""
    return {path for kind in ("psm_*", "sem.mp*") for path in Path("/dev/shm").glob(kind)}


@pytest.mark.parametrize("processes", [2, 3])
def test_the_same_seed_gives_the_same_bits(processes):
    got = run("same", METHODS[0], processes)
    assert got["first"] == got["second"]
    assert got["left"] == 0 or METHODS[0] == "spawn"  # multiprocessing's own tracker stays
    assert got["files"] == 0, "files stay open"


def test_a_spawned_process_computes_what_a_forked_one_does():
    assert run("same", "spawn", 2)["first"] == run("same", METHODS[0], 2)["first"]


def test_the_losses_are_those_of_one_process():
    """Up to rounding; the last batch has two images, so one of three processes has none."""
    alone = run("plain", METHODS[0], 1)
    for processes in (2, 3):
        several = run("plain", METHODS[0], processes)
        np.testing.assert_allclose(several["losses"], alone["losses"], rtol=1e-4)


def test_dropout_differs_between_processes():
    """Or two processes would not give other losses than one."""
    assert (
        run("same", METHODS[0], 2)["first"]["losses"]
        != run("same", METHODS[0], 3)["first"]["losses"]
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_goes_on_bit_for_bit(method, tmp_path):
    got = run("stop", method, 2, tmp_path)
    assert got["found"] and got["done"] == 4
    assert got["other"] == got["whole"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "kind, words",
    [
        ("raise", ["ValueError: scene is corrupt", "Traceback"]),
        ("shout", ["more than a pipe holds"]),
        ("kill", ["signal 9", "SIGKILL"]),
        ("exit", ["exit code 3"]),
    ],
)
def test_a_worker_that_dies_stops_the_run_and_is_named(method, kind, words):
    """And not the one that ends because of it, though it comes first."""
    got = run("trouble", method, 3, kind)
    for word in ["process 2 of 3", "pid ", *words]:
        assert word in got["error"]
    assert got["seconds"] < 20
    assert got["left"] == 0 or method == "spawn"  # multiprocessing's own tracker stays


def test_an_error_of_the_first_process_ends_the_others():
    got = run("fails", METHODS[0], 3)
    assert "no scores today" in got["error"]
    assert got["seconds"] < 20
    assert got["left"] == 0 or METHODS[0] == "spawn"


def test_an_error_of_all_processes_is_raised_as_it_is():
    got = run("explodes", METHODS[0], 2)
    assert "use a smaller lr" in got["error"] and got["alone"]
    assert got["left"] == 0 or METHODS[0] == "spawn"


@pytest.mark.parametrize("method", METHODS)
def test_nothing_outlives_a_parent_that_is_killed(method):
    before = segments()
    child = start("endless", method, 3)
    try:
        pids = [int(child.stdout.readline()) for _ in range(2)]
        assert len(set(pids)) == 2
        child.kill()
        child.wait(10)
        assert all(gone(pid) for pid in pids)
        assert segments() <= before
    finally:
        with contextlib.suppress(ProcessLookupError):  # as it should be: none is left
            os.killpg(child.pid, signal.SIGKILL)
        child.stdout.close(), child.stderr.close()


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_reaches_all_and_stops_between_two_steps(method, tmp_path):
    child = start("ctrl_c", method, 2, tmp_path)
    assert child.stdout.readline() == "ready\n"
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    try:
        output, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    got = json.loads(output.splitlines()[-1])
    assert "stopped in epoch" in got["said"] and "--resume" in got["said"]
    assert got["done"] > 0 and (tmp_path / "checkpoint.safetensors").is_file()
    assert child.returncode == 0 and not errors


def test_all_stop_between_two_epochs_when_one_is_asked_to():
    got = run("between", METHODS[0], 3)
    assert got["epoch"] == 1
    assert got["left"] == 0 or METHODS[0] == "spawn"


def test_what_cannot_be_sent_is_named():
    error = run("unsendable", "spawn", 2)["error"]
    assert error.startswith("Trainer: loss cannot be sent") and "lambda" in error


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_process_that_may_start_no_others_is_told():
    error = run("daemon", "fork", 2)["error"]
    assert error == (
        "Trainer: processes is 2, expected 1, as this process is itself a worker (daemon) of "
        "multiprocessing, which may start no others"
    )


def piped(*lines):
    """A program that came by a pipe, and spawns."""
    before = [
        f"import sys; sys.path.insert(0, {str(CREW.parent)!r})",
        "import crew",
        "crew.workers.start_method = lambda: 'spawn'",
    ]
    return subprocess.run(
        [sys.executable, "-"],
        input="\n".join([*before, *lines]),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_program_from_a_pipe_may_spawn():
    """Its __main__ has no file that a new Python could read."""
    told = piped("print(crew.plain(2, None)['losses'])")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == run("plain", METHODS[0], 2)["losses"]


def test_what_a_program_from_a_pipe_defines_cannot_be_sent():
    told = piped("def loss(y, target): return y.mean()", "crew.make(2, loss=loss).fit()")
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1] == (
        "TypeError: Trainer: loss is made of what this program itself defines, but a program "
        "without a file (a notebook, a pipe) cannot be read by other processes; define it in a "
        "module, or take processes 1"
    )


def test_scores_are_made_by_one_process_or_shared():
    """And each of them has one thread for its matrix products."""
    alone, shared = run("scores", METHODS[0], 3)
    assert alone == {"asked": 1, "workers": 0, "threads": 1}
    assert shared == {"asked": 3, "workers": 2, "threads": 3}


def test_a_process_forks_only_where_no_other_thread_runs(monkeypatch):
    for platform, threads, wanted in [
        ("linux", 1, "fork"),
        ("linux", 2, "spawn"),
        ("darwin", 1, "spawn"),
    ]:
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(threading, "active_count", lambda count=threads: count)
        assert workers.start_method() == wanted
