"""train: Train a small FCN on a folder of photos and masks.

DATA holds train/images, train/labels, perhaps val/images and val/labels, and classes.json; or it is
itself one such split. `hotdogs` stands for generated scenes. RUN gets the model, a checkpoint, the
history, the loss curve and some predictions. Ctrl-C stops between two steps; --resume goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .common import has_split, open_split, picture_examples, spread, write_json

EXAMPLES = """examples:
  minifcn train camvid
  minifcn train camvid --resume
  minifcn train hotdogs --out runs/hotdogs --epochs 8
  minifcn train camvid --out runs/wide --width 32 --lr 0.05 --shrink 2
"""

# Photos are shrunk until they have at most so many pixels: CamVid then trains in half an hour.
PIXELS = 64_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments; defaults are those of train.recipe.Recipe."""
    from ..train.recipe import Recipe

    default = Recipe()
    parser.add_argument("data", metavar="DATA", help="folder with the data, or 'hotdogs'")
    parser.add_argument("--out", metavar="RUN", help="folder for the results (runs/NAME of DATA)")
    parser.add_argument("--resume", action="store_true", help="go on where RUN stopped")
    parser.add_argument("--epochs", type=int, default=default.epochs)
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--lr", type=float, default=default.lr, help="largest learning rate")
    parser.add_argument("--width", type=int, default=default.width, help="channels of stage 0")
    parser.add_argument(
        "--depth", type=int, default=default.depth, help="stages, each half as large"
    )
    parser.add_argument("--skips", type=int, help="finer stages that join (default: all)")
    parser.add_argument(
        "--balance", type=float, default=default.balance, help="0: no class weights; 1: full"
    )
    parser.add_argument("--shrink", type=int, help="train on photos so many times smaller")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--evaluate-every", type=int, default=5, metavar="EPOCHS")


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate, write."""
    from ..data import Shrunk
    from ..train.recipe import Recipe, prepare

    out = Path(arguments.out or Path("runs") / Path(arguments.data).resolve().name)
    if (out / "checkpoint.safetensors").exists() and not arguments.resume:
        raise ValueError(f"{out} holds a run; --resume goes on with it, or choose another --out")
    split = "train" if has_split(arguments.data, "train") else None
    train_set = open_split(arguments.data, split)
    val_set = open_split(arguments.data, "val") if has_split(arguments.data, "val") else None
    shrink = arguments.shrink or _shrink(train_set)
    recipe = Recipe(
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        lr=arguments.lr,
        width=arguments.width,
        depth=arguments.depth,
        skips=arguments.skips,
        balance=arguments.balance,
        seed=arguments.seed,
    )
    trainer, predictor = prepare(
        recipe,
        Shrunk(train_set, shrink),
        val_set,
        shrink=shrink,
        run=out,
        evaluate_every=arguments.evaluate_every,
    )
    if arguments.resume and trainer.resume():
        print(f"going on in epoch {trainer.epoch + 1} of {trainer.epochs}", file=sys.stderr)
    parameters = sum(p.numel() for p in predictor.model.parameters())
    print(
        f"{len(train_set)} images, {train_set.classes.count} classes, {parameters:,} parameters, "
        f"shrink {shrink}, {trainer.total_steps} steps",
        file=sys.stderr,
    )
    trainer.fit()
    return finish(trainer, predictor, val_set, out)


def finish(trainer: Any, predictor: Any, val_set: Any, out: Path) -> int:
    """Write model, history, curve and pictures; 130 if the run was stopped before its end."""
    from ..infer import loss_curve

    out.mkdir(parents=True, exist_ok=True)
    predictor.save(out / "model.safetensors")
    write_json(out / "history.json", {"epochs": trainer.history, "losses": trainer.losses})
    if trainer.losses:
        loss_curve({"loss": trainer.losses}, out / "loss.png")
    if val_set is not None and len(val_set):
        picture_examples(predictor, val_set, spread(len(val_set), 4), out / "examples.png")
    stopped: bool = trainer.epoch < trainer.epochs
    print(f"{'so far' if stopped else 'done'}: {out / 'model.safetensors'}", file=sys.stderr)
    return 130 if stopped else 0


def _shrink(dataset: Any) -> int:
    H, W = dataset[0][0].shape[:2]
    k = 1
    while (H // k) * (W // k) > PIXELS:
        k += 1
    return k
