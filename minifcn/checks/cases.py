"""cases: every operator of the registry on every sample that it gives of itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..core import Op, Tensor
from ..device import Array, of, to_device, to_host
from ..samples import Derived, Draw, derive, fill


@dataclass(frozen=True)
class Case:
    """One operator value and the draws of its inputs."""

    op: Op
    draws: tuple[Draw, ...]
    number: int  # among the samples of its class

    def __str__(self) -> str:
        return f"{self.op.name}-{self.number}"

    def arrays(self, seed: int = 0, dtype: Any = np.float64) -> list[Array]:
        """One array per input; the same ones for the same seed."""
        return fill(self.draws, np.random.default_rng(seed), dtype)

    @property
    def smooth(self) -> list[int]:
        """Which inputs have a derivative."""
        return [index for index, one in enumerate(self.draws) if one.smooth]

    @property
    def names(self) -> list[str]:
        """What the operator calls its inputs."""
        known, count = self.op._inputs, len(self.draws)
        return list(known) if len(known) == count else [f"input {k}" for k in range(count)]

    def complete(self, arrays: Sequence[Array]) -> list[Array]:
        """`arrays` with every derived input made anew from the others, by NumPy."""
        full: list[Array] = []
        for one, array in zip(self.draws, arrays, strict=True):
            if isinstance(one, Derived):
                made = derive(one, [to_host(earlier) for earlier in full])
                array = to_device(made, of(array))
            full.append(array)
        return full

    def call(self, smooth: Sequence[Tensor], arrays: Sequence[Array]) -> Tensor:
        """The operator on tensors for its smooth inputs and on `arrays` for the others."""
        inputs = [Tensor(array) for array in arrays]
        for index, x in zip(self.smooth, smooth, strict=True):
            inputs[index] = x
        made = self.complete([x.data for x in inputs])
        return self.op(
            *[
                x if one.smooth else Tensor(a)
                for x, one, a in zip(inputs, self.draws, made, strict=True)
            ]
        )


def cases(ops: Iterable[str] | None = None) -> list[Case]:
    """All cases of the named operators, or of all that belong to minifcn."""
    importlib.import_module("minifcn.functional")  # fills the registry
    if ops is None:
        chosen = [cls for cls in Op.registry.values() if cls.__module__.startswith("minifcn.")]
    else:
        chosen = [_find(name) for name in ops]
    return [
        Case(sample[0], tuple(sample[1:]), number)
        for cls in sorted(chosen, key=lambda cls: cls.name)
        for number, sample in enumerate(cls.samples())
    ]


def _find(name: str) -> type[Op]:
    if name not in Op.registry:
        near = get_close_matches(name, Op.registry)
        hint = f"; close to it: {', '.join(near)}" if near else ""
        raise ValueError(
            f"gradcheck: no operator is called {name!r}{hint}; `minifcn gradcheck --list` names all"
        )
    return Op.registry[name]
