"""report: what surgery did to a network, as rows that print as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..shapes import Shape


class Row(NamedTuple):
    """One layer or array: what was done ("reshaped", "dropped", ...), and from what to what."""

    action: str
    name: str
    was: str = ""
    becomes: str = ""


@dataclass(frozen=True)
class Report:
    """What was kept, reshaped, replaced and dropped.

    >>> print(Report("a -> b", (Row("reshaped", "fc.weight", "2 x 64", "2 x 4 x 4 x 4"),)))
    a -> b
    reshaped  fc.weight  2 x 64  -> 2 x 4 x 4 x 4
    """

    title: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return "\n".join([self.title, *table(self.rows)])

    def names(self, action: str) -> tuple[str, ...]:
        """The layers or arrays to which this was done."""
        return tuple(row.name for row in self.rows if row.action == action)


def table(rows: Sequence[Row]) -> list[str]:
    """The rows in columns."""
    width = [max((len(row[k]) for row in rows), default=0) for k in range(3)]
    lines = []
    for action, name, was, becomes in rows:
        arrow = f"-> {becomes}" if becomes else ""
        lines.append(
            f"{action:<{width[0]}}  {name:<{width[1]}}  {was:<{width[2]}}  {arrow}".rstrip()
        )
    return lines


def size(shape: Shape) -> str:
    """2 x 4 x 4 x 4."""
    return " x ".join(map(str, shape))
