"""step: one update by one batch, on the device where the model is. Its loss is read at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..core import Tensor, as_tensor
from ..device import Array, to_device, to_host
from .gradients import backward, combine
from .loss import weight_of
from .precision import casting

if TYPE_CHECKING:
    from .trainer import Trainer


def step(trainer: Trainer, x: Any, target: Any) -> float:
    """Train by this process's share of a batch; the loss of the whole batch, nan if skipped."""
    model, team = trainer.model, trainer.team
    trainer.optimizer.zero_grad()
    before = [(buffer, buffer.numpy().copy()) for buffer in model.buffers()]
    with casting(trainer.precision, trainer.lowered):
        output = model(as_tensor(x))
        loss = trainer.loss(output, target) if len(x) or team.size == 1 else None
    value, part = (math.nan, 0.0) if loss is None else (float(loss.item()), 1.0)
    if team.size > 1:
        weight = 0.0 if loss is None else weight_of(trainer.loss, target)
        value, part = combine(team, value, weight)
    if math.isnan(value):
        for buffer, values in before:
            buffer.copy_(to_device(values, buffer.device))
        return skipped(trainer, trainer.step_count)
    check_finite(value, trainer.step_count)
    if trainer.scaler is None:
        backward(loss, output, part)
    elif loss is not None:  # on a GPU: one process
        trainer.scaler.scale(loss).backward(retain_graph=False)
    if team.rank == 0:
        backward_of_penalty(trainer)
    trainer.sum_gradients(team)
    move(trainer, trainer.schedule(trainer.step_count))
    return value


def backward_of_penalty(trainer: Trainer) -> None:
    """Add the gradients of what the regularizers of the layers ask for."""
    penalty = trainer.model.regularization()
    if isinstance(penalty, Tensor) and penalty.requires_grad:
        scaled = penalty if trainer.scaler is None else trainer.scaler.scale(penalty)
        scaled.backward(retain_graph=False)


def move(trainer: Trainer, factor: float, skip: Array | None = None) -> None:
    """Change the parameters, unless `skip`, which the device knows, is not 0."""
    if trainer.scaler is None:
        trainer.optimizer.step(factor, skip=skip)
    else:
        trainer.scaler.step(trainer.optimizer, factor, skip=skip)
        trainer.scaler.update()


def check_finite(loss: float, number: int) -> None:
    """An infinite loss of step `number` ends a run."""
    if math.isinf(loss):
        raise FloatingPointError(
            f"Trainer: the loss is {loss} at step {number}; use a smaller lr, or "
            f"find the operator with mf.detect_anomaly()"
        )


def skipped(trainer: Trainer, number: int) -> float:
    """A batch whose loss is nan: passed over if the parameters are sound, else an error."""
    for name, parameter in trainer.model.named_parameters():
        if not _finite(to_host(parameter.data)):
            raise FloatingPointError(
                f"Trainer: the loss is nan at step {number} and parameter {name} is "
                f"not finite; use a smaller lr, or find the operator with mf.detect_anomaly()"
            )
    if trainer.skipped == 0:
        trainer.say(
            f"step {number}: the loss is nan, as no pixel of the batch counts; batch "
            f"skipped (later ones are only counted)"
        )
    trainer.skipped += 1
    return math.nan


def _finite(array: Array) -> bool:
    return bool(abs(array).max() < math.inf) if array.size else True
