"""load: an ONNX file as a module of ours: it runs, and it can be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core import Tensor, tensor
from ...device import Array, is_floating
from ...modes import mode
from ...nn import Module, Parameter
from .error import OnnxError
from .inward import OPERATORS
from .inward.node import Node, Phase, Run, UnsupportedError
from .inward.proto import Plan, read
from .inward.values import AXES, Value, settled

# Inputs of these places are trained, where they are numbers of the file; so is what only reaches
# them through operators that move numbers about.
TRAINED = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1),
    "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "PRelu": (1,),
    "Add": (0, 1), "Sub": (0, 1), "Mul": (0, 1), "Div": (0, 1),
}  # fmt: skip
MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Expand", "Cast")
# What a wrong number in a node can bring about in whoever meets it.
FAULTS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError,
    ValueError,
)  # fmt: skip
STATISTICS = (3, 4)  # of BatchNormalization


def load(path: str | Path, seed: int = 0) -> Network:
    """The network of a file, in inference mode; `seed` is for its dropout.

    What a layer would train (weights, biases, scales, slopes) is a parameter under its name in the
    file, statistics are buffers. All operators and attributes that we do not do are listed in one
    OnnxError.
    """
    return Network(read(path), seed).eval()


class Network(Module):
    """The graph of an ONNX file, node by node.

    forward takes the inputs in the file's order, as tensors or arrays, and gives the output, or a
    tuple of them. `metadata` are the file's own words.
    """

    def __init__(self, plan: Plan, seed: int = 0) -> None:
        self.phase = Phase()
        self.phase.generator = self.generator = np.random.default_rng(seed)
        self.metadata = plan.metadata
        self.plan = replace(plan, constants={})  # they lie in this module
        self.runs = _prepared(plan, self.phase)
        self.last_use = _last_use(plan)
        self.homes: dict[str, str] = {}  # number of floating type -> the attribute that holds it
        self.whole: dict[str, Array] = {}  # and those of other types
        weights, moved = trained(plan), statistics(plan)
        for name, array in plan.constants.items():
            if is_floating(array.dtype):
                home = self.homes[name] = self._free(name)
                if name in weights:
                    setattr(self, home, Parameter(array))
                else:
                    self.register_buffer(home, tensor(array), persistent=name in moved)
            else:
                self.whole[name] = array

    def __getstate__(self) -> dict[str, Any]:
        """For copies and other processes: what runs the nodes is made anew there."""
        return {name: value for name, value in self.__dict__.items() if name != "runs"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.runs = _prepared(self.plan, self.phase)

    def _free(self, name: str) -> str:
        """A name that is no attribute yet: a file may call its weight "forward"."""
        name = name or "unnamed"
        while hasattr(self, name):
            name += "_"
        return name

    def forward(self, *inputs: Any) -> Any:
        plan = self.plan
        if len(inputs) != len(plan.inputs):
            raise ValueError(
                f"Network: got {len(inputs)} inputs, expected {len(plan.inputs)}: "
                f"{', '.join(plan.inputs)}"
            )
        self.phase.training = self.training
        device = self._device()
        values: dict[str, Value] = {"": None, **self.whole}
        values |= {name: getattr(self, home) for name, home in self.homes.items()}
        for (name, shape), given in zip(plan.inputs.items(), inputs, strict=True):
            values[name] = settled(given, device)
            _check_shape(name, shape, values[name].shape)
        outer = mode.layer
        for place, (node, run) in enumerate(zip(plan.nodes, self.runs, strict=True)):
            mode.layer = node.name or f"{node.kind} {place}"
            self._step(node, run, values, device)
            for name in self.last_use.get(place, ()):
                values.pop(name, None)
        mode.layer = outer
        found = tuple(_given(values[name], device) for name in plan.outputs)
        return found[0] if len(found) == 1 else found

    def _step(self, node: Any, run: Run, values: dict[str, Value], device: str) -> None:
        given = [values[name] for name in node.inputs]
        try:
            made = run(*given)
        except FAULTS as error:
            shapes = ", ".join("-" if v is None else str(v.shape) for v in given)
            raise OnnxError(f"{node.kind} {node.name!r}: {error} (inputs: {shapes})") from error
        made = made if isinstance(made, tuple) else (made,)
        for place, name in enumerate(node.outputs):
            value = made[place] if place < len(made) else None
            if name and not hasattr(value, "dtype"):
                raise OnnxError(f"{node.kind} {node.name!r}: gives nothing for output {name!r}")
            if name:
                values[name] = settled(value, device)
                _check_axes(node, values[name])

    def _device(self) -> str:
        for one in (*self.parameters(), *self.buffers()):
            return one.device
        return mode.device

    def extra_repr(self) -> str:
        plan = self.plan
        return f"{len(plan.nodes)} nodes: {', '.join(plan.inputs)} -> {', '.join(plan.outputs)}"


def _prepared(plan: Plan, phase: Phase) -> list[Run]:
    """What runs each node, or all that we cannot run."""
    runs, faults = [], {}
    for raw in plan.nodes:
        version = plan.opsets.get(raw.domain)
        known = OPERATORS.get((raw.domain, raw.kind))
        title = f"{raw.domain}.{raw.kind}" if raw.domain else raw.kind
        if version is None:
            faults[f"{title}: the file names no opset of its domain"] = raw
        elif known is None:
            faults[f"operator {title}"] = raw
        elif version < known[0]:
            faults[f"{title}: opset {version}, which has it from {known[0]}"] = raw
        else:
            try:
                node = Node(raw.kind, raw.name, raw.domain, version, raw.inputs, raw.outputs,
                            raw.attributes, phase)  # fmt: skip
                runs.append(known[1](node))
            except UnsupportedError as error:
                faults[f"{title}: {error}"] = raw
    if faults:
        listed = "".join(f"\n    {fault} (node {raw.name!r})" for fault, raw in faults.items())
        raise OnnxError(f"load: not supported:{listed}")
    return runs


def trained(plan: Plan) -> set[str]:
    """The constants that training changes."""
    wanted: set[str] = set()
    for node in reversed(plan.nodes):
        if node.kind in MOVES and wanted & set(node.outputs):
            wanted.update(node.inputs[:1])
        for place in TRAINED.get(node.kind, ()):
            if place < len(node.inputs):
                wanted.add(node.inputs[place])
    return {name for name in wanted & set(plan.constants) if plan.constants[name].ndim}


def statistics(plan: Plan) -> set[str]:
    """The running means and variances."""
    return {
        name
        for node in plan.nodes
        if node.kind == "BatchNormalization"
        for place, name in enumerate(node.inputs)
        if place in STATISTICS
    }


def _last_use(plan: Plan) -> Mapping[int, list[str]]:
    """Node -> values that nobody reads after it; constants and outputs stay."""
    last: dict[str, int] = {}
    for place, node in enumerate(plan.nodes):
        last |= dict.fromkeys((*node.inputs, *node.outputs), place)
    found: dict[int, list[str]] = {}
    for name, place in last.items():
        if name and name not in plan.outputs and name not in plan.constants:
            found.setdefault(place, []).append(name)
    return found


def _check_shape(name: str, declared: Any, shape: tuple[int, ...]) -> None:
    """Whether an input is as the file says."""
    if declared is None:
        return
    fits = len(declared) == len(shape) and all(
        want in (None, size) for want, size in zip(declared, shape, strict=True)
    )
    if not fits:
        words = ", ".join("any" if size is None else str(size) for size in declared)
        raise OnnxError(f"Network: input {name!r} has shape {shape}, expected ({words})")


def _check_axes(node: Any, value: Value) -> None:
    """Refuse what kernels were not made for."""
    if value.ndim > AXES or value.dtype.kind not in "biufV":
        raise OnnxError(f"{node.kind} {node.name!r}: makes {value.dtype} of {value.ndim} axes")


def _given(value: Value, device: str) -> Tensor:
    """An output as a tensor."""
    return value if isinstance(value, Tensor) else tensor(value, device=device)
