"""train: Train a network on a folder of photos and masks.

DATA holds train/images, train/labels, perhaps val/images and val/labels, and classes.json; or it is
itself one such split. `hotdogs` stands for generated scenes. RUN gets the recipe, the model, a
checkpoint, the history, the loss curve and some predictions. Ctrl-C stops between two steps;
--resume goes on by the recipe in RUN, to the same bits as without the stop. Several processes share
every step: those of --processes on this machine, or those that mpirun has started. With --device
cuda one process trains on a GPU; a run may go on on another device. The network is a small FCN
unless --model, --encoder or --weights say another. --weights takes a file of weights (safetensors,
or .pth of PyTorch), a model of minifcn or a run: those of a classifier go into the encoder of an
FCN, those of a segmentation into the same network, for the classes of DATA.
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
from .common import (
    add_device,
    check_device,
    count,
    has_split,
    open_split,
    picture_examples,
    spread,
    write_json,
)
from .together import started_together

EXAMPLES = """examples:
  minifcn train camvid
  minifcn train camvid --resume
  minifcn train hotdogs --out runs/hotdogs --epochs 8
  minifcn train camvid --out runs/wide --width 32 --lr 0.05 --shrink 2
  minifcn train camvid --processes 2
  minifcn train camvid --model unet --width 16
  minifcn train camvid --encoder resnet18 --weights resnet18.pth
  minifcn train camvid --weights runs/hotdogs --out runs/again
  minifcn train camvid --device cuda --precision tf32
  mpirun -n 4 minifcn train camvid
