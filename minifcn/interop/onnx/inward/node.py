"""node: one node of an ONNX graph, and the table of what runs it.

@operator("Relu")
def relu(node: Node) -> Run:      reads the attributes when the file is loaded, and says then
    return F.relu                 what it cannot do; the function it gives runs the node
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

Run = Callable[..., Any]  # the inputs, None where left out -> the output, or a tuple of them
Builder = Callable[["Node"], Run]

OPERATORS: dict[tuple[str, str], tuple[int, Builder]] = {}  # (domain, kind) -> first opset, builder


class UnsupportedError(Exception):
    """What an operator asks for that we do not do."""


class Phase:
    """Whether the network is being trained, and its randomness; shared by its nodes."""

    def __init__(self) -> None:
        self.training = False
        self.generator: Any = None


@dataclass(frozen=True)
class Node:
    """`version`: the opset of its domain that the file declares."""

    kind: str
    name: str
    domain: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    phase: Phase = field(default_factory=Phase)

    def read(self, **defaults: Any) -> SimpleNamespace:
        """The attributes with their defaults; others, or of another type, are not supported."""
        unknown = sorted(set(self.attributes) - set(defaults))
        if unknown:
            raise UnsupportedError(f"attribute {', '.join(unknown)}")
        values = defaults | dict(self.attributes)
        for name, default in defaults.items():
            value = values[name]
            if isinstance(default, float) and type(value) is int:
                values[name] = float(value)
            elif default is not None and type(value) is not type(default):
                raise UnsupportedError(
                    f"attribute {name} is {value!r}, expected a {type(default).__name__}"
                )
        return SimpleNamespace(**values)

    def one_of(self, name: str, value: Any, allowed: tuple[Any, ...]) -> None:
        """Refuse an attribute's value that we do not do."""
        if value not in allowed:
            words = ", ".join(str(one) for one in allowed)
            raise UnsupportedError(f"attribute {name} is {value!r}, expected one of {words}")

    def gives(self, count: int) -> None:
        """Refuse outputs that we do not make."""
        wanted = sum(bool(name) for name in self.outputs[count:])
        if wanted:
            raise UnsupportedError(f"{len(self.outputs)} outputs, expected {count}")


def operator(*kinds: str, since: int = 1, domain: str = "") -> Callable[[Builder], Builder]:
    """Declare what runs nodes of these kinds, from the opset `since`."""

    def declare(builder: Builder) -> Builder:
        for kind in kinds:
            OPERATORS[domain, kind] = (since, builder)
        return builder

    return declare
