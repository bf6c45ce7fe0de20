"""agree: what two sides computed is the same, or the benchmark ends here.

The reference is float64. A float32 rounding tips a ReLU or a maximum here and there, so gradients
differ by more than rounding: they are compared as vectors, |a - b| / |b|.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .library import Arrays, difference
from .side import Running, Side, running

LOSS = 5e-5  # relative; PyTorch in channels_last is off by 7e-6
GRADIENT = 0.02  # of the vector of any one parameter
OUTPUT = 1e-4
PIXELS = 1e-3  # of an image, that may have another class: two were as likely


def check_training(sides: Sequence[Running], **options: Any) -> dict[str, Any]:
    """Loss, gradients, and the loss after one step, of each side against float64."""
    reference = _reference(sides)
    with tempfile.TemporaryDirectory() as folder:
        with running([reference], "training", **options, dtype="float64") as (exact,):
            want, right = _asked(exact, folder)
        found: dict[str, Any] = {"reference": f"{reference.title}, float64"}
        for side in sides:
            got, ours = _asked(side, folder)
            off = {key: abs(got[key] - want[key]) / abs(want[key]) for key in want}
            gradient, whose = difference(ours, right)
            if not (off["loss"] <= LOSS and off["next"] <= 2 * LOSS and gradient <= GRADIENT):
                raise SystemExit(
                    f"{side.side.title}: loss {got} against {want} in float64, gradient of "
                    f"{whose} off by {gradient:.1e}: not the same computation"
                )
            found[side.side.title] = {"loss": off["loss"], "gradient": gradient}
    return found


def check_inference(
    sides: Sequence[Running], job: str = "inference", **options: Any
) -> dict[str, Any]:
    """The result of each side against float64; whole numbers are classes of pixels."""
    reference = _reference(sides)
    with tempfile.TemporaryDirectory() as folder:
        with running([reference], job, **options, dtype="float64") as (exact,):
            _, right = _asked(exact, folder)
        found: dict[str, Any] = {"reference": f"{reference.title}, float64"}
        for side in sides:
            ours = _asked(side, folder)[1]
            off, _ = difference(*({n: a for n, a in all_.items() if a.dtype.kind == "f"}
                                  for all_ in (ours, right)))  # fmt: skip
            others = [(ours[n] != a).mean() for n, a in right.items() if a.dtype.kind != "f"]
            if not (off <= OUTPUT and max(others, default=0.0) <= PIXELS):
                raise SystemExit(f"{side.side.title}: result off by {off:.1e}: not the same")
            found[side.side.title] = off
    return found


def _reference(sides: Sequence[Running]) -> Side:
    """PyTorch where there is one: then both libraries are held against the other's arithmetic."""
    torch = [side.side for side in sides if side.side.name == "torch"]
    return Side("PyTorch", "torch", torch[0].threads) if torch else Side("minifcn")


def _asked(side: Running, folder: str) -> tuple[dict[str, float], Arrays]:
    path = Path(folder, f"{side.pid}.npz")
    answer = side.ask("compare", path=str(path))
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    path.unlink()
    return answer, arrays
