"""streams: random numbers for every process of a training.

Dropout draws from generators of the model. With copies of them, all processes would forget the same
places of different images; so process 0 draws on as if it were alone, and process r from a new
stream that follows from the generator's state and r.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..nn import Module
from .communicator import Communicator, exchange

State = dict[str, Any]  # what Module.random_state gives


def take_streams(model: Module, states: list[State], rank: int) -> None:
    """Go on with the streams of process `rank`; make them if the run had fewer processes so far."""
    if rank < len(states):
        model.load_random_state(states[rank])
        return
    model.load_random_state(states[0])
    for rng in _generators(model):
        rng.bit_generator.state = _derived(rng, rank)


def gather_streams(model: Module, team: Communicator) -> list[State]:
    """Where the streams of all processes stand, by rank; each process must ask."""
    return [json.loads(text) for text in exchange(team, json.dumps(model.random_state()))]


def _generators(model: Module) -> list[np.random.Generator]:
    """Every generator of the tree once: two layers may share one."""
    found = {
        id(value): value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, np.random.Generator)
    }
    return list(found.values())


def _derived(rng: np.random.Generator, rank: int) -> Any:
    """The state of a stream of its own for `rank`, which follows from that of `rng`."""
    words = [int(word) for word in rng.integers(0, 2**32, size=8, dtype=np.uint64)]
    return type(rng.bit_generator)(np.random.SeedSequence(words, spawn_key=(rank,))).state
