"""demo: Train a small FCN on generated hot dog scenes, in about a minute and a half.

Nothing is downloaded. DIR gets demo.png (photo, truth and prediction of held-out scenes), loss.png,
scores.json and model.safetensors, which `minifcn predict` can use.
"""

from __future__ import annotations

import argparse
import sys
import time

from .arguments import folder, whole
from .common import add_device, check_device, picture_examples, write_json

EXAMPLES = """examples:
  minifcn demo
  minifcn demo --out hotdogs --seed 1
  minifcn demo --device cuda
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """[--out DIR] [--seed N] [--processes N] [--device D]."""
    parser.add_argument(
        "--out", metavar="DIR", type=folder, default="demo", help="folder for the results (demo)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=whole(0), default=0, help="other scenes, other weights (0)"
    )
    parser.add_argument(
        "--processes", metavar="N", type=whole(1), default=1, help="share every step (1)"
    )
    add_device(parser, "where to train")


def run(arguments: argparse.Namespace) -> int:
    """Train, score on scenes of other seeds, draw."""
    from ..data import HotDogs
    from ..infer import loss_curve
    from ..train.recipe import Recipe, evaluate, prepare
    from ..train.threads import one_blas_thread

    began = time.monotonic()
    check_device(arguments.device)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    scenes = HotDogs(640, seed=arguments.seed)
    held_out = scenes.held_out(100)
    recipe = Recipe(
        epochs=6,
        batch_size=8,
        lr=0.1,
        warmup=20,
        width=16,
        depth=4,
        cap=64,
        balance=0.25,
        scale=(1, 1),
        jitter=0.0,
        seed=arguments.seed,
    )
    trainer, predictor = prepare(
        recipe, scenes, None, processes=arguments.processes, device=arguments.device
    )
    with one_blas_thread():
        trainer.fit()
    if trainer.epoch < trainer.epochs:
        return 130
    confusion = evaluate(predictor, held_out)
    print(confusion.table(held_out.classes.scored))
    predictor.save(out / "model.safetensors")
    write_json(out / "scores.json", confusion.as_dict(held_out.classes.scored))
    loss_curve({"loss": trainer.losses}, out / "loss.png")
    picture_examples(predictor, held_out, range(4), out / "demo.png")
    print(
        f"held-out mIoU {confusion.mean_iou:.3f} after {time.monotonic() - began:.0f} s; "
        f"look at {out / 'demo.png'}",
        file=sys.stderr,
    )
    return 0
