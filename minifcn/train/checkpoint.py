"""checkpoint: all that a run needs to go on bit for bit, in one safetensors file.

model/...       parameters and buffers        optimizer/...   momentum buffers
losses          one per batch so far          meta            epoch, batch, history, random
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files

if TYPE_CHECKING:
    from .trainer import Trainer

FORMAT = 1
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


def store(path: Path, trainer: Trainer) -> None:
    """Write the trainer's whole state to `path`."""
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
        "random": trainer.model.random_state(),
    }
    files.save(path, arrays, meta)


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
    trainer.model.load_state_dict(_below("model/", arrays))
    trainer.optimizer.load_state_dict(_below("optimizer/", arrays), meta["optimizer"])
    trainer.losses = [float(loss) for loss in arrays["losses"]]
    trainer.epoch, trainer.batch = meta["epoch"], meta["batch"]
    trainer.skipped, trainer.seconds = meta["skipped"], meta["seconds"]
    trainer.history = meta["history"]
    trainer.model.load_random_state(meta["random"])


def _below(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}
