"""writer: the ONNX graph that is being written: its nodes, constants, and sizes known when it runs.

A size that follows the image becomes a small chain of nodes: Shape, Gather, then arithmetic on
whole numbers; each chain is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....device import Array
from ..error import OnnxError
from .align import Graph, Series, Step
from .sizes import Axis, Rule, explain

INPUT = "image"


class Writer:
    """Rules call `add`, `constant` and `size`; values of the graph are asked for by `name`."""

    def __init__(self, graph: Graph, rules: Mapping[str, Callable[[Any, Step], str]]) -> None:
        self.graph, self.rules = graph, rules
        self.nodes: list[Any] = []
        self.initializers: dict[str, Array] = {}
        self.makers = {step.y: step for step in graph.steps}
        self.fixed: set[int] = set()  # values that no image has touched
        self._names: dict[int, str] = {0: INPUT}
        self._used: set[str] = {INPUT, *graph.outputs}
        self._sizes: dict[Any, str] = {}
        self._where = ""
        touched = {0}
        for step in graph.steps:
            if touched & set(step.xs) or len(set(graph.shapes(step.y))) > 1:
                touched.add(step.y)
            else:
                self.fixed.add(step.y)

    # ---- values --------------------------------------------------------------------------------

    def name(self, value: int) -> str:
        """The name of a value; a constant is written when first asked for."""
        if value not in self._names:
            step = self.makers.get(value)
            if step is None:
                array = self.graph.constant(value)
                known = self.graph.names.get(value, "constant")
                self._names[value] = self.constant(array, known)
            else:
                assert value in self.fixed, f"value {value} is asked for before it is made"
                self.write(step)
        return self._names[value]

    def write(self, step: Step) -> None:
        """The nodes of one operator; what it reads and no image has touched comes before."""
        outer, self._where = self._where, step.name
        if "." in step.layer:
            self._where = f"{step.layer}/{step.name}"
        self._names[step.y] = self.rules[step.name](self, step)
        self._where = outer

    def names(self, step: Step) -> list[str]:
        return [self.name(v) for v in step.xs]

    def operands(self, step: Step) -> list[str]:
        """The inputs of an operator that broadcasts in ONNX: before they were repeated for ours."""
        sources = []
        for value in step.xs:
            maker = self.makers.get(value)
            sources.append(maker.xs[0] if maker and maker.name == "broadcast_to" else value)
        together = [
            np.broadcast_shapes(*shapes)
            for shapes in zip(*(self.graph.shapes(v) for v in sources), strict=True)
        ]
        return [
            self.name(v) for v in (sources if together == self.graph.shapes(step.y) else step.xs)
        ]

    def constant(self, array: Any, hint: str = "constant") -> str:
        """An initializer; `hint` is its name where it is still free."""
        name = self._free(hint)
        self.initializers[name] = np.array(array, order="C")
        return name

    def integers(self, values: Sequence[int]) -> str:
        """A list of whole numbers as an initializer, shared by all who need the same."""
        key = tuple(int(v) for v in values)
        if key not in self._sizes:
            self._sizes[key] = self.constant(np.array(key, np.int64), "numbers")
        return self._sizes[key]

    def scalar(self, value: float, like: int) -> str:
        """A number in the dtype of a value."""
        return self.constant(np.array(value, self.graph.arrays[like][0].dtype), "number")

    def add(self, kind: str, inputs: Sequence[str], count: int = 1, **attributes: Any) -> str:
        """A node; the name of its (first) output."""
        from onnx import helper

        name = self._free(f"{self._where}/{kind}")
        outputs = [name, *(f"{name}:{k}" for k in range(1, count))]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return name

    def _free(self, hint: str) -> str:
        name, count = hint, 1
        while name in self._used:
            count += 1
            name = f"{hint}_{count}"
        self._used.add(name)
        return name

    # ---- sizes ---------------------------------------------------------------------------------

    def rule(self, series: Series, *near: int) -> Rule | None:
        """How a number follows the image, or nothing; by the values `near` first."""
        known = []
        for value in dict.fromkeys((*near, 0, *reversed(list(self._names)))):
            if value in self._names and value not in self.graph.names and self.graph.arrays[value]:
                known += [(Axis(value, a), s) for a, s in enumerate(self.graph.sizes(value))]
        return explain(series, known)

    def size(self, step: Step, what: str, series: Series) -> str:
        """A number as a list of one, whatever the image; an error if it follows no rule."""
        rule = self.rule(series, *step.xs)
        if rule is None:
            raise OnnxError(
                f"export: {step.name} in layer {step.layer or 'of the model'}: {what} is "
                f"{', '.join(map(str, series))} for images of "
                f"{', '.join(str(image) for image in self.graph.images)}, which follows no rule "
                f"that we know; export it with dynamic=False"
            )
        return self._written(rule)

    def sizes(self, step: Step, what: str, numbers: Sequence[Series]) -> str:
        """A list of numbers."""
        if all(len(set(series)) == 1 for series in numbers):
            return self.integers([series[0] for series in numbers])
        parts = [self.size(step, what, series) for series in numbers]
        return parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)

    def _written(self, rule: Rule) -> str:
        if rule not in self._sizes:
            self._sizes[rule] = self._chain(rule)
        return self._sizes[rule]

    def _chain(self, rule: Rule) -> str:
        if rule.a is None:
            return self.integers([rule.c])
        if rule != Rule(rule.a):
            x = self._written(Rule(rule.a))
            if rule.missing:
                return self._gap(rule, x)
            if rule.other is not None:
                x = self.add("Mul", [x, self._written(Rule(rule.other))])
            x = x if rule.m == 1 else self.add("Mul", [x, self.integers([rule.m])])
            if rule.modulo:
                x = self.add("Mod", [self.add("Neg", [x]), self.integers([rule.modulo])])
            x = self.add("Add", [x, self.integers([rule.c])]) if rule.c else x
            return x if rule.d == 1 else self.add("Div", [x, self.integers([rule.d])])
        shape = ("shape", rule.a.value)
        if shape not in self._sizes:
            self._sizes[shape] = self.add("Shape", [self.name(rule.a.value)])
        return self.add("Gather", [self._sizes[shape], self.integers([rule.a.axis])])

    def _gap(self, rule: Rule, x: str) -> str:
        """max(b - a + c, 0), or without b max(c - a, 0)."""
        c = self.integers([rule.c])
        if rule.other is not None:
            c = self.add("Add", [self._written(Rule(rule.other)), c])
        return self.add("Max", [self.add("Sub", [c, x]), self.integers([0])])
