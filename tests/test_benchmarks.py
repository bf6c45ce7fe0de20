"""The benchmarks run, at toy size, and refuse to time what does not agree.

PyTorch's sides take part where PyTorch is installed; the scripts say so where it is not.
"""

import importlib
import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
LINUX = sys.platform == "linux"

pytest.importorskip("threadpoolctl", reason="the benchmarks pin BLAS threads with threadpoolctl")


def run(script: str, *arguments: str, torch: bool = False) -> str:
    """What a script prints at toy size; without PyTorch, even if there is one, unless asked."""
    hide = "" if torch else "import sys; sys.modules['torch'] = None\n"
    program = (
        f"{hide}import runpy, sys\n"
        f"sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        f"sys.argv = sys.argv[1:]\n"
        f"runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(BENCHMARKS / script), "--quick", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


GPU_PARTS = {  # part of gpu.py: (arguments, what its table must name)
    "ceilings": ((), ("matrix product", "bfloat16", "copy")),
    "layers": (("--only", "B 3"), ("B 3 to 32 at 128, tf32", "weight")),
    "steps": (("--only", "A"), ("A, minifcn float32", "A, minifcn bfloat16")),
    "memory": (("--only", "A"), ("A, minifcn float32", "MiB")),
    "inference": ((), ("batch 1, minifcn float16",)),
}
QUICK_PARTS = {"ceilings", "steps"}


@pytest.mark.parametrize(
    "part", [p if p in QUICK_PARTS else pytest.param(p, marks=pytest.mark.slow) for p in GPU_PARTS]
)
def test_part_of_the_gpu_runs_on_the_device_of_the_tests(
    part: str, tmp_path: Path, capsys: Any, monkeypatch: Any, cuda: Any
) -> None:
    """As on a GPU, but for the time it takes: with nobody to watch."""
    path, (more, words) = tmp_path / "result.json", GPU_PARTS[part]
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    arguments = ["--part", part, "--quick", "--json", str(path), *more]
    monkeypatch.setattr(sys, "argv", ["benchmarks/gpu.py", *arguments])
    monkeypatch.setitem(sys.modules, "torch", None)
    runpy.run_path(str(BENCHMARKS / "gpu.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert all(word in printed for word in words), printed
    assert json.loads(path.read_text(encoding="utf-8"))["part"] == part


SCRIPTS = {  # what its table must name
    "step.py": ("minifcn, 1 process", "2 processes", "PyTorch is not installed"),
    "conv.py": ("3x3 depthwise", "transposed k32s16", "winograd2"),
    "infer.py": ("squeezenet", "fcn", "frames/s"),
    "espnet.py": ("minifcn, plan, 1 thread", "frames/s"),
    "memory.py": ("peak PSS", "minifcn, 1 process"),
    "scaling.py": ("pixels", "batch", "channels", "processes"),
    "curve.py": ("im2col, seed 0", "seed noise"),
    "where.py": ("zeros", "repeated"),
    "breakdown.py": ("ms a step", "conv2d_weight", "between kernels"),
}


DRAW = {"scaling.py", "curve.py"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_runs_at_toy_size(script: str, tmp_path: Path) -> None:
    if script == "memory.py" and not LINUX:
        pytest.skip("memory.py reads /proc, which only Linux has")
    path, plot = tmp_path / "result.json", tmp_path / "plot.png"
    draws = script in DRAW and importlib.util.find_spec("matplotlib") is not None
    more = ["--plot", str(plot)] if draws else ["--algorithms"] if script == "conv.py" else []
    printed = run(script, "--json", str(path), *more)
    assert all(word in printed for word in SCRIPTS[script]), printed
    result = json.loads(path.read_text(encoding="utf-8"))
    assert set(result) >= {"machine", "versions", "command", "date"}
    assert result["command"].startswith(f"python benchmarks/{script} --quick")
    assert result["versions"]["numpy"] == np.__version__
    if draws:
        with Image.open(plot) as picture:
            assert min(picture.size) > 300
            greys = np.unique(np.asarray(picture.convert("L")))
            assert len(greys) > 10, "an empty picture"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_takes_part_where_it_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    run("step.py", "--only", "1 process", "PyTorch", "--json", str(path), torch=True)
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["agreement"]["reference"] == "PyTorch, float64"
    assert result["sides"]["PyTorch NCHW"]["NCHW"] == 1.0


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """bench(name): a module of benchmarks/."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_layers_have_the_shapes_that_they_say(bench: Any) -> None:
    layers = bench("bench.layers")
    for layer in layers.LAYERS:
        small = layer.small()
        x, w, g = small.shapes
        calls = layers.minifcn_calls(small)
        shapes = {direction: call().shape for direction, call in calls.items()}
        assert shapes == {"forward": g, "image": x, "weight": w}, layer.name


def test_a_line_is_found_and_a_bend_is_seen(bench: Any) -> None:
    n = [1.0, 2.0, 4.0, 8.0]
    straight = bench("scaling").line(n, [0.5 + 2 * k for k in n])
    assert (straight["a"], straight["b"]) == pytest.approx((0.5, 2.0))
    assert straight["off"] == pytest.approx([0.0] * 4, abs=1e-12)
    square = bench("scaling").line(n, [k * k for k in n])
    assert square["a"] >= 0 and max(map(abs, square["off"])) > 0.25


def test_curves_within_the_noise_of_seeds_are_told_from_others(bench: Any) -> None:
    curve = bench("curve")
    seeds = {f"fast, seed {k}": [1.0 + 0.1 * k] * 9 for k in range(3)}
    near = curve.judge({**seeds, "im2col, seed 0": [1.15] * 9}, 3)
    far = curve.judge({**seeds, "im2col, seed 0": [1.5] * 9}, 3)
    assert near["within seed noise"] and not far["within seed noise"]
    assert near["fast - im2col"] == pytest.approx(0.15)


def test_loud_turns_do_not_count_unless_most_are(bench: Any) -> None:
    turns = bench("bench.turns")
    quiet, loud = turns.Turn([1.0, 1.1], 1.0, 0.0, 0.01), turns.Turn([9.0, 0.5], 1.0, 0.0, 0.4)
    some = turns.Times([quiet, loud, loud])
    assert (some.median, some.least, some.quiet) == (pytest.approx(1.05), 0.5, "1 of 3")
    slow = turns.Turn([5.0, 9.0], 1.0, 0.0, 0.4)
    assert turns.Times([quiet, slow, slow, slow]).median == 5.0
    assert turns.Times([turns.Turn([2.0], 1.0, 0.0, None)]).median == 2.0


@pytest.mark.parametrize("wrong", ["loss", "next", "gradient"])
def test_sides_that_disagree_are_not_timed(
    bench: Any, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree = bench("bench.agree")
    right = {"loss": 2.0, "next": 1.9}, {"w": np.array([3.0, 4.0])}

    def asked(side: Any, folder: str) -> Any:
        losses, gradients = dict(right[0]), {"w": right[1]["w"].copy()}
        if side.side.title == "wrong" and wrong == "gradient":
            gradients["w"][0] = np.nan
        elif side.side.title == "wrong":
            losses[wrong] *= 1.01
        return losses, gradients

    def nothing_runs(*_: Any, **__: Any) -> Any:
        return bench("contextlib").nullcontext([SimpleNamespace(side=SimpleNamespace(title=""))])

    monkeypatch.setattr(agree, "_asked", asked)
    monkeypatch.setattr(agree, "running", nothing_runs)
    sides = [SimpleNamespace(side=bench("bench.side").Side(title)) for title in ("right", "wrong")]
    agree.check_training(sides[:1])
    with pytest.raises(SystemExit, match="wrong: .* not the same computation"):
        agree.check_training(sides)


def test_own_work_is_not_the_load_of_others(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's counter holds our seconds and theirs: here 5 of theirs, in 2 seconds."""
    machine = bench("bench.machine")
    theirs, now = 0.0, 100.0
    monkeypatch.setattr(machine, "_busy", lambda: machine.Load._own(load) + theirs)
    monkeypatch.setattr(machine.time, "monotonic", lambda: now)
    load: Any = object.__new__(machine.Load)
    load.sessions = set()
    load.__init__()
    sum(range(10**6))  # ours
    theirs, now = 5.0, 102.0
    assert load.others() == pytest.approx(5.0 / 2.0 / (os.cpu_count() or 1), rel=0.02)
