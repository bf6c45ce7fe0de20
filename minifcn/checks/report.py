"""report: gradcheck over the registry, as rows and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core import Tensor
from ..device import to_device
from .cases import Case, cases
from .conduct import findings
from .examine import Finding, Settings
from .problem import Problem, Variable, floats_of


@dataclass(frozen=True)
class Row:
    """One gradient of one operator on one of its samples: its worst element."""

    op: str
    sample: int
    finding: Finding

    @property
    def ok(self) -> bool:
        return not self.finding.verdict


def run(
    ops: Iterable[str] | None = None, order: int = 2, mode: str = "full", seed: int = 0
) -> tuple[list[Row], bool]:
    """Check the named operators, or all of minifcn's; the rows, and whether all is right."""
    rows = [row for case in cases(ops) for row in _rows(case, order, mode, seed)]
    return rows, all(row.ok for row in rows)


def _rows(case: Case, order: int, mode: str, seed: int) -> Iterator[Row]:
    arrays = [to_device(array, None) for array in case.arrays(seed)]  # where mf.device says
    leaves = [Tensor(arrays[k], requires_grad=True) for k in case.smooth]
    if not leaves or not floats_of(case.call(leaves, arrays)):
        return
    named = [Variable(case.names[k], x) for k, x in zip(case.smooth, leaves, strict=True)]
    problem = Problem(case.op.name, lambda: floats_of(case.call(leaves, arrays)), tuple(named))
    for finding in findings(problem, order, Settings(mode), seed):
        yield Row(case.op.name, case.number, finding)


def gradcheck_report(
    ops: Iterable[str] | None = None, order: int = 2, mode: str = "full", seed: int = 0
) -> str:
    """A table of every gradient of the named operators, or of all: worst errors and a verdict.

    >>> print(gradcheck_report(["mul"], order=1))
    op   sample  order  input  absolute  relative  verdict
    mul  0       1      a      ...       ...       right
    mul  0       1      b      ...       ...       right
    2 gradients of 1 operator, all right
    """
    rows, ok = run(ops, order, mode, seed)
    return table(rows, ok)


def table(rows: Sequence[Row], ok: bool) -> str:
    """Rows as aligned text, with a last line that counts."""
    lines = [("op", "sample", "order", "input", "absolute", "relative", "verdict")]
    for row in rows:
        found = row.finding
        errors = _number(found.absolute), _number(found.relative)
        place = "" if row.ok or found.index is None else f" at {found.index}"
        words = f"{found.verdict}{place}" if found.verdict else "right"
        lines.append((row.op, str(row.sample), str(found.order), found.input, *errors, words))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    ops, wrong = len({row.op for row in rows}), sum(not row.ok for row in rows)
    count = f"{len(rows)} gradients of {ops} operator{'s' * (ops != 1)}"
    return "\n".join([*text, f"{count}, {'all right' if ok else f'{wrong} wrong'}"])


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1e}"
