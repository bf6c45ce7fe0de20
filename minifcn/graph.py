"""graph: what was recorded, and the reverse walk over it: the chain rule, newest node first.

    g_parent = sum over children of vjp(g_child)

A `Node` is (op, parents, kept arrays). It never points to a tensor, so a graph has no reference
cycle and its memory goes when the loss goes. Nodes are numbered as they are made; a parent always
has a smaller number, so going by falling number is a topological order, without recursion.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .device import Array
from .modes import mode, recording
from .shapes import ShapeError
from .versions import Version, VersionError

if TYPE_CHECKING:
    from .core import Op, Tensor

_ticks = itertools.count()


class Node:
    """One recorded call: the op, the nodes of its inputs, and the arrays that its vjp names."""

    __slots__ = ("dtype", "grad", "kept", "layer", "op", "order", "parents", "retains", "shape")

    def __init__(
        self,
        op: Op | None,
        parents: tuple[Node | None, ...],
        kept: tuple[tuple[Array, Version, int], ...] | None,
        y: Array,
    ) -> None:
        self.op, self.parents, self.kept = op, parents, kept
        self.shape, self.dtype = y.shape, y.dtype
        self.order = -1 if op is None else next(_ticks)  # so also a leaf from another process
        self.grad: Tensor | None = None
        self.retains = False
        self.layer = mode.layer

    def __str__(self) -> str:
        name = "a leaf" if self.op is None else self.op.name
        return f"{name} (layer {self.layer})" if self.layer else name


class VjpError(ShapeError):
    """A vjp made a gradient that does not fit its input."""

    def __init__(self, op: str, index: int, g: Tensor, parent: Node) -> None:
        self.op, self.index, self.got, self.expected = op, index, g.shape, parent.shape
        super().__init__(
            f"{op}: vjp's gradient for input {index} is {g.shape} {g.dtype}, "
            f"expected {parent.shape} {parent.dtype}"
        )


def arguments(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters, in order."""
    import inspect  # only who declares operators needs it: `import minifcn` does without

    return list(inspect.signature(function).parameters)


def place(op: type[Op], name: str) -> tuple[str, int]:
    """Where the vjp of `op` finds the array it calls `name`: among inputs, y or extras."""
    found = [("input", k) for k, other in enumerate(op._inputs) if other == name]
    found += [("extra", k) for k, other in enumerate(op.extras) if other == name]
    found += [("y", 0)] if name == "y" else []
    if len(found) > 1:
        raise TypeError(f"{op.__name__}: {name!r} stands for two arrays; rename the input or extra")
    if not found:
        known = ", ".join((*op._inputs, "y", *op.extras))
        raise TypeError(f"{op.__name__}.vjp asks for {name!r}; it may name only {known}")
    return found[0]


def reachable(roots: Iterable[Node]) -> list[Node]:
    """All nodes from which `roots` were made, newest first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=lambda node: -node.order)


def walk(
    graph: list[Node],
    seeds: list[tuple[Node, Tensor]],
    wanted: set[Node],
    create_graph: bool,
    release: bool = False,
) -> dict[Node, Tensor]:
    """The chain rule, newest node first: the gradient of the seeds for every wanted node.

    Gradients live in a local dict, not in the graph: a second walk is safe, and each one's memory
    goes as soon as it is passed on.
    """
    useful: set[Node] = set()
    for node in reversed(graph):
        if node in wanted or any(parent in useful for parent in node.parents if parent is not None):
            useful.add(node)
    flowing: dict[Node, Tensor] = {}
    found: dict[Node, Tensor] = {}
    outer, mode.autocast = mode.autocast, None  # what a vjp computes is of the dtypes recorded
    try:
        with recording(create_graph):
            for node, g in seeds:
                _add(flowing, node, g)
            for node in graph:
                gy = flowing.pop(node, None)
                if gy is None or node not in useful:
                    continue
                if node in wanted:
                    found[node] = gy
                if node.op is not None and any(parent in useful for parent in node.parents):
                    _pull_back(node, node.op, gy, useful, flowing)
                    if release:
                        node.kept = None
    finally:
        mode.autocast = outer
    return found


def _pull_back(
    node: Node, op: Op, gy: Tensor, useful: set[Node], flowing: dict[Node, Tensor]
) -> None:
    """Pass gy through one op's vjp to the parents that lead to somebody who asked."""
    outer, mode.layer = mode.layer, f"backward of {node}"
    try:
        entries = op.vjp(gy, *_kept_tensors(node, op, gy))
        if len(entries) != len(node.parents):
            raise TypeError(
                f"{op.name}: vjp returned {len(entries)} gradients for {len(node.parents)} inputs"
            )
        for index, (parent, entry) in enumerate(zip(node.parents, entries, strict=True)):
            if parent is None or parent not in useful or entry is None:
                continue
            g = entry() if callable(entry) else entry
            if g.data.shape != parent.shape or g.data.dtype != parent.dtype:
                raise VjpError(op.name, index, g, parent)
            _add(flowing, parent, g)
    finally:
        mode.layer = outer


def _add(flowing: dict[Node, Tensor], node: Node, g: Tensor) -> None:
    other = flowing.get(node)
    flowing[node] = g if other is None else other + g


def _kept_tensors(node: Node, op: Op, gy: Tensor) -> list[Tensor]:
    """The arrays that vjp names, as tensors that are still part of the graph."""
    if node.kept is None:
        raise ValueError(f"backward: {node} was already passed with retain_graph=False")
    tensors: list[Tensor] = []
    for (array, version, count), (kind, index) in zip(node.kept, op._keeps, strict=True):
        if version.count != count:
            name = arguments(type(op).vjp)[2 + len(tensors)]
            raise VersionError(
                f"backward: {node} kept {name} {array.shape}, which {version.writer} has changed "
                f"since; run the forward pass again, or write to a copy"
            )
        source = {"input": node.parents[index] if kind == "input" else None, "y": node}.get(kind)
        tensors.append(gy._of(array, source, version))
    return tensors
