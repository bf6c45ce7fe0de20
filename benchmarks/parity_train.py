"""The same training in minifcn and in PyTorch: same net, weights, batches and hyper-parameters.

    losses   the first steps, float64 and float32: largest relative difference of the loss
             targets: 1e-8 in float64, 1e-3 in float32, over 50 steps. The yardstick beside it is
             PyTorch against itself, float32 against float64: a rounding tips a ReLU or a maximum
             here and there, and training magnifies that, the more the higher the learning rate
    score    val mIoU and pixel accuracy after some epochs, over several seeds
             target: minifcn's mean differs from PyTorch's by no more than PyTorch's own spread

    python benchmarks/parity_train.py DATA --part losses --steps 50
    python benchmarks/parity_train.py DATA --part score --epochs 10 --json score.json

DATA is a folder as for `minifcn train`. Both sides take their batches from minifcn's loader.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_twin import twin_of

import minifcn as mf
from minifcn.data import FolderDataset, Shrunk
from minifcn.train.loss import segmentation_loss
from minifcn.train.metrics import Confusion
from minifcn.train.recipe import Recipe, class_weights, evaluate, prepare

SHRINK = 2


class TorchSide:
    """PyTorch's model, optimizer and loss, set as a minifcn trainer is."""

    def __init__(self, trainer: Any, predictor: Any, recipe: Recipe, dtype: torch.dtype) -> None:
        self.trainer, self.dtype = trainer, dtype
        self.net = twin_of(predictor.model, dtype)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=True,
        )
        weight = class_weights(trainer.loader.dataset, recipe.balance)
        self.weight = None if weight is None else torch.tensor(weight).to(dtype)
        self.void = predictor.classes.void
        self.base = recipe.lr

    def step(self, number: int, x: np.ndarray, target: np.ndarray) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.base * self.trainer.schedule(number)
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            self.net(torch.tensor(x).to(self.dtype)),
            torch.tensor(target),
            weight=self.weight,
            ignore_index=self.void,
        )
        loss.backward()
        self.optimizer.step()
        return float(loss.item())


def losses(data: Path, steps: int, lr: float) -> dict[str, Any]:
    """Both sides step by step; the largest relative difference of the losses."""
    rows: dict[str, Any] = {"lr": lr}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        trainer, predictor, recipe = _prepared(data, epochs=10, seed=0, lr=lr)
        predictor.model.astype(name)
        torch_side = TorchSide(trainer, predictor, recipe, dtype)
        double_side = TorchSide(trainer, predictor, recipe, torch.float64)
        if name == "float64":
            weight: Any = class_weights(trainer.loader.dataset, recipe.balance)
            trainer.loss = segmentation_loss(predictor.classes.void, weight.astype(np.float64))
        seen = []
        for number, (x, target) in enumerate(_batches(trainer, steps)):
            ours = trainer.step(x.astype(name), target)
            trainer.batch += 1
            theirs = torch_side.step(number, x, target)
            double = theirs if name == "float64" else double_side.step(number, x, target)
            seen.append((ours, theirs, double))
            print(f"{name} step {number}: {seen[-1]}", file=sys.stderr, flush=True)
        worst = max(abs(a - b) / abs(b) for a, b, _ in seen)
        itself = max(abs(b - c) / abs(c) for _, b, c in seen)
        rows[name] = {
            "steps": len(seen),
            "minifcn against PyTorch": worst,
            "PyTorch against its float64": itself,
            "losses (minifcn, PyTorch, PyTorch float64)": seen,
        }
        print(
            f"{name}, lr {lr:g}, {len(seen)} losses: minifcn against PyTorch {worst:.2e}, "
            f"PyTorch against its float64 {itself:.2e}"
        )
    return rows


