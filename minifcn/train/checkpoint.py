"""checkpoint: all that a run needs to go on bit for bit, in one safetensors file.

model/...       parameters and buffers        optimizer/...   momentum buffers
losses          one per batch so far          meta            epoch, batch, history, random, scaler

`random` has the streams of every process by rank (dropout); all else is the same for all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from .communicator import exchange
from .streams import take_streams

if TYPE_CHECKING:
    from .trainer import Trainer

FORMAT = 2
NEEDED = (
    "epoch",
    "batch",
    "epochs",
    "batches",
    "skipped",
    "seconds",
    "history",
    "optimizer",
    "random",
)

Arrays = dict[str, Any]


def state(trainer: Trainer) -> tuple[Arrays, dict[str, Any]]:
    """(arrays, what else there is, as JSON knows it)."""
    arrays = {f"model/{name}": t.numpy() for name, t in trainer.model.state_dict().items()}
    buffers, options = trainer.optimizer.state_dict()
    arrays |= {f"optimizer/{name}": array for name, array in buffers.items()}
    arrays["losses"] = np.array(trainer.losses, np.float64)
    meta = {
        "kind": "checkpoint",
        "format": FORMAT,
        "epoch": trainer.epoch,
        "batch": trainer.batch,
        "epochs": trainer.epochs,
        "batches": len(trainer.loader),
        "skipped": trainer.skipped,
        "seconds": trainer.seconds,
        "history": trainer.history,
        "optimizer": options,
        "scaler": None if trainer.scaler is None else trainer.scaler.state_dict(),
        "random": [trainer.model.random_state(), *trainer.streams[1:]],
    }
    return arrays, meta


def assume(trainer: Trainer, arrays: Arrays, meta: dict[str, Any]) -> None:
    """Set the trainer to a state, with the random streams of its rank."""
    trainer.model.load_state_dict(_below("model/", arrays))
    trainer.optimizer.load_state_dict(_below("optimizer/", arrays), meta["optimizer"])
    if trainer.scaler is not None and meta.get("scaler"):
        trainer.scaler.load_state_dict(meta["scaler"])
    trainer.losses = [float(loss) for loss in arrays["losses"]]
    trainer.epoch, trainer.batch = meta["epoch"], meta["batch"]
    trainer.skipped, trainer.seconds = meta["skipped"], meta["seconds"]
    trainer.history = meta["history"]
    trainer.streams = meta["random"]
    take_streams(trainer.model, trainer.streams, trainer.team.rank)


def store(path: Path, trainer: Trainer) -> None:
    """Write the trainer's whole state to `path`."""
    files.save(path, *state(trainer))


def restore(path: Path, trainer: Trainer) -> None:
    """Set the trainer to the state in `path`."""
    arrays, meta = files.load(path)
    if meta.get("kind") != "checkpoint" or meta.get("format") != FORMAT:
        raise files.FileError(f"resume: {path}: is no checkpoint of this version of minifcn")
    missing = [name for name in NEEDED if name not in meta]
    if missing or "losses" not in arrays:
        raise files.FileError(f"resume: {path}: lacks {', '.join(missing) or 'losses'}")
    for name, here in (("epochs", trainer.epochs), ("batches", len(trainer.loader))):
        if meta[name] != here:
            raise ValueError(
                f"resume: {path}: {name} is {meta[name]}, but this run has {here}; the learning "
                f"rate and the order of the data would not be the same"
            )
    assume(trainer, arrays, meta)


def spread(trainer: Trainer) -> None:
    """Give the state of process 0 to all others, so that all begin alike."""
    team = trainer.team
    first = team.rank == 0
    arrays, meta = state(trainer)
    shapes = {name: (array.shape, array.dtype.str) for name, array in arrays.items()}
    text = exchange(team, json.dumps([shapes, meta]) if first else "")[0]
    shapes, meta = json.loads(text)
    for name, (shape, dtype) in shapes.items():
        mine = arrays[name] if first else np.empty(shape, dtype)
        arrays[name] = team.broadcast(mine)
    if not first:
        assume(trainer, {name: arrays[name] for name in shapes}, meta)


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}
