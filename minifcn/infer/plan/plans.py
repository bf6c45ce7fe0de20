"""plans: a plan for every size of photo that comes again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from ...core import Tensor
from ...device import Array
from ...modes import no_grad
from ...nn import Module
from .plan import Plan, PlanError

KEEP = 8  # sizes of a thread that are remembered
MEMORY = 1 << 28  # bytes of all plans of a thread, but for the last one's


class Plans(threading.local):
    """`function` of one photo: by the network itself at first, from the second of a size by a plan.

    To make a plan takes as long as a few photos. Where there is none (see Plan), or the photos are
    a batch, the network itself goes on. When `model`'s weights are written, all plans are made
    anew. Each thread has plans of its own.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], model: Module, memory: int = MEMORY
    ) -> None:
        self.function, self.memory = function, memory
        self.weights = [*model.parameters(), *model.buffers()]
        self.writes = -1
        self.plans: OrderedDict[tuple[int, ...], Plan | str] = OrderedDict()

    def __call__(self, x: Array) -> Array:
        """The result; if a plan made it, it is gone at this thread's next call.

        Shape   x: N C H W
        """
        if x.shape[0] == 1 and x.dtype == np.float32:
            plan = self._plan(x.shape[1:])
            if isinstance(plan, Plan):
                return plan(x)
        with no_grad():
            y: Array = self.function(Tensor(np.ascontiguousarray(x))).data
        return y

    def _plan(self, size: tuple[int, ...]) -> Plan | str:
        """The plan, or why there is none yet, or ever."""
        writes = sum(t._version.count for t in self.weights)
        if writes != self.writes:  # weights are constants of a plan
            self.plans.clear()
            self.writes = writes
        plan = self.plans.get(size, "new")
        if plan == "seen":
            try:
                plan = Plan(self.function, (size[0], size[1], size[2]))
            except PlanError:
                plan = "refused"
        self.plans[size] = "seen" if plan == "new" else plan
        self.plans.move_to_end(size)
        while len(self.plans) > KEEP or (len(self.plans) > 1 and self.nbytes > self.memory):
            self.plans.popitem(last=False)
        return plan

    def bytes_of(self, size: tuple[int, int, int]) -> int:
        """What a plan of this size takes; 0 if there can be none."""
        try:
            return Plan(self.function, size).nbytes
        except PlanError:
            return 0

    @property
    def nbytes(self) -> int:
        """The memory of this thread's plans."""
        return sum(plan.nbytes for plan in self.plans.values() if isinstance(plan, Plan))
