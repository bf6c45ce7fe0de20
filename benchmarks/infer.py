"""Frames per second of inference, one photo at a time, minifcn against PyTorch on the same cores.

    squeezenet   SqueezeNet 1.1 at 224 x 224
    fcn          the net of step.py at 360 x 480 (H x W), batch normalisation in evaluation

The photo is copied in each time, and the result comes back as an array. Weights are drawn, not
trained: they change nothing in the time. Sides take turns as in step.py; results are held against
float64 first.

    python benchmarks/infer.py --json benchmarks/results/infer.json
"""

from __future__ import annotations

from typing import Any

from bench.agree import check_inference
from bench.rates import rates, summaries
from bench.report import finish, parser, patience_of
from bench.side import minifcn_sides, running, torch_sides
from bench.turns import take_turns

TASKS = {"squeezenet": (1, 224, 224), "fcn": (1, 360, 480)}
QUICK = {"squeezenet": (1, 40, 32), "fcn": (1, 16, 24)}
CALLS = {"squeezenet": 10, "fcn": 4}  # in a turn
TARGET = 1.0  # of PyTorch eager NCHW


def measure(net: str, quick: bool, rounds: int, patience: float) -> dict[str, Any]:
    """One network on all sides."""
    options = {"net": net, "size": (QUICK if quick else TASKS)[net]}
    sides = [s for s in minifcn_sides(processes=False) + torch_sides(tuned=False) if not s.lacks]
    with running(sides, "inference", **options) as children:
        agreed = check_inference(children, **options)
        times = take_turns(children, rounds, CALLS[net], 1, patience)
    return {"size N H W": options["size"], "agreement": agreed, "sides": summaries(times)}


def main() -> None:
    """Check, time, print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="turns of each side (9)")
    arguments = made.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 9)
    result = {}
    for net in TASKS:
        result[net] = measure(net, arguments.quick, rounds, patience_of(arguments))
        print(f"{net}, {' x '.join(map(str, result[net]['size N H W']))} (N x H x W)")
        print(rates(result[net]["sides"]))
        ours = [row["NCHW"] for t, row in result[net]["sides"].items()
                if t.startswith("minifcn") and "NCHW" in row]  # fmt: skip
        if ours and not arguments.quick:
            word = "met" if min(ours) <= TARGET else "MISSED"
            result[net]["verdict"] = f"{min(ours):.2f} of NCHW, target {TARGET}: {word}"
            print(result[net]["verdict"] + "\n")
        else:
            print("toy sizes, or no PyTorch: nothing to judge\n")
    finish(result, arguments.json)


if __name__ == "__main__":
    main()
