"""The same training in minifcn and in PyTorch: same net, weights, batches and hyper-parameters.

    losses   the first steps, float64 and float32: largest relative difference of the loss
             targets: 1e-8 in float64, 1e-3 in float32, over 50 steps. The yardstick beside it is
             PyTorch against itself, float32 against float64: a rounding tips a ReLU or a maximum
             here and there, and training magnifies that, the more the higher the learning rate
    score    val mIoU and pixel accuracy after some epochs: minifcn, one seed; PyTorch, three
             target: minifcn's within PyTorch's spread (lowest - spread .. highest + spread)

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
from minifcn.train.metrics import Confusion
from minifcn.train.recipe import Recipe, class_weights, evaluate, prepare
from minifcn.train.trainer import segmentation_loss

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


def score(data: Path, epochs: int, seeds: int) -> dict[str, Any]:
    """Val scores of minifcn (seed 0) and of PyTorch (several seeds)."""
    val_set = FolderDataset(data, "val")
    rows: dict[str, Any] = {"torch": []}
    for seed in range(seeds):
        trainer, predictor, recipe = _prepared(data, epochs, seed)
        torch_side = TorchSide(trainer, predictor, recipe, torch.float32)
        began, number = time.monotonic(), 0
        for epoch in range(epochs):
            for x, target in trainer.loader.epoch(epoch):
                torch_side.step(number, x, target)
                number += 1
        torch_side.net.eval()
        twin: Any = _TorchPredictor(predictor, torch_side.net)
        scores = _scores(evaluate(twin, val_set))
        rows["torch"].append({"seed": seed, "seconds": time.monotonic() - began, **scores})
        print(f"torch   seed {seed}: {rows['torch'][-1]}", flush=True)
    trainer, predictor, _ = _prepared(data, epochs, seed=0)
    began = time.monotonic()
    trainer.fit()
    scores = _scores(evaluate(predictor, val_set))
    rows["minifcn"] = {"seed": 0, "seconds": time.monotonic() - began, **scores}
    print(f"minifcn seed 0: {rows['minifcn']}")
    for name in ("mIoU", "pixel accuracy"):
        theirs = [row[name] for row in rows["torch"]]
        spread = max(theirs) - min(theirs)
        inside = min(theirs) - spread <= rows["minifcn"][name] <= max(theirs) + spread
        rows[f"{name} inside"] = inside
        print(f"{name}: minifcn {rows['minifcn'][name]:.4f}, PyTorch {theirs}: inside: {inside}")
    return rows


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


def _prepared(data: Path, epochs: int, seed: int, lr: float = Recipe.lr) -> tuple[Any, Any, Recipe]:
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
    parser.add_argument("--lr", type=float, default=0.0003, help="of the part losses")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
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
        result["score"] = score(arguments.data, arguments.epochs, arguments.seeds)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