def score(data: Path, epochs: int, seeds: list[int], sides: list[str]) -> dict[str, Any]:
    """Val scores of both sides over several seeds, and whether minifcn's lie in PyTorch's range."""
    val_set = FolderDataset(data, "val")
    rows: dict[str, Any] = {side: [] for side in sides}
    for seed in seeds:
        for side in sides:
            trainer, predictor, recipe = _prepared(data, epochs, seed)
            began = time.monotonic()
            if side == "torch":
                judged = _torch_run(trainer, predictor, recipe, epochs)
            else:
                trainer.fit()
                judged = predictor
            scores = _scores(evaluate(judged, val_set))
            rows[side].append({"seed": seed, "seconds": time.monotonic() - began, **scores})
            print(f"{side:7} seed {seed}: {rows[side][-1]}", flush=True)
    return rows | _compared(rows) if len(sides) == 2 else rows


def _torch_run(trainer: Any, predictor: Any, recipe: Recipe, epochs: int) -> Any:
    """Train PyTorch's twin on the trainer's batches; a predictor with its network."""
    torch_side = TorchSide(trainer, predictor, recipe, torch.float32)
    number = 0
    for epoch in range(epochs):
        for x, target in trainer.loader.epoch(epoch):
            torch_side.step(number, x, target)
            number += 1
    torch_side.net.eval()
    return _TorchPredictor(predictor, torch_side.net)


def _compared(rows: dict[str, Any]) -> dict[str, Any]:
    """Per score: both means, PyTorch's spread, and how far minifcn's mean lies from PyTorch's."""
    found = {}
    for name in ("mIoU", "pixel accuracy"):
        ours, theirs = ([row[name] for row in rows[side]] for side in ("minifcn", "torch"))
        spread, off = max(theirs) - min(theirs), float(np.mean(ours) - np.mean(theirs))
        found[name] = {"minifcn": ours, "PyTorch": theirs, "spread": spread, "mean differs by": off}
        print(f"{name}: minifcn {ours}, PyTorch {theirs}: means differ by {off:+.4f}, "
              f"PyTorch's spread is {spread:.4f}")  # fmt: skip
    return {"compared": found}


class _TorchPredictor:
    """minifcn's predictor with PyTorch's network inside."""

    def __init__(self, predictor: Any, net: torch.nn.Module) -> None:
        self.predictor = predictor
        self.net = net
        self.classes = predictor.classes

    def __call__(self, photo: np.ndarray) -> Any:
        wrapped: Any = _Wrapped(self.predictor.model, self.net)
        return replace(self.predictor, model=wrapped)(photo)


class _Wrapped:
    """PyTorch's network, called as minifcn's module is."""

    def __init__(self, outer: Any, net: torch.nn.Module) -> None:
        self.stride, self.radius, self.net = outer.stride, outer.radius, net

    def eval(self) -> None:
        self.net.eval()

    def __call__(self, x: mf.Tensor) -> mf.Tensor:
        with torch.no_grad():
            return mf.tensor(self.net(torch.tensor(x.numpy().copy())).numpy())


def _prepared(
    data: Path, epochs: int, seed: int, lr: float | None = None
) -> tuple[Any, Any, Recipe]:
    recipe = replace(Recipe(), epochs=epochs, seed=seed, lr=lr)
    train_set = Shrunk(FolderDataset(data, "train", cache=False), SHRINK)
    trainer, predictor = prepare(recipe, train_set, None, shrink=SHRINK)
    return trainer, predictor, recipe


def _batches(trainer: Any, steps: int) -> Any:
    done = 0
    for epoch in range(steps):
        for batch in trainer.loader.epoch(epoch):
            if done == steps:
                return
            yield batch
            done += 1


def _scores(confusion: Confusion) -> dict[str, float]:
    return {"mIoU": confusion.mean_iou, "pixel accuracy": confusion.pixel_accuracy}


def main() -> None:
    """Run one part or both, print, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("losses", "score", "both"), default="both")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--lr", type=float, default=0.0001, help="of the part losses")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", default=["torch", "minifcn"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "command": "python benchmarks/parity_train.py " + " ".join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {platform.platform()}",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "minifcn": mf.__version__,
        },
    }
    if arguments.part in ("losses", "both"):
        result["losses"] = losses(arguments.data, arguments.steps, arguments.lr)
    if arguments.part in ("score", "both"):
        result["score"] = score(arguments.data, arguments.epochs, arguments.seeds, arguments.sides)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
