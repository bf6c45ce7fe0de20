"""state: what a module saves and loads: parameters, persistent buffers, random streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core import Tensor, tensor
from ..device import Array, to_device
from ..modes import no_grad
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class Loaded(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def entries(module: Module) -> Iterator[tuple[str, Tensor]]:
    """All that is saved, by name: of each module the parameters, then the persistent buffers."""
    for path, part in module._walk(""):
        prefix = f"{path}." if path else ""
        for name, value in part.__dict__.items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, persistent in part._buffers.items():
            value = part.__dict__.get(name)
            if persistent and value is not None:
                yield prefix + name, value


def snapshot(module: Module) -> dict[str, Tensor]:
    """Copies: later training steps do not change them."""
    return {name: tensor(value) for name, value in entries(module)}


def load(module: Module, values: Mapping[str, Any], strict: bool) -> Loaded:
    """Check everything, then write everything."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"load_state_dict: values is a {type(values).__name__}, expected a dict from names to "
            f"tensors"
        )
    targets = dict(entries(module))
    missing = [name for name in targets if name not in values]
    unexpected = [name for name in values if name not in targets]
    arrays = {name: _array(values[name]) for name in targets if name in values}
    misshaped = {
        name: (array.shape, targets[name].shape)
        for name, array in arrays.items()
        if array.shape != targets[name].shape
    }
    if misshaped or (strict and (missing or unexpected)):
        raise ValueError(_complaint(module, missing, unexpected, misshaped, strict))
    with no_grad():
        for name, array in arrays.items():
            targets[name].copy_(to_device(array, targets[name].device))
    return Loaded(missing, unexpected)


def _array(value: Any) -> Array:
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def _complaint(
    module: Module,
    missing: list[str],
    unexpected: list[str],
    misshaped: dict[str, tuple[Any, Any]],
    strict: bool,
) -> str:
    """All that does not fit, in one message."""
    lines = [f"load_state_dict: the values do not fit {type(module).__name__}; nothing was loaded"]
    if strict:
        lines += [f"    missing: {', '.join(missing)}"] if missing else []
        lines += [f"    unexpected: {', '.join(unexpected)}"] if unexpected else []
    for name, (got, expected) in misshaped.items():
        lines.append(f"    shape of {name}: got {tuple(got)}, expected {tuple(expected)}")
    return "\n".join(lines)


def _generators(module: Module) -> Iterator[tuple[str, np.random.Generator]]:
    for path, part in module.named_modules():
        for name, value in part.__dict__.items():
            if isinstance(value, np.random.Generator):
                yield f"{path}.{name}" if path else name, value


def random_snapshot(module: Module) -> dict[str, Any]:
    """Name -> state of each Generator: nested dicts of strings and whole numbers."""
    return {name: rng.bit_generator.state for name, rng in _generators(module)}


def load_random(module: Module, values: Mapping[str, Any]) -> None:
    """Check the names, then set every generator's state."""
    generators = dict(_generators(module))
    if set(generators) != set(values):
        raise ValueError(
            f"load_random_state: got generators {sorted(values)}, expected {sorted(generators)}"
        )
    for name, rng in generators.items():
        rng.bit_generator.state = values[name]
