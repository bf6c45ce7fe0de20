"""Frames per second of ESPNet (p 2, q 8) at 480 x 360, from a photo's bytes to every pixel's class.

minifcn by its plan (infer/plan) and without one, against PyTorch eager in both layouts, with malloc
as it is and tuned. Weights are drawn: they change nothing in the time. Sides take turns as in
step.py; logits and class maps are held against float64 first.

    python benchmarks/espnet.py --json benchmarks/results/espnet.json
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.agree import check_inference
from bench.machine import cores
from bench.rates import rates, summaries
from bench.report import finish, parser, patience_of
from bench.side import Side, running, torch_sides
from bench.turns import take_turns

SIZE, QUICK = (360, 480), (32, 48)
TARGET, AIM = 12.0, 20.0  # frames per second on 2 cores


@dataclass(frozen=True)
class Minifcn(Side):
    """With or without a plan."""

    planned: bool = False

    def options(self) -> dict[str, Any]:
        return {**super().options(), "planned": self.planned}


def sides() -> list[Side]:
    """All contenders that can run here."""
    count = max(cores(), 2)
    mine: list[Side] = [
        Minifcn(f"minifcn{', plan' if planned else ''}, {n} thread{'s'[: n > 1]}",
                threads=n, planned=planned)
        for planned in (True, False)
        for n in (count, 1)
    ]  # fmt: skip
    return [side for side in mine + torch_sides() if not side.lacks]


def main() -> None:
    """Check, time, print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="turns of each side (9)")
    arguments = made.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 9)
    size = QUICK if arguments.quick else SIZE
    with running(sides(), "frames", size=size) as children:
        agreed = check_inference(children, "frames", size=size)
        times = take_turns(children, rounds, 5, 1, patience_of(arguments))
    found = summaries(times)
    result: dict[str, Any] = {"size H W": size, "agreement": agreed, "sides": found}
    print(rates(found))
    best = max(row["frames/s"] for title, row in found.items() if title.startswith("minifcn"))
    if not arguments.quick:
        word = "aim met" if best >= AIM else "target met" if best >= TARGET else "MISSED"
        result["verdict"] = f"{best:.1f} frames/s, target {TARGET:.0f}, aim {AIM:.0f}: {word}"
        print(result["verdict"])
    finish(result, arguments.json)


if __name__ == "__main__":
    main()
