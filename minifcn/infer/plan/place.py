"""place: where each value of a plan lies. Two that never live at once may have the same memory.

A part of a concatenation is made where it belongs, in the memory of the whole. Frames keep the
zeros around their image: only frames of the same geometry come after each other.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ...device import Array
from ...nn.trace import Value
from .passes import Frame, Join
from .step import Step

Home = tuple[Value, int]  # whose memory, and from which channel on


def waves_of(steps: list[Step]) -> list[list[Step]]:
    """Steps that need nothing of each other go together, each as early as it can."""
    wave: dict[Value, int] = {}
    for step in steps:
        wave[step.out] = 1 + max((wave.get(v, -1) for v in step.reads), default=-1)
    waves: list[list[Step]] = [[] for _ in range(max(wave.values(), default=-1) + 1)]
    for step in steps:
        waves[wave[step.out]].append(step)
    return waves


def homes(steps: list[Step]) -> dict[Value, Home]:
    """The memory of every value that a step makes: its own, or a part of a concatenation's."""
    found: dict[Value, Home] = {step.out: (step.out, 0) for step in steps}
    for step in steps[::-1]:  # a concatenation of concatenations: the last one has the memory
        if isinstance(step, Join):
            owner, c = found[step.out]
            for v in step.parts:
                if found.get(v) == (v, 0) and v is not owner:
                    found[v] = owner, c
                c += v.channels
    return found


def place(waves: list[list[Step]], result: Value) -> dict[Value, Array]:
    """An array for every value that the steps make; that of `result` is not shared."""
    home = homes([step for wave in waves for step in wave])
    last: dict[Value, int] = {}  # of each memory: the last wave that needs it
    for index, wave in enumerate(waves):
        for step in wave:
            for v in (*step.reads, step.out):
                if v in home:
                    last[home[v][0]] = index
    last[home[result][0]] = len(waves)
    memory: dict[Value, Array] = {}
    kinds: dict[Value, object] = {}
    free: dict[object, list[Array]] = {}
    for index, wave in enumerate(waves):
        for step in wave:
            owner = home[step.out][0]
            if owner not in memory:
                kinds[owner] = kind = _kind(step, owner)
                idle = free.get(kind)
                memory[owner] = idle.pop() if idle else np.zeros(_room(owner), np.float32)
        for owner in [v for v, when in last.items() if when == index]:
            free.setdefault(kinds[owner], []).append(memory[owner])
    views: dict[Value, Array] = {}
    for v, (owner, c) in home.items():
        whole = memory[owner][: prod(owner.shape[1:])].reshape(owner.shape[1:])
        views[v] = whole if v is owner else whole[c : c + v.channels]
    return views


def _kind(step: Step, owner: Value) -> object:
    """Memory of one kind may serve one value after the other."""
    if isinstance(step, Frame):
        return owner.shape, step.near, step.x.shape
    return _room(owner)


def _room(owner: Value) -> int:
    """Its numbers, rounded up in steps of at most an eighth, so that memory fits again."""
    size = prod(owner.shape[1:])
    step: int = max(1 << max(size.bit_length() - 4, 0), 16)
    return -(-size // step) * step