"""

# Photos are shrunk until they have at most so many pixels: the work of a step grows with them.
PIXELS = 64_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments; defaults are those of train.recipe.Recipe."""
    from ..train.precision import PRECISIONS
    from ..train.recipe import Recipe
    from ..train.start import FCNS, MODELS

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
    parser.add_argument("--model", choices=MODELS, help="the network (fcn, or that of --weights)")
    parser.add_argument("--encoder", choices=list(FCNS), help="what an fcn stands on (small)")
    parser.add_argument("--weights", metavar="FILE", help="begin with these weights, as they fit")
    option("lr", number(0), "largest learning rate (0.1; less without batch norms)", "X")
    option("width", whole(1), "channels of stage 0 (small 16, unet 32, others 64)")
    option("depth", whole(1), "stages, each half as large; small and unet (5)")
    option("skips", whole(0), "finer stages that join; fcn (all)")
    option("balance", number(0), "0: no class weights; 1: full", "X")
    option("seed", whole(0), "other weights, another order")
    option("shrink", whole(1), "train on photos so many times smaller (by their size)")
    parser.add_argument(
        "--evaluate-every", type=whole(1), default=5, metavar="EPOCHS", help="score val (5)"
    )
    parser.add_argument(
        "--processes", type=whole(1), metavar="N", help="share every step among N processes (1)"
    )
    add_device(parser, "where to train")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="of products on a GPU (float32)"
    )
    parser.add_argument(
        "--no-graph", action="store_true", help="do not repeat the step as one CUDA graph"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate, write."""
    check_device(arguments.device)
    with started_together("train", arguments.debug) as team:
        return _train(arguments, team)


def _train(arguments: argparse.Namespace, team: Any) -> int:
    """What each process does; process 0 alone looks at RUN, writes and speaks."""
    from ..data import Shrunk
    from ..train.communicator import exchange
    from ..train.recipe import Recipe, prepare
    from ..train.threads import one_blas_thread

    out = arguments.out or folder(f"runs/{Path(arguments.data).resolve().name}")
    split = "train" if has_split(arguments.data, "train") else None
    train_set = open_split(arguments.data, split)
    val_set = open_split(arguments.data, "val") if has_split(arguments.data, "val") else None
    plan = _plan(arguments, out, train_set, team.size) if team.rank == 0 else None
    plan = json.loads(exchange(team, json.dumps(plan))[0])
    shrink, processes = plan.pop("shrink"), plan.pop("processes")
    recipe = Recipe(**{**plan, "scale": tuple(plan["scale"])})
    trainer, predictor = prepare(
        recipe,
        Shrunk(train_set, shrink),
        val_set,
        shrink=shrink,
        run=out,
        evaluate_every=arguments.evaluate_every,
        processes=processes if team.size == 1 else 1,
        communicator=team if team.size > 1 else None,
        device=arguments.device,
        precision=arguments.precision,
        graph=False if arguments.no_graph else None,
    )
    if team.rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        write_json(
            out / "recipe.json", {**asdict(recipe), "shrink": shrink, "processes": processes}
        )
        if trainer.resume():
            print(_where(trainer), file=sys.stderr)
        elif arguments.resume:
            print(f"{out} holds no run; a new one begins", file=sys.stderr)
        parameters = sum(p.numel() for p in predictor.model.parameters())
        print(
            f"{count(len(train_set), 'image')}, {train_set.classes.count} classes, "
            f"{parameters:,} parameters, shrink {shrink}, {count(trainer.total_steps, 'step')}, "
            f"{_where_it_runs(arguments.device, processes)}",
            file=sys.stderr,
        )
    with one_blas_thread():
        trainer.fit()
    if team.rank > 0:
        return 0
    return finish(trainer, predictor, val_set, out)


def _plan(arguments: argparse.Namespace, out: Path, train_set: Any, started: int) -> dict[str, Any]:
    """The recipe, the shrink and the processes: the arguments', or those that RUN began with."""
    from ..train.recipe import Recipe

    begun = (out / "checkpoint.safetensors").exists()
    if begun and not arguments.resume:
        raise ValueError(f"{out} holds a run; --resume goes on with it, or choose another --out")
    if started > 1:
        if arguments.processes is not None:
            raise ValueError(
                f"--processes is {arguments.processes}, but mpirun has started {started}; leave "
                f"one of them out"
            )
        arguments.processes = started
    beside = {"shrink": None, "processes": 1}
    values = {**asdict(Recipe()), **beside}
    asked = {name: given for name, given in vars(arguments).items() if name in values}
    asked = {name: given for name, given in asked.items() if given is not None}
    if begun:
        values = _begun(out / "recipe.json", values)
        for name, given in asked.items():
            if given != values[name] and name != "processes":
                raise ValueError(
                    f"--{name.replace('_', '-')} is {given}, but {out} was begun with "
                    f"{values[name]}; leave it out to go on, or choose another --out"
                )
        if asked.get("processes", values["processes"]) != values["processes"]:
            print(
                f"{out} was begun with {count(values['processes'], 'process', 'processes')}, so it "
                f"goes on to other bits",
                file=sys.stderr,
            )
        values |= asked
    else:
        named = {name: given for name, given in asked.items() if name not in beside}
        values = {**asdict(Recipe(**_with_weights(named))), **beside, **asked}
    return {**values, "shrink": _shrink(train_set, values["shrink"])}


def _with_weights(asked: dict[str, Any]) -> dict[str, Any]:
    """The choices for a recipe, with what the file of weights tells about its network."""
    from ..train.start import told_by

    if "weights" not in asked:
        return asked
    config, normalize = told_by(asked["weights"])
    given = {**asked, "normalize": asdict(normalize)}
    if not config:
        return given
    inner = config.get("encoder", {}).get("name")
    if "model" not in given and given.get("encoder", inner) == inner:
        given |= {"model": config["name"]} | ({"encoder": inner} if inner else {})
    model = given.get("model", "fcn")
    same = model == config["name"] and given.setdefault("encoder", inner) == inner
    return {**given, "known": config} if same else given


def _where_it_runs(device: str, processes: int) -> str:
    """On a GPU, or by how many processes; where one leaves cores idle, how to have more."""
    if device != "cpu":
        return f"on {device}"
    from ..train.threads import cores

    idle = processes == 1 and cores() > 1
    hint = f" (--processes {min(cores(), 4)} may be faster)" if idle else ""
    return count(processes, "process", "processes") + hint


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
