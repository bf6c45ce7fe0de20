"""train: Train a small FCN on a folder of photos and masks.

DATA holds train/images, train/labels, perhaps val/images and val/labels, and classes.json; or it is
itself one such split. `hotdogs` stands for generated scenes. RUN gets the recipe, the model, a
checkpoint, the history, the loss curve and some predictions. Ctrl-C stops between two steps;
--resume goes on by the recipe in RUN, to the same bits as without the stop.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .arguments import folder, number, whole
from .common import count, has_split, open_split, picture_examples, spread, write_json
from .threads import one_blas_thread

EXAMPLES = """examples:
  minifcn train camvid
  minifcn train camvid --resume
  minifcn train hotdogs --out runs/hotdogs --epochs 8
  minifcn train camvid --out runs/wide --width 32 --lr 0.05 --shrink 2
"""

# Photos are shrunk until they have at most so many pixels: the work of a step grows with them.
PIXELS = 64_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments; defaults are those of train.recipe.Recipe."""
    from ..train.recipe import Recipe

    def option(name: str, kind: Any, text: str, metavar: str = "N") -> None:
        default = getattr(Recipe, name.replace("-", "_"), None)
        shown = "" if default is None else f" ({default})"
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text + shown)

    parser.add_argument("data", metavar="DATA", help="folder with the data, or 'hotdogs'")
    parser.add_argument(
        "--out", metavar="RUN", type=folder, help="folder for the results (runs/NAME of DATA)"
    )
    parser.add_argument("--resume", action="store_true", help="go on where RUN stopped")
    option("epochs", whole(1), "how often every photo is seen")
    option("batch-size", whole(1), "photos per step")
    option("lr", number(0), "largest learning rate", "X")
    option("width", whole(1), "channels of stage 0")
    option("depth", whole(1), "stages, each half as large")
    option("skips", whole(0), "finer stages that join (all)")
    option("balance", number(0), "0: no class weights; 1: full", "X")
    option("seed", whole(0), "other weights, another order")
    option("shrink", whole(1), "train on photos so many times smaller (by their size)")
    parser.add_argument(
        "--evaluate-every", type=whole(1), default=5, metavar="EPOCHS", help="score val (5)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate, write."""
    from ..data import Shrunk
    from ..train.recipe import prepare

    out = arguments.out or folder(f"runs/{Path(arguments.data).resolve().name}")
    begun = (out / "checkpoint.safetensors").exists()
    if begun and not arguments.resume:
        raise ValueError(f"{out} holds a run; --resume goes on with it, or choose another --out")
    split = "train" if has_split(arguments.data, "train") else None
    train_set = open_split(arguments.data, split)
    val_set = open_split(arguments.data, "val") if has_split(arguments.data, "val") else None
    recipe, shrink = _choices(arguments, out / "recipe.json" if begun else None)
    shrink = _shrink(train_set, shrink)
    trainer, predictor = prepare(
        recipe,
        Shrunk(train_set, shrink),
        val_set,
        shrink=shrink,
        run=out,
        evaluate_every=arguments.evaluate_every,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "recipe.json", {**asdict(recipe), "shrink": shrink})
    if trainer.resume():
        print(_where(trainer), file=sys.stderr)
    elif arguments.resume:
        print(f"{out} holds no run; a new one begins", file=sys.stderr)
    parameters = sum(p.numel() for p in predictor.model.parameters())
    print(
        f"{count(len(train_set), 'image')}, {train_set.classes.count} classes, "
        f"{parameters:,} parameters, shrink {shrink}, {count(trainer.total_steps, 'step')}",
        file=sys.stderr,
    )
    with one_blas_thread():
        trainer.fit()
    return finish(trainer, predictor, val_set, out)


def _choices(arguments: argparse.Namespace, saved: Path | None) -> tuple[Any, int | None]:
    """The recipe and the shrink (None: by size): the arguments', or those that RUN began with."""
    from ..train.recipe import Recipe

    values = {**asdict(Recipe()), "shrink": None}
    asked = {name: given for name, given in vars(arguments).items() if name in values}
    asked = {name: given for name, given in asked.items() if given is not None}
    if saved is not None:
        values = _begun(saved, values)
        for name, given in asked.items():
            if given != values[name]:
                raise ValueError(
                    f"--{name.replace('_', '-')} is {given}, but {saved.parent} was begun with "
                    f"{values[name]}; leave it out to go on, or choose another --out"
                )
    values |= asked
    shrink = values.pop("shrink")
    return Recipe(**{**values, "scale": tuple(values["scale"])}), shrink


def _begun(path: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """What `run` wrote into a run's folder as it began."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"--resume: {path} cannot be read ({error})") from error
    if not isinstance(values, dict) or set(values) != set(expected):
        raise ValueError(f"--resume: {path} is no recipe of this version of minifcn")
    return values


def _where(trainer: Any) -> str:
    """Where a resumed run stands."""
    if trainer.epoch == trainer.epochs:
        return f"all {trainer.epochs} epochs are done"
    return f"going on in epoch {trainer.epoch + 1} of {trainer.epochs}"


def finish(trainer: Any, predictor: Any, val_set: Any, out: Path) -> int:
    """Write model, history, curve and pictures; 130 if the run was stopped before its end."""
    from ..infer import loss_curve

    predictor.save(out / "model.safetensors")
    losses = [None if math.isnan(loss) else loss for loss in trainer.losses]  # None: skipped
    write_json(out / "history.json", {"epochs": trainer.history, "losses": losses})
    if trainer.losses:
        loss_curve({"loss": trainer.losses}, out / "loss.png")
    if val_set is not None and len(val_set):
        picture_examples(predictor, val_set, spread(len(val_set), 4), out / "examples.png")
    stopped: bool = trainer.epoch < trainer.epochs
    print(f"{'so far' if stopped else 'done'}: {out / 'model.safetensors'}", file=sys.stderr)
    return 130 if stopped else 0


def _shrink(dataset: Any, asked: int | None) -> int:
    """The shrink asked for, or the least one that brings a photo to `PIXELS`."""
    H, W = dataset[0][0].shape[:2]
    if asked is not None:
        if asked > min(H, W):
            raise ValueError(
                f"--shrink is {asked}, but photo {dataset.names[0]} is {W} x {H}, expected at most "
                f"{min(H, W)}"
            )
        return asked
    k = 1
    while (H // k) * (W // k) > PIXELS:
        k += 1
    return k
