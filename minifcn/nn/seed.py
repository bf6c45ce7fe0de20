"""seed: the stream of random numbers for layers that are made without `generator=`.

`nn.Conv2d(3, 8, 3)` has to get its weights from somewhere, and two layers must not get the same.
They draw from one stream, the only random state of the package, which starts from seed 0 in every
process: the same program makes the same layers. `manual_seed` starts it anew. A layer with
`generator=` neither reads nor moves it.
"""

from __future__ import annotations

from contextlib import ContextDecorator

import numpy as np

from ..modes import mode
from ..shapes import whole


class _Stream:
    """One generator, replaced by `manual_seed`."""

    generator = np.random.default_rng(0)


def manual_seed(seed: int) -> np.random.Generator:
    """Start the default stream from `seed`; layers made from now on depend on it alone.

    >>> from minifcn import nn
    >>> _ = nn.manual_seed(3)
    >>> a = nn.Linear(2, 2)
    >>> _ = nn.manual_seed(3)
    >>> b = nn.Linear(2, 2)
    >>> bool((a.weight.numpy() == b.weight.numpy()).all())
    True
    """
    _Stream.generator = np.random.default_rng(whole("manual_seed", "seed", seed, 0))
    return _Stream.generator


class blank(ContextDecorator):
    """Within it layers are made with zeros where random weights would be; then load theirs.

    VGG16 takes seconds to draw its 138 million numbers, and almost no time to be made blank. What
    is not random, such as bilinear upsampling, is as always; no random stream moves.

    >>> from minifcn import nn
    >>> with nn.blank():
    ...     layer = nn.Linear(2, 2)
    >>> layer.weight.tolist()
    [[0.0, 0.0], [0.0, 0.0]]

    With `room` at most so many weights are made, and a layer that wants more is refused: what a
    file claims to hold is no larger than the file.

    >>> with nn.blank(room=100):
    ...     layer = nn.Linear(10**6, 10**6)
    Traceback (most recent call last):
    ValueError: Linear: wants 1000000000000 weights, but there are only 100
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.outer: list[tuple[bool, int | None]] = []

    def __enter__(self) -> None:
        self.outer.append((mode.blank, mode.room))
        mode.blank = True
        if self.room is not None:
            mode.room = self.room

    def __exit__(self, *error: object) -> None:
        mode.blank, mode.room = self.outer.pop()


def stream(generator: np.random.Generator | None) -> np.random.Generator:
    """`generator` if there is one, else the default stream."""
    if generator is None:
        return _Stream.generator
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"generator: got a {type(generator).__name__}, expected a numpy.random.Generator"
        )
    return generator
