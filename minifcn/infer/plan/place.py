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
Life = tuple[int, int]  # the first and the last wave that needs it
ALIGN = 16  # numbers: a cache line


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
    """An array for every value that the steps make; that of `result` lives to the end."""
    home = homes([step for wave in waves for step in wave])
    lives: dict[Value, Life] = {}  # of each memory
    frames: dict[Value, object] = {}
    for index, wave in enumerate(waves):
        for step in wave:
            owner = home[step.out][0]
            if isinstance(step, Frame):
                frames[owner] = owner.shape, step.near, step.x.shape
            for v in (*step.reads, step.out):
                if v in home:
                    first, _ = lives.get(home[v][0], (index, index))
                    lives[home[v][0]] = first, index
    lives[home[result][0]] = lives[home[result][0]][0], len(waves)
    memory = _framed({v: lives.pop(v) for v in frames}, frames)
    starts, total = packed({v: (prod(v.shape[1:]), life) for v, life in lives.items()})
    arena = np.empty(total, np.float32)
    memory |= {v: arena[start : start + prod(v.shape[1:])] for v, start in starts.items()}
    views: dict[Value, Array] = {}
    for v, (owner, c) in home.items():
        whole = memory[owner].reshape(owner.shape[1:])
        views[v] = whole if v is owner else whole[c : c + v.channels]
    return views


def packed(needs: dict[Value, tuple[int, Life]]) -> tuple[dict[Value, int], int]:
    """Where in one piece of memory each value begins, and how long that is.

    The largest first, each at the first gap among those that live at the same time.
    """
    starts: dict[Value, int] = {}
    total = 0
    for v, (size, life) in sorted(needs.items(), key=lambda item: -item[1][0]):
        start = 0
        for other in sorted(
            (o for o in starts if _meet(life, needs[o][1])), key=starts.__getitem__
        ):
            if starts[other] - start >= size:
                break
            start = max(start, -(-(starts[other] + needs[other][0]) // ALIGN) * ALIGN)
        starts[v] = start
        total = max(total, start + size)
    return starts, total


def _meet(one: Life, other: Life) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _framed(lives: dict[Value, Life], kinds: dict[Value, object]) -> dict[Value, Array]:
    """Zeros, with one memory for frames of a kind that live one after the other."""
    memory: dict[Value, Array] = {}
    for v, life in lives.items():
        others = [o for o in memory if kinds[o] == kinds[v]]
        busy = {id(memory[o]) for o in others if _meet(life, lives[o])}
        free = [memory[o] for o in others if id(memory[o]) not in busy]
        memory[v] = free[0] if free else np.zeros(prod(v.shape[1:]), np.float32)
    return memory
