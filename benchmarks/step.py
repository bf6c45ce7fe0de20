"""A training step of a small FCN, minifcn against PyTorch on the same cores.

    net     3 x (conv 3x3, norm, ReLU twice, pool) 32-64-128, 1x1 scores of each pool to 12 classes,
            three transposed convolutions k4 s2, skips; cross-entropy; SGD with momentum
    batch   8 images of 192 x 256, copied in at each step
    sides   minifcn in one process and in one per core; PyTorch eager, NCHW and channels_last, with
            malloc as it is and tuned to keep its memory

All sides run in one go, each in its own process, and take turns on a quiet machine. Before that,
loss and gradients of each are held against float64.

    python benchmarks/step.py --json benchmarks/results/step.json
"""

from __future__ import annotations

from typing import Any

from bench.agree import check_training
from bench.others import other_rows
from bench.report import finish, parser, patience_of, table
from bench.side import Side, minifcn_sides, running, torch_sides
from bench.turns import Times, take_turns

SIZE, QUICK_SIZE = (8, 192, 256), (2, 16, 24)
TARGETS = {  # of PyTorch's: (default eager NCHW, its best mode)
    "processes": (0.85, 1.0),
    "one process": (None, 1.5),
}
HEAD = ("side", "median s", "min s", "/ NCHW", "/ best PyTorch", "CPU s", "page faults", "quiet")


def chosen(wanted: list[str] | None) -> tuple[list[Side], list[tuple[str, str]]]:
    """The sides that can run here, and why the others cannot."""
    sides = minifcn_sides() + torch_sides()
    if wanted:
        sides = [s for s in sides if any(word in s.title for word in wanted)]
    lacking = [(side.title, side.lacks) for side in sides if side.lacks]
    return [side for side in sides if not side.lacks], lacking


def ratios(times: dict[str, Times]) -> dict[str, dict[str, float]]:
    """Medians over the medians of PyTorch: its default eager NCHW, and its best mode."""
    torch = {title: t.median for title, t in times.items() if title.startswith("PyTorch")}
    found: dict[str, dict[str, float]] = {}
    for title, took in times.items():
        row = found[title] = {}
        if "PyTorch NCHW" in torch:
            row["NCHW"] = took.median / torch["PyTorch NCHW"]
        if torch:
            row["best PyTorch"] = took.median / min(torch.values())
    return found


def verdicts(found: dict[str, dict[str, float]]) -> list[str]:
    """Targets met or missed, and by how much."""
    lines = []
    several = [t for t in found if t.startswith("minifcn") and "processes" in t]
    single = [t for t in found if t.startswith("minifcn, 1 process")]
    for titles, kind in ((several, "processes"), (single, "one process")):
        for against, target in zip(("NCHW", "best PyTorch"), TARGETS[kind], strict=True):
            values = [found[t][against] for t in titles if against in found[t]]
            if values and target:
                word = "met" if min(values) <= target else "MISSED"
                lines.append(f"{kind} / {against}: {min(values):.2f}, target {target}: {word}")
    return lines


def main() -> None:
    """Check, time, print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="turns of each side (9)")
    made.add_argument("--only", nargs="+", metavar="WORD", help="sides with one of these words")
    made.add_argument("--no-others", action="store_true", help="leave out autograd and tinygrad")
    arguments = made.parse_args()
    size = QUICK_SIZE if arguments.quick else SIZE
    rounds = arguments.rounds or (1 if arguments.quick else 9)
    sides, lacking = chosen(arguments.only)
    with running(sides, "training", size=size) as children:
        agreed = check_training(children, size=size)
        times = take_turns(children, rounds, patience=patience_of(arguments))
    found = ratios(times)
    rows: list[list[Any]] = []
    for title, took in times.items():
        row, summary = found[title], took.summary()
        rows.append([title, took.median, took.least, row.get("NCHW"), row.get("best PyTorch"),
                     summary["cpu s"], summary["page faults"], took.quiet])  # fmt: skip
    print(table(HEAD, rows))
    for title, why in lacking:
        print(f"{title}: {why}")
    judged = [] if arguments.quick else verdicts(found)
    print("\n".join(judged) or "toy sizes, or no PyTorch: nothing to judge")
    others = {} if arguments.quick or arguments.no_others else other_rows()
    for name, row in others.items():
        shape = " x ".join(map(str, row.get("size N H W", ())))
        print(
            f"{name}: {row['why not']}"
            if "why not" in row
            else f"{name} at {shape} (N x H x W): {row['median s']:.3g} s a step, "
            f"minifcn {row['minifcn']['median s']:.3g} s: {row['minifcn / it']:.3f} of it"
        )
    result = {
        "size N H W": size,
        "agreement": agreed,
        "sides": {title: took.summary() | found[title] for title, took in times.items()},
        "not run": dict(lacking),
        "verdicts": judged,
        "others": others,
    }
    finish(result, arguments.json)


if __name__ == "__main__":
    main()
