"""load: weights into a model, by name, with a report of what went where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Tensor
from ..device import Array, to_host
from ..nn import Module
from ..nn.state import entries
from .dialects import dialect_of
from .read import read_state

COUNTER = "num_batches_tracked"  # of a batch norm; files of before 2018 lack it


class LoadError(ValueError):
    """Weights that do not fit; lists all that is wrong."""


@dataclass(frozen=True)
class Report:
    """What `load_weights` did, or with dry_run would do.

    `renamed`: our name -> the file's, where they differ; `converted`: our name -> (dtype of the
    file, ours); `misfits`: our name -> what is wrong with the array.
    """

    loaded: tuple[str, ...]
    renamed: dict[str, str]
    converted: dict[str, tuple[str, str]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misfits: dict[str, str]
    dialect: str = "minifcn"

    @property
    def complete(self) -> bool:
        """Whether every weight found its place and every place its weight."""
        return not (self.missing or self.unexpected or self.misfits)

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} arrays fit, their names are those of {self.dialect}"]
        lines += [f"    missing: {', '.join(_most(self.missing))}"] if self.missing else []
        lines += [f"    unexpected: {', '.join(_most(self.unexpected))}"] if self.unexpected else []
        lines += _most([f"    {name}: {what}" for name, what in self.misfits.items()], "    ")
        return "\n".join(lines)

    def table(self) -> str:
        """One line per array: our name, the file's, and what was converted."""
        rows = []
        for name in self.loaded:
            theirs, (old, new) = self.renamed.get(name, ""), self.converted.get(name, ("", ""))
            rows.append((name, f"<- {theirs}" if theirs else "", f"{old} -> {new}" if old else ""))
        width = [max((len(row[k]) for row in rows), default=0) for k in (0, 1)]
        return "\n".join(f"{a:<{width[0]}}  {b:<{width[1]}}  {c}".rstrip() for a, b, c in rows)


def _most(words: Sequence[str], indent: str = "") -> list[str]:
    """The first 50; more would only say that it is another network."""
    more = [f"{indent}... {len(words) - 50} more"] if len(words) > 50 else []
    return [*words[:50], *more]


def load_weights(
    model: Module,
    source: str | Path | Mapping[str, Any],
    strict: bool = True,
    dry_run: bool = False,
) -> Report:
    """Write the arrays of a file, or of a dict, into the parameters and buffers of their names.

    Names of other dialects are translated (dialects.py); floats are converted to the dtype of the
    parameter. All is checked before anything is written: with `strict` nothing may be missing or
    unexpected, and shapes must agree in any case. With `dry_run` nothing is written or raised.

    >>> from minifcn import nn
    >>> layer = nn.Conv2d(2, 1, 1, bias=False)
    >>> print(load_weights(layer, {"wait": np.zeros((1, 2, 1, 1))}, dry_run=True))
    0 arrays fit, their names are those of minifcn
        missing: weight
        unexpected: wait
    """
    what = "the dict" if isinstance(source, Mapping) else str(source)
    state = source if isinstance(source, Mapping) else read_state(source)
    targets = dict(entries(model))
    dialect = dialect_of(state, targets)
    theirs = _ours_to_theirs(dialect.rename, state)
    arrays = {name: _array(state[theirs[name]]) for name in targets if name in theirs}
    misfits = {name: _misfit(array, targets[name]) for name, array in arrays.items()}
    misfits = {name: wrong for name, wrong in misfits.items() if wrong}
    counters = {name for name in targets if name.rpartition(".")[2] == COUNTER}
    report = Report(
        loaded=tuple(name for name in arrays if name not in misfits),
        renamed={name: theirs[name] for name in arrays if theirs[name] != name},
        converted={
            name: (str(array.dtype), str(targets[name].dtype))
            for name, array in arrays.items()
            if name not in misfits and array.dtype != targets[name].dtype
        },
        missing=tuple(name for name in targets if name not in theirs and name not in counters),
        unexpected=tuple(old for name, old in theirs.items() if name not in targets),
        misfits=misfits,
        dialect=dialect.name,
    )
    if dry_run:
        return report
    if misfits or (strict and not report.complete):
        raise LoadError(
            f"load_weights: {what} does not fit {type(model).__name__}; nothing was loaded\n"
            f"{report}"
        )
    fitting = {name: arrays[name].astype(targets[name].dtype, copy=False) for name in arrays}
    model.load_state_dict(fitting, strict=False)
    return report


def _ours_to_theirs(rename: Any, state: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for old in state:
        new = rename(old)
        if new in found:
            raise LoadError(f"load_weights: {found[new]} and {old} would both be {new}")
        found[new] = old
    return found


def _array(value: Any) -> Array:
    return to_host(value.data) if isinstance(value, Tensor) else np.asarray(value)


def _misfit(array: Array, target: Tensor) -> str:
    """What keeps the array out of its place; nothing if it fits."""
    if array.shape != target.shape:
        return f"shape is {tuple(array.shape)}, expected {tuple(target.shape)}"
    floats = [np.issubdtype(dtype, np.floating) for dtype in (array.dtype, target.dtype)]
    if floats[0] != floats[1] or array.dtype.kind not in "fiu":
        return f"dtype is {array.dtype}, expected {target.dtype}"
    return ""
