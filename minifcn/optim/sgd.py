r"""sgd: gradient descent with momentum, in PyTorch's form.

    g' = g + weight_decay p                  with maximize: -g
    v  = momentum v + (1 - dampening) g'     the first time v = g'
    p -= lr lr_mult v                        nesterov: p -= lr lr_mult (g' + momentum v)

form="caffe" takes the learning rate into the momentum: v = momentum v + lr lr_mult g', p -= v. The
two agree as long as the learning rate stays the same.

Source  Sutskever et al., On the importance of initialization and momentum in deep learning, 2013
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..core import Tensor, full_like
from ..device import Array, to_device, to_host
from ..functional.move import moved
from ..shapes import flag, one_of, real

RULE = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
OPTIONS = ("lr", *RULE, "form", "lr_mult")
# parameter, gradient, momentum, whether a step was made if only the device knows
Move = tuple[Tensor, Array, Array | None, Array | None]
NUMBERS = ("lr", "momentum", "dampening", "weight_decay", "lr_mult")


class SGD:
    """Change parameters in place, against their gradients.

    `params`: parameters, or groups {"params": [...], option: value, ...} with options of their own;
    `optim.groups` makes groups from name patterns. A parameter without a gradient is left alone.
    `lr_mult` multiplies a group's learning rate.

    >>> from minifcn import nn, optim
    >>> p = nn.Parameter([3.0])
    >>> sgd = optim.SGD([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> sgd.step()
    >>> p.tolist()
    [0.0]
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        form: str = "pytorch",
    ) -> None:
        values = (lr, momentum, dampening, weight_decay, nesterov, maximize, form, 1.0)
        self.defaults = dict(zip(OPTIONS, values, strict=True))
        self.param_groups: list[dict[str, Any]] = []
        self._momentum: dict[int, Array] = {}  # place of the parameter -> v
        self._begun: dict[int, Array] = {}  # place -> int32, 0 until a step is made
        self.factor = 1.0  # of the learning rates in the last step
        if not isinstance(params, Iterable):
            raise TypeError(f"SGD: params is a {type(params).__name__}, expected parameters")
        entries = list(params)
        if not entries:
            raise ValueError("SGD: params is empty, expected at least one parameter or group")
        if not isinstance(entries[0], Mapping):
            entries = [{"params": entries}]
        for group in entries:
            self.add_param_group(group)

    def add_param_group(self, group: Any) -> None:
        """Add parameters with options of their own."""
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(
                f"SGD: a group is {type(group).__name__}, expected a dict with 'params'"
            )
        unknown = sorted(set(group) - {"params", *OPTIONS})
        if unknown:
            raise ValueError(
                f"SGD: a group has {', '.join(unknown)}, expected params, {', '.join(OPTIONS)}"
            )
        given = group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        _check_params(params, {id(p) for p in self._params()})
        full = {**self.defaults, **group, "params": params}
        for name in NUMBERS:
            full[name] = real(
                "SGD", name, full[name]
            )  # a NumPy number would carry its dtype into the step
        _check_options(full)
        self.param_groups.append(full)

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        """Forget every gradient."""
        for p in self._params():
            if p.requires_grad:
                p.grad = None

    def step(
        self, factor: float = 1.0, *, skip: Array | None = None, scale: Array | None = None
    ) -> None:
        """One step of every parameter that has a gradient; `factor` multiplies every learning rate.

        A schedule gives the factor: `sgd.step(schedule(step))`. Nothing has to be put back, so a
        resumed run needs the step number only. `skip` and `scale` are arrays of one number on the
        parameters' device: gradients are divided by `scale`; if `skip` is not 0 nothing changes.
        A step that a CUDA graph repeats reads `lr`, `lr_mult` and `self.factor` anew each time.
        """
        self.factor, place = real("SGD.step", "factor", factor), 0
        for group in self.param_groups:
            moves: dict[tuple[Any, bool], list[Move]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    k, first, move = self._move(p, place, group, skip)
                    moves.setdefault((k, first), []).append(move)
                place += 1
            for (k, first), some in moves.items():
                self._make(k, group, some, first, skip, scale)

    def _move(
        self, p: Tensor, place: int, group: Mapping[str, Any], skip: Array | None
    ) -> tuple[Any, bool, Move]:
        """(kernels, whether its momentum is new, what moves)."""
        assert p.grad is not None
        remembers = group["momentum"] != 0
        first = remembers and place not in self._momentum
        v = begun = None
        if first:
            self._momentum[place] = full_like(p, 0).data
            if skip is not None and group["dampening"]:  # without it v = g' follows from v = 0
                self._begun[place] = kernels.of("SGD.step", [skip]).full((1,), 0, skip)
        if remembers:  # the model may have moved since the last step
            v = self._momentum[place] = moved(self._momentum[place], p.device)
        if remembers and place in self._begun:
            begun = self._begun[place] = moved(self._begun[place], p.device)
        arrays = [p.data, p.grad.data, *([] if v is None else [v])]
        k = kernels.of("SGD.step", arrays, ("parameter", "gradient", "momentum")[: len(arrays)])
        return k, first and begun is None, (p, p.grad.data, v, begun)

    def _make(
        self,
        k: Any,
        group: Mapping[str, Any],
        moves: Sequence[Move],
        first: bool,
        skip: Array | None,
        scale: Array | None,
    ) -> None:
        """One step of parameters of a group that live on one device."""

        def lr() -> float:
            return float(group["lr"] * group["lr_mult"] * self.factor)

        params, grads, velocities, begun = zip(*moves, strict=True)
        options = {name: group[name] for name in RULE}
        options["caffe"] = group["form"] == "caffe"
        k.sgd_steps([p.data for p in params], grads, velocities, lr, first=first, skip=skip,
                    scale=scale, begun=begun, **options)  # fmt: skip
        for p in params:
            p.written("SGD.step")

    def momentum_arrays(self) -> list[Array]:
        """What changes from step to step, as it lies on its device."""
        return [known[place] for known in (self._momentum, self._begun) for place in sorted(known)]

    def state_dict(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """(arrays, numbers): copies of the momentum by parameter place; each group's options.

        The arrays are on the host. A parameter of which no step was made has none.
        """
        idle = {place for place, begun in self._begun.items() if not to_host(begun).any()}
        made = {place: v for place, v in self._momentum.items() if place not in idle}
        arrays = {f"momentum.{place}": np.array(to_host(v)) for place, v in made.items()}
        groups = []
        for group in self.param_groups:
            options = {name: group[name] for name in OPTIONS}
            groups.append({**options, "count": len(group["params"])})
        return arrays, {"groups": groups}

    def load_state_dict(self, arrays: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
        """Continue as if the optimizer that gave this state had never stopped."""
        counts = [group["count"] for group in numbers["groups"]]
        own = [len(group["params"]) for group in self.param_groups]
        if counts != own:
            raise ValueError(f"SGD: the state has groups of {counts} parameters, expected {own}")
        params = self._params()
        places = {f"momentum.{place}": place for place in range(len(params))}
        momentum = {}
        for name, value in arrays.items():
            place = places.get(name, -1)
            if place < 0 or tuple(value.shape) != params[place].shape:
                raise ValueError(
                    f"SGD: the state has {name} of shape {tuple(value.shape)}, which belongs to "
                    f"none of the {len(params)} parameters"
                )
            p = params[place]
            moved = to_device(np.array(value, p.dtype), p.device)
            momentum[place] = kernels.of("SGD", [moved]).copy(moved)  # in the device's own order
        self._momentum, self._begun = momentum, {}
        for group, saved in zip(self.param_groups, numbers["groups"], strict=True):
            group.update({name: saved[name] for name in OPTIONS})


def _check_params(params: list[Any], known: set[int]) -> None:
    for index, p in enumerate(params):
        if not isinstance(p, Tensor):
            raise TypeError(f"SGD: params[{index}] is a {type(p).__name__}, expected a Tensor")
        if not p.is_leaf:
            raise ValueError(f"SGD: params[{index}] was made by {p._node}, expected a leaf")
        if id(p) in known:
            raise ValueError(f"SGD: params[{index}] {p.shape} is there twice")
        known.add(id(p))


def _check_options(group: Mapping[str, Any]) -> None:
    for name in ("lr", "momentum", "weight_decay", "lr_mult"):
        if not group[name] >= 0:
            raise ValueError(f"SGD: {name} is {group[name]}, expected at least 0")
    one_of("SGD", "form", group["form"], ("pytorch", "caffe"))
    for name in ("nesterov", "maximize"):
        flag("SGD", name, group[name])
    if group["nesterov"] and not (group["momentum"] > 0 and group["dampening"] == 0):
        raise ValueError(
            f"SGD: nesterov is True with momentum {group['momentum']} and dampening "
            f"{group['dampening']}, expected a momentum above 0 and dampening 0"
        )
    if group["form"] == "caffe" and (group["nesterov"] or group["dampening"]):
        raise ValueError("SGD: form is 'caffe' with nesterov or dampening, expected neither")
