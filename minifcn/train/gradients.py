"""gradients: what every process adds to the common step.

With w_r the weight of share r (what its mean loss L_r divides by), the loss of the whole batch is

    L = sum_r w_r L_r / sum_r w_r        dL/dtheta = sum_r (w_r / sum_q w_q) dL_r/dtheta

so every process walks back from its own loss times its part, and the gradients are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import functional as F
from ..core import Tensor, full_like
from ..device import Array
from .communicator import Communicator


def combine(team: Communicator, loss: float, weight: float) -> tuple[float, float]:
    """(L, this process's part w_r / sum_q w_q); (nan, 0) if nothing counts anywhere.

    >>> from minifcn.train.communicator import One
    >>> combine(One(), 0.5, 120.0)
    (0.5, 1.0)
    """
    rows = np.zeros((team.size, 2))
    rows[team.rank] = loss, weight
    rows = team.all_sum(rows)
    rows = rows[rows[:, 1] > 0]  # a share without a counted pixel has the loss nan
    total = rows[:, 1].sum()
    if total == 0:
        return math.nan, 0.0
    return float((rows[:, 0] * rows[:, 1]).sum() / total), float(weight / total)


def backward(loss: Tensor | None, output: Any, part: float) -> None:
    """Walk back from part * loss.

    A share that does not count walks back too, from zeros: in the layers on the way, synchronised
    batch norm has the processes speak to each other.
    """
    if loss is not None and part > 0:
        loss.backward(full_like(loss, part), retain_graph=False)
        return
    sums = [F.sum(y) for y in _tensors(output) if y.requires_grad]
    if sums:
        whole = sum(sums[1:], sums[0])
        whole.backward(full_like(whole, 0), retain_graph=False)


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors that a model gave: one, or several in tuples, lists and dicts."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        yield from _tensors(list(output.values()))
    elif isinstance(output, (tuple, list)):
        for one in output:
            yield from _tensors(one)


class GradientSum:
    """Adds up the gradients of `parameters` over all processes, in one flat array per dtype."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.groups: dict[Any, list[Tensor]] = {}
        for p in parameters:
            self.groups.setdefault(p.dtype, []).append(p)
        self.flat: dict[Any, Array] = {}

    def __call__(self, team: Communicator) -> None:
        """Set every gradient to the sum of all processes'; one that nobody has stays None."""
        if team.size == 1:
            return
        for dtype, members in self.groups.items():
            if dtype not in self.flat:
                self.flat[dtype] = np.empty(len(members) + sum(p.numel() for p in members), dtype)
            flat = self.flat[dtype]
            for p, piece, place in self._pieces(members, flat):
                flat[place] = p.grad is not None
                piece[...] = 0 if p.grad is None else p.grad.data
            team.all_sum(flat, out=flat)
            for p, piece, place in self._pieces(members, flat):
                if not flat[place]:
                    continue
                if p.grad is None:
                    p.grad = full_like(p.detach(), 0)
                p.grad.data[...] = piece

    @staticmethod
    def _pieces(members: list[Tensor], flat: Array) -> Iterator[tuple[Tensor, Array, int]]:
        """(parameter, its piece of `flat`, the place that says whether it has a gradient)."""
        end = len(members)
        for place, p in enumerate(members):
            start, end = end, end + p.numel()
            yield p, flat[start:end].reshape(p.shape), place
