"""MPI: the same sums, the same training, one voice, and an error of one ends all."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from minifcn.cli import main
from minifcn.data import HotDogs
from minifcn.images import write_png
from minifcn.train.mpi import started

needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or shutil.which("mpirun") is None,
    reason="mpi4py or mpirun is not installed",
)

RUNS_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
TINY = ["--epochs", "2", "--width", "4", "--depth", "3", "--batch-size", "3"]


def mpirun(ranks, *program):
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        ["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, *program],
        env={**os.environ, **RUNS_AS_ROOT, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


SUMS = """
import json
import numpy as np
from minifcn.train.communicator import exchange
from minifcn.train.mpi import PIECE, MPI

team = MPI()
right = True
for dtype in (np.float32, np.float64, np.int64, np.uint8):
    for shape in ((), (0,), (5, 3), (PIECE // 4 + 5,)):
        parts = [np.array(9 * np.random.default_rng(r).random(shape), dtype) for r in range(3)]
        own = parts[team.rank]
        wanted = np.asarray(np.asarray(parts[0] + parts[1]) + parts[2])
        right &= team.all_sum(own).tobytes() == wanted.tobytes()
        right &= team.broadcast(own, 1).tobytes() == parts[1].tobytes()
        right &= team.all_sum(own, out=own) is own and own.tobytes() == wanted.tobytes()
team.barrier()
texts = exchange(team, "x" * team.rank)
if team.rank == 0:
    print(json.dumps([bool(right), team.size, texts]))
"""


@needs_mpi
def test_sums_and_broadcasts():
    done = mpirun(3, "-c", SUMS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, 3, ["", "x", "xx"]]


def write_data(folder):
    """Seven scenes to train on, three to score."""
    for split, scenes in (("train", HotDogs(7, (24, 32))), ("val", HotDogs(3, (24, 32), seed=99))):
        for part in ("images", "labels"):
            (folder / split / part).mkdir(parents=True)
        for index in range(len(scenes)):
            for part, pixels in zip(("images", "labels"), scenes[index], strict=True):
                write_png(folder / split / part / f"{index}.png", pixels)
    classes = {"names": ["background", "hot dog"], "colours": [[0, 0, 0], [9, 9, 9]], "void": None}
    (folder / "classes.json").write_text(json.dumps(classes))
    return str(folder)


@needs_mpi
def test_the_command_trains_as_with_processes_of_its_own(tmp_path):
    """One voice, one writer, and the losses of `--processes 2`."""
    data = write_data(tmp_path / "data")
    done = mpirun(2, "-m", "minifcn", "train", data, "--out", str(tmp_path / "mpi"), *TINY)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 processes") == done.stderr.count("done: ") == 1
    own = [sys.executable, "-m", "minifcn", "train", data, "--out", str(tmp_path / "own")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([*own, *TINY, "--processes", "2"], check=True, capture_output=True, env=env)
    both = [json.loads((tmp_path / n / "history.json").read_text()) for n in ("mpi", "own")]
    assert both[0]["losses"] == both[1]["losses"]
    assert both[0]["epochs"][-1]["scores"] == both[1]["epochs"][-1]["scores"]
    assert np.isfinite(both[0]["losses"]).all()


@needs_mpi
def test_an_error_of_all_is_told_once(tmp_path):
    done = mpirun(2, "-m", "minifcn", "train", str(tmp_path / "nowhere"))
    assert done.returncode != 0
    assert done.stderr.count("no such folder") == 1


FAILS = """
from minifcn.cli.together import started_together

with started_together("train", False) as team:
    if team.rank == 1:
        raise ValueError("no luck")
    team.barrier()
"""


@needs_mpi
def test_an_error_of_one_ends_all_and_is_named():
    began = time.monotonic()
    done = mpirun(2, "-c", FAILS)
    assert done.returncode != 0 and time.monotonic() - began < 60
    assert "minifcn train: no luck (process 1 of 2)" in done.stderr


def test_without_mpi4py_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    assert main(["train", "hotdogs", "--out", "nowhere"]) == 1
    error = capsys.readouterr().err
    assert "mpirun has started 4 processes" in error and 'pip install "minifcn[mpi]"' in error
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    with pytest.raises(SystemExit):
        main(["train", "hotdogs", "--out", "nowhere"])
    assert not capsys.readouterr().err  # one complaint is enough


def test_one_process_needs_no_mpi():
    assert started({}) is None
    assert started({"OMPI_COMM_WORLD_SIZE": "1"}) is None
    assert started({"PMI_SIZE": "no number"}) is None
    assert started({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "1"}) == (3, 1)
