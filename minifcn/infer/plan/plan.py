"""plan: the steps with their memory, ready for photo after photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...core import Tensor
from ...device import Array
from ...kernels.numpy_kernels.threads import allowed
from ...modes import no_grad
from ...nn import Module
from ...nn.trace import Program, TraceError, Value, trace
from ...shapes import ShapeError
from .join import Joiner
from .lanes import Lanes
from .place import place, waves_of

CLOSE = 1e-3  # of the largest number of the result: how far a plan may be from its network


class PlanError(ValueError):
    """A network that cannot be planned; says why."""


class Plan:
    """What `function` computes for photos of one size, without a second thought.

    `function` maps a Tensor 1 C H W on the CPU to one; `size` is (C, H, W). Under `num_threads` a
    photo is shared by several threads; which does what changes no number. A plan has memory of its
    own and may be called by one thread at a time.

    >>> from minifcn.models import build
    >>> net = build({"name": "espnet", "classes": 3, "p": 0, "q": 1}).eval()
    >>> plan = Plan(net, (3, 16, 24))
    >>> plan(np.zeros((1, 3, 16, 24), np.float32)).shape
    (1, 3, 16, 24)
    """

    def __init__(self, function: Callable[[Tensor], Tensor], size: tuple[int, int, int]) -> None:
        if isinstance(function, Module) and any(m.training for m in function.modules()):
            raise PlanError(
                f"Plan: function is a {type(function).__name__} in training mode, expected one in "
                f"inference mode; call its .eval()"
            )
        rng = np.random.default_rng(0)
        x, other = (rng.standard_normal((1, *size)).astype(np.float32) for _ in range(2))
        try:
            program = trace(function, x)
        except TraceError as error:
            raise PlanError(f"Plan: {error}") from error
        _check(program)
        self.size = size
        self.steps = Joiner(program).steps
        waves = waves_of(self.steps)
        arrays = place(waves, program.result)
        self._bytes = _bytes(arrays)
        self.photo = arrays[program.photo] = np.empty(size, np.float32)
        self.result = arrays[program.result][None]
        self.lanes = Lanes([[j for step in wave for j in step.jobs(arrays)] for wave in waves])
        for noise in (x, other):
            with no_grad():
                wanted = function(Tensor(noise)).data
            np.copyto(self.photo, noise[0])
            with np.errstate(all="ignore"), no_grad():
                self.lanes.measure()
            _compare(self.result, wanted)

    @property
    def nbytes(self) -> int:
        """The memory that it holds, and that of the photo."""
        return self._bytes + self.photo.nbytes + self.lanes.nbytes

    def __call__(self, x: Array) -> Array:
        """The result for one photo, in the plan's own memory: it is gone when the next one comes.

        Shape   x: 1 C H W
        """
        if x.shape != (1, *self.size) or x.dtype != np.float32:
            raise ShapeError(
                f"Plan: x is {x.dtype} of shape {x.shape}, expected float32 {(1, *self.size)}"
            )
        np.copyto(self.photo, x[0])
        with np.errstate(all="ignore"), no_grad():
            self.lanes.run(allowed())
        return self.result


def _bytes(arrays: Mapping[Value, Array]) -> int:
    """What all of them take together."""
    whole = {id(a.base): a.base for a in arrays.values() if a.base is not None}
    return sum(a.nbytes for a in whole.values())


def _check(program: Program) -> None:
    values: list[Any] = [program.photo, *(call.out for call in program.calls)]
    for v in values:
        if not v.shape or v.shape[0] != 1 or v.dtype != np.float32:
            raise PlanError(
                f"Plan: an operator gives {v.dtype} of shape {v.shape}, expected float32 1 ...: "
                f"a photo from end to end"
            )


def _compare(got: Array, wanted: Array) -> None:
    far, largest = np.abs(got - wanted).max(), np.abs(wanted).max()
    if not far <= CLOSE * max(largest, 1e-30):
        raise PlanError(
            f"Plan: on noise the plan is {far:.2g} away from the network, whose largest number is "
            f"{largest:.2g}; does it compute outside of operators, or decide by what it sees?"
        )
