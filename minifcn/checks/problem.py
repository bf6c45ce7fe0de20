"""problem: a function of tensors, the tensors to differentiate it by, and care to leave no trace.

    y_1, ..., y_m = run()            reads the variables' present values
    gradient(u)                      the same for  G(x, u) = d/dx sum_k <u_k, y_k>

Finite differences put other values into the variables (`at`), in float64 (`lifted`), and put back
what was there. Variables live on any device; values are compared on the host.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Tensor, grad
from ..device import Array, is_floating, to_device, to_host
from ..modes import enable_grad, mode
from ..shapes import function

Run = Callable[[], list[Tensor]]


@dataclass(frozen=True)
class Variable:
    """A tensor to differentiate by, and what to call it."""

    name: str
    tensor: Tensor


@dataclass(frozen=True)
class Problem:
    """`run` gives the floating outputs for the present values of the variables."""

    name: str
    run: Run
    variables: tuple[Variable, ...]
    state: tuple[Tensor, ...] = ()  # buffers, as running statistics: they follow the precision

    @property
    def tensors(self) -> list[Tensor]:
        return [variable.tensor for variable in self.variables]

    def values(self, k: int) -> Array:
        """The present values of variable k, on the host."""
        return to_host(self.variables[k].tensor.data)

    @contextmanager
    def at(self, k: int, values: Array) -> Iterator[None]:
        """Within it variable k has other values."""
        tensor = self.variables[k].tensor
        before, tensor.data = tensor.data, to_device(values, tensor.device)
        try:
            yield
        finally:
            tensor.data = before

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Within it every variable is a fresh float64 leaf; afterwards all is as before."""
        before = [(tensor, tensor.data, tensor._node) for tensor in [*self.tensors, *self.state]]
        try:
            for tensor in self.state:
                if is_floating(tensor.dtype):
                    tensor.data = _in_double(tensor)
            for tensor in self.tensors:
                tensor.data, tensor._node = _in_double(tensor), None
                tensor.requires_grad = True
            yield
        finally:
            for tensor, data, node in before:
                tensor.data, tensor._node = data, node

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Within it buffers that the function writes, as running statistics, are copies."""
        before = [(tensor, tensor.data) for tensor in self.state]
        try:
            for tensor in self.state:
                tensor.data = duplicate(tensor)
            yield
        finally:
            for tensor, data in before:
                tensor.data = data

    def gradient(self, upstream: Sequence[Array]) -> Problem:
        """G(x, u), a function of the same variables and of the upstream gradients."""
        us = [Tensor(u, requires_grad=True) for u in upstream]

        def run() -> list[Tensor]:
            recorded = mode.recording
            with enable_grad():
                return list(grad(self.run(), self.tensors, us, recorded, allow_unused=True))

        named = [Variable(f"upstream gradient {k}", u) for k, u in enumerate(us)]
        return Problem(self.name, run, (*self.variables, *named), self.state)


def duplicate(tensor: Tensor) -> Array:
    """Its values in memory of their own, on its device."""
    return to_device(to_host(tensor.data).copy(), tensor.device)


def _in_double(tensor: Tensor) -> Array:
    return to_device(to_host(tensor.data).astype(np.float64), tensor.device)


def pose(fn: Callable[..., Any], inputs: Any, params: Any = None) -> Problem:
    """The problem of differentiating fn(*inputs) by its floating inputs and by `params`.

    `params` is a module, a dict or a list of tensors; a module's own come along when fn is one.
    """
    function("gradcheck", "fn", fn)
    owner = fn if hasattr(fn, "named_parameters") else getattr(fn, "__self__", None)
    if params is None and hasattr(owner, "named_parameters"):
        params = owner
    found: list[Variable] = []
    given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    arguments = [
        _bound(value, name, found) for value, name in zip(given, _names(fn, given), strict=True)
    ]
    known = {id(variable.tensor) for variable in found}
    found += [v for v in _parameters(params) if id(v.tensor) not in known]
    if not found:
        raise ValueError("gradcheck: no floating input and no parameter to differentiate by")
    named_buffers = getattr(params, "named_buffers", None)
    state = tuple(tensor for _, tensor in named_buffers()) if named_buffers else ()
    return Problem(name_of(fn), lambda: floats_of(fn(*arguments)), tuple(found), state)


def _bound(value: Any, name: str, found: list[Variable]) -> Any:
    """`value` as fn gets it: floating arrays and tensors as leaves that are noted in `found`."""
    if isinstance(value, (list, tuple)) and any(isinstance(v, (Tensor, np.ndarray)) for v in value):
        return type(value)(_bound(v, f"{name}[{k}]", found) for k, v in enumerate(value))
    if isinstance(value, np.ndarray):
        value = Tensor(to_device(value, None))
    if not isinstance(value, Tensor) or not is_floating(value.dtype):
        return value
    if not (value.requires_grad and value.is_leaf):
        value = Tensor(value.data, requires_grad=True)
    if all(value is not variable.tensor for variable in found):
        found.append(Variable(name, value))
    return value


def _parameters(params: Any) -> Iterator[Variable]:
    named: Iterable[tuple[str, Tensor]] = ()
    if hasattr(params, "named_parameters"):
        named = params.named_parameters()
    elif isinstance(params, dict):
        named = params.items()
    elif params is not None:
        named = ((f"parameter {k}", tensor) for k, tensor in enumerate(params))
    for name, tensor in named:
        if tensor.requires_grad:
            yield Variable(name, tensor)


def _names(fn: Callable[..., Any], given: Sequence[Any]) -> list[str]:
    """What fn calls its arguments."""
    target = getattr(fn, "forward", fn) if hasattr(fn, "named_parameters") else fn
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [named[k] if k < len(named) else f"input {k}" for k in range(len(given))]


def name_of(fn: Any) -> str:
    """The name of a function, an operator or a layer."""
    name = getattr(fn, "name", None) or getattr(fn, "__name__", None) or type(fn).__name__
    return "fn" if name == "<lambda>" else str(name)


def floats_of(value: Any) -> list[Tensor]:
    """All floating tensors in what a function returned."""
    if isinstance(value, Tensor):
        return [value] if is_floating(value.dtype) else []
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"gradcheck: fn returned a {type(value).__name__}, expected a tensor or several"
        )
    return [tensor for part in value for tensor in floats_of(part)]
