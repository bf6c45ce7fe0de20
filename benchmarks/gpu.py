"""The GPU in parts, each under eight minutes, on generated data: minifcn against PyTorch.

    tests      the whole test-suite on the real device (what CI runs on an emulator)
    ceilings   bandwidth of a copy, rate of a matrix product in each precision
    layers     every 3x3 convolution of nets B and C: against the floor and against cuDNN
    steps      training steps of nets A, B, C against four ways of PyTorch
    memory     peak memory of these steps
    inference  an FCN on 480 x 360, one image and 32

Equality is checked before anything is timed; sides take turns; medians.

    python benchmarks/gpu.py --part layers --json benchmarks/results/gpu_layers.json
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import gpu_infer, gpu_nets, gpu_steps
from bench.gpu_clock import Ours, Theirs, going_on, take
from bench.gpu_layers import PRECISIONS, TARGET, dtype_of, layers, minifcn_precision, one
from bench.layers import DIRECTIONS
from bench.machine import cores, missing
from bench.report import finish, parser, table

Result = dict[str, Any]


def card() -> dict[str, Any]:
    """What stands behind "cuda" here."""
    from minifcn.device import cupy

    cp = cupy()
    found: dict[str, Any] = {"cupy": cp.__version__, "real": hasattr(cp, "show_config")}
    if found["real"]:
        properties = cp.cuda.runtime.getDeviceProperties(0)
        found["gpu"] = properties["name"].decode()
        found["driver"] = cp.cuda.runtime.driverGetVersion()
    if not missing("torch"):
        import torch

        found["torch's CUDA"] = torch.version.cuda
        found["cuDNN"] = torch.backends.cudnn.version()
    return found


def tests(quick: bool, **_: Any) -> Result:
    """The suite as `pytest` runs it, all of it that needs no network."""
    root = Path(__file__).resolve().parents[1]
    some = ["tests/test_contract.py", "-k", "cuda and relu"] if quick else ["tests"]
    # Kernels are compiled on first use, a second or two each and many hundreds: by all cores.
    workers = [] if missing("xdist") or quick else ["-n", str(min(cores(), 12))]
    options = ["-q", "-p", "no:cacheprovider", "--tb=short", "--maxfail=100", "--durations=10"]
    lines = [""]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *workers, *some],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.strip())
    said = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"exit": running.returncode, "failed": said, "last line": lines[-1]}


def ceilings(quick: bool, rounds: int, **_: Any) -> Result:
    """Bytes a second of a copy, read plus written; multiply-adds of a square product, times 2."""
    import minifcn as mf

    count, size = (1 << 12, 32) if quick else (1 << 28, 8192)
    line = mf.tensor(np.zeros(count, np.float32)).to("cuda")
    took = take({"copy": Ours(line.clone)}, rounds)["copy"]
    found: Result = {"bandwidth": 8 * count / (took / 1e3)}
    rng = np.random.default_rng(0)
    a = rng.standard_normal((size, size)).astype(np.float32)
    for precision in PRECISIONS:
        sides: dict[str, Any] = {}
        with minifcn_precision(precision):
            own = mf.tensor(a).to("cuda").astype(dtype_of(precision))
            sides["minifcn"] = Ours(lambda own=own: mf.matmul(own, own), 2)
            if not missing("torch"):
                import torch

                torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
                other = torch.tensor(a, device="cuda").to(getattr(torch, dtype_of(precision)))
                sides["PyTorch"] = Theirs(lambda other=other: other @ other, 2)
            times = take(sides, rounds)
        found[precision] = 2 * size**3 / (min(times.values()) / 1e3)
        found[f"{precision} by"] = {k: 2 * size**3 / (v / 1e3) for k, v in times.items()}
    rows = []
    for precision in PRECISIONS:
        by = found[f"{precision} by"]
        each = [by[side] / 1e12 if side in by else None for side in ("minifcn", "PyTorch")]
        rows.append([precision, found[precision] / 1e12, *each])
    print(table(("matrix product, TFLOP/s", "most", "minifcn", "PyTorch"), rows))
    print(f"copy: {found['bandwidth'] / 1e12:.3g} TB/s")
    return found


def convolutions(quick: bool, rounds: int, only: list[str] | None, **_: Any) -> Result:
    """Each layer in each precision, three directions."""
    roof = ceilings(quick, 3)
    refused: dict[str, str] = {}
    found: Result = {"ceilings": roof, "layers": {}, "refused": refused}
    rows, verdicts = [], []
    for layer in layers(quick)[: 2 if quick else None]:
        if only and not any(word in layer.name for word in only):
            continue
        for precision in PRECISIONS:
            name = f"{layer.name}, {precision}"
            with going_on(name, refused):
                result = one(layer, precision, rounds, 1 if quick else 10, roof, quick)
                found["layers"][name] = result
            if name in refused:
                continue
            sums = {
                side: sum(result["ms"][d][side] for d in DIRECTIONS)
                for side in result["ms"]["forward"]
            }
            floor = sum(result["floor ms"].values())
            best = min((v for s, v in sums.items() if s != "minifcn"), default=None)
            ratio = sums["minifcn"] / best if best else None
            rows.append([f"{layer.name}, {precision}",
                         *(result["ms"][d]["minifcn"] for d in DIRECTIONS), sums["minifcn"], floor,
                         sums.get("NCHW"), sums.get("channels_last"), ratio, TARGET[precision],
                         max(result["error"].values())])  # fmt: skip
            result["/ cuDNN"] = ratio
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
            if ratio and ratio > TARGET[precision] and not quick:
                verdicts.append(f"{rows[-1][0]}: {ratio:.2f}, target {TARGET[precision]}: MISSED")
    print(table(("layer", *DIRECTIONS, "sum ms", "floor", "NCHW", "ch.last", "/ cuDNN", "target",
                 "error"), rows))  # fmt: skip
    met = len(rows) - len(verdicts)
    verdicts += [f"{name}: REFUSED, {why}" for name, why in refused.items()]
    if not missing("torch") and not quick:
        verdicts.append(f"{met} of {len(rows) + len(refused)} layers within their targets")
    print("\n".join(verdicts))
    return {**found, "verdicts": verdicts}


def steps(quick: bool, rounds: int, only: list[str] | None, **_: Any) -> Result:
    """A training step of each net, every side."""
    found: Result = {}
    rows: list[list[Any]] = []
    verdicts: list[str] = []
    for net in gpu_nets.NETS.values():
        if only and net.name not in only:
            continue
        shaped = net.small() if quick else net
        result = gpu_steps.train(shaped, rounds, 2 if quick else 20)
        found[net.name] = result
        for side, took in result["ms"].items():
            row = result["ratios"].get(side, {})
            rows.append([f"{net.name}, {side}", took, shaped.batch / took * 1e3, row.get("eager"),
                         row.get("eager autocast"), row.get("compiled")])  # fmt: skip
        verdicts += [] if quick else gpu_steps.verdicts(net.name, result)
        verdicts += [f"{name}: REFUSED, {why}" for name, why in result["refused"].items()]
        print("\n".join(verdicts), file=sys.stderr, flush=True)
    print(table(("step", "ms", "images/s", "/ eager", "/ eager autocast", "/ compiled"), rows))
    print("\n".join(verdicts))
    return {"nets": found, "verdicts": verdicts}


def memory(quick: bool, only: list[str] | None, **_: Any) -> Result:
    """What each side has reserved on the device after some steps, MiB; a process each."""
    found: Result = {}
    rows = []
    for net in gpu_nets.NETS.values():
        if only and net.name not in only:
            continue
        result = found[net.name] = gpu_steps.peaks(net.small() if quick else net)
        best = min((v for s, v in result.items() if not s.startswith("minifcn")), default=None)
        for side, most in result.items():
            rows.append([f"{net.name}, {side}", most, most / best if best else None])
    print(table(("peak", "MiB", "/ least of PyTorch"), rows))
    return found


def inference(quick: bool, rounds: int, **_: Any) -> Result:
    """The FCN of step.py in evaluation, 480 x 360, one image and 32."""
    found: Result = {}
    rows = []
    for count in (1, 2) if quick else (1, 32):
        size = (count, 16, 24) if quick else (count, 360, 480)
        result = found[f"batch {count}"] = gpu_infer.infer(size, rounds, 2 if quick else 20)
        for side, took in result["ms"].items():
            agree = result["agreement"][side]
            rows.append([f"batch {count}, {side}", took, 1e3 * count / took, agree])
    print(table(("inference", "ms", "images/s", "same classes"), rows))
    return found


PARTS: dict[str, Callable[..., Result]] = {
    "tests": tests,
    "ceilings": ceilings,
    "layers": convolutions,
    "steps": steps,
    "memory": memory,
    "inference": inference,
}


def main() -> None:
    """One part."""
    made = parser(__doc__)
    made.add_argument("--part", required=True, choices=PARTS)
    made.add_argument("--rounds", type=int, help="turns of each side (7)")
    made.add_argument("--only", nargs="+", metavar="WORD", help="nets or layers with such words")
    arguments = made.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 7)
    what = card()
    print(", ".join(f"{key} {value}" for key, value in what.items()), flush=True)
    part = PARTS[arguments.part]
    result = part(quick=arguments.quick, rounds=rounds, only=arguments.only)
    finish({"part": arguments.part, "card": what, **result}, arguments.json)
    if any("REFUSED" in line for line in result.get("verdicts", ())):
        raise SystemExit("not everything could be timed, see REFUSED")


if __name__ == "__main__":
    main()
