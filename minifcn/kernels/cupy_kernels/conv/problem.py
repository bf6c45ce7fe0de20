"""problem: one of the triad, as far as its shapes matter to whoever computes it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ....window import Window


class Problem(NamedTuple):
    """What a way is chosen by. C and O are all channels, of the image and of the output side."""

    direction: str  # "conv2d", "conv_transpose2d", "conv2d_weight"
    N: int
    C: int
    O: int
    window: Window
    dtype: Any
