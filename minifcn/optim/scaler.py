r"""scaler: gradients too small for float16 go through the backward pass times a scale.

    loss' = s loss        g = g' / s        after each step, with f = [some g' is inf or nan]:
    f:      the step is left out;  s := backoff_factor s
    not f:  after growth_interval such steps in a row  s := growth_factor s, unless that is infinite

float16 ends at 6e-8: what is smaller is lost. The scale is as large as the gradients allow. It
lives on the device of the loss, and nothing here waits for the device, so a captured step can hold
all of it. bfloat16 has the range of float32 and needs none.

Source  Micikevicius et al., Mixed precision training, 2018
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from .. import kernels
from ..core import Tensor, tensor
from ..device import Array
from ..functional.cast import cast, wide
from ..functional.reshape import reshape
from ..shapes import real, whole
from .sgd import SGD

NUMBERS = ("growth_factor", "backoff_factor", "growth_interval")


class GradScaler:
    """Scale the loss, step by unscaled gradients, and let the scale follow them.

        scaler.scale(loss).backward()
        scaler.step(sgd)
        scaler.update()

    >>> import minifcn as mf
    >>> from minifcn import nn, optim
    >>> p = nn.Parameter([1.0])
    >>> sgd, scaler = optim.SGD([p], lr=0.25), optim.GradScaler(init_scale=1024)
    >>> scaler.scale((p * p).sum()).backward()
    >>> scaler.step(sgd)
    >>> scaler.update()
    >>> p.grad.item(), p.item(), scaler.get_scale()
    (2048.0, 0.5, 1024.0)
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        self.growth_factor = real("GradScaler", "growth_factor", growth_factor, 1)
        self.backoff_factor = real("GradScaler", "backoff_factor", backoff_factor, 0, 1)
        self.growth_interval = whole("GradScaler", "growth_interval", growth_interval, 1)
        scale = np.array([_positive("init_scale", init_scale)], np.float32)
        self._scale = tensor(scale, device="cpu")
        self._good_steps = tensor(np.zeros(1, np.int32), device="cpu")
        self._overflow: Array | None = None  # of the steps since the last update

    def _follow(self, device: str) -> None:
        """Live on `device` from now on."""
        if self._scale.device != device:
            self._scale = tensor(self._scale.numpy(), device=device)
            self._good_steps = tensor(self._good_steps.numpy(), device=device)

    def arrays(self) -> list[Array]:
        """What changes from step to step, as it lies on its device."""
        return [self._scale.data, self._good_steps.data]

    def get_scale(self) -> float:
        """The scale of now; waits for the device."""
        return float(self._scale.item())

    def scale(self, loss: Tensor) -> Tensor:
        """The loss, or several, times the scale; half precision becomes float32 first."""
        self._follow(loss.device)
        loss = wide(loss)
        return loss * cast(reshape(self._scale, ()), loss.dtype)

    def step(self, optimizer: SGD, factor: float = 1.0, *, skip: Array | None = None) -> None:
        """`optimizer.step(factor)` by the gradients over the scale, unless one of them overflows.

        `skip`, an int32 on the device, leaves the step out for another reason if it is not 0; then
        an overflow does not count.
        """
        gradients = [
            p.grad.data
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        if not gradients:
            raise ValueError("GradScaler.step: no parameter has a gradient; call backward first")
        k = kernels.of("GradScaler.step", [self._scale.data, *gradients], mixed=True)
        overflow = out = k.not_finite(gradients)
        if skip is not None:
            out = k.maximum(overflow, skip)
            overflow = k.subtract(out, skip)
        earlier = self._overflow
        self._overflow = overflow if earlier is None else k.maximum(earlier, overflow)
        optimizer.step(factor, skip=out, scale=self._scale.data)

    def update(self) -> None:
        """Let the scale follow the steps since the last update, whether all of them were made."""
        if self._overflow is None:
            raise ValueError("GradScaler.update: no step since the last update; call step first")
        k = kernels.of("GradScaler.update", [self._scale.data])
        k.update_loss_scale(
            self._scale.data,
            self._good_steps.data,
            self._overflow,
            self.growth_factor,
            self.backoff_factor,
            self.growth_interval,
        )
        self._overflow = None
        for changed in (self._scale, self._good_steps):
            changed.written("GradScaler.update")

    def state_dict(self) -> dict[str, float]:
        """All numbers, ready for JSON; waits for the device."""
        own = {name: getattr(self, name) for name in NUMBERS}
        return {"scale": self.get_scale(), "good_steps": self._good_steps.item(), **own}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue as if the scaler that gave this state had never stopped."""
        wanted = {"scale", "good_steps", *NUMBERS}
        if set(state) != wanted:
            raise ValueError(
                f"GradScaler: the state has {', '.join(sorted(state))}, expected "
                f"{', '.join(sorted(wanted))}"
            )
        made = GradScaler(state["scale"], *(state[name] for name in NUMBERS))  # type: ignore[arg-type] # it checks
        good_steps = whole("GradScaler", "good_steps", state["good_steps"], 0)
        vars(self).update({name: getattr(made, name) for name in NUMBERS})
        self._scale.fill_(made.get_scale())  # in place: a captured step knows the address
        self._good_steps.fill_(good_steps)
        self._overflow = None


def _positive(name: str, value: float) -> float:
    number = real("GradScaler", name, value)
    if not 0 < number < inf:
        raise ValueError(f"GradScaler: {name} is {number:g}, expected a finite number above 0")
    return number
