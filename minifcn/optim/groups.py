"""groups: options for parameters chosen by their names."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol

from ..shapes import shown


class Named(Protocol):
    """Something with named parameters, as an nn.Module."""

    def named_parameters(self) -> Any: ...


def groups(model: Named, rules: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Parameter groups for SGD from {name pattern: options}.

    A parameter follows the first pattern that matches its dotted name (`*` matches anything, dots
    too); those that match none form a last group without options of their own.

    >>> from minifcn import nn, optim
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3))
    >>> biases, rest = groups(net, {"*.bias": dict(lr_mult=2, weight_decay=0)})
    >>> len(biases["params"]), biases["lr_mult"], len(rest["params"])
    (2, 2, 2)
    >>> sgd = optim.SGD([biases, rest], lr=0.1, weight_decay=5e-4)
    """
    if not hasattr(model, "named_parameters"):
        raise TypeError(f"groups: model is {shown(model)}, expected a Module")
    if not isinstance(rules, Mapping):
        raise TypeError(f"groups: rules is {shown(rules)}, expected {{name pattern: options}}")
    members: dict[str, list[Any]] = {pattern: [] for pattern in rules}
    rest: list[Any] = []
    names = []
    for name, parameter in model.named_parameters():
        names.append(name)
        pattern = next((rule for rule in rules if fnmatchcase(name, rule)), None)
        (rest if pattern is None else members[pattern]).append(parameter)
    for pattern, found in members.items():
        if not found:
            raise ValueError(
                f"groups: pattern {pattern!r} matches no parameter that an earlier one has left; "
                f"the names are {', '.join(names)}"
            )
    made = [{**rules[pattern], "params": found} for pattern, found in members.items()]
    return made + ([{"params": rest}] if rest else [])
